import { describe, expect, it } from 'vitest'
import { type BlasFacts, blasFinding } from '../../src/machine/blas.ts'
import { loadOf, othersBetween, othersNow, withOthers } from '../../src/machine/load.ts'

const openBlas = '/usr/lib/x86_64-linux-gnu/openblas-openmp/libblas.so.3'
const reference = '/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0'
const facts: BlasFacts = { libraries: [openBlas], perCore: 80, load: null, hasOpenBlas: true, hasApt: true }

describe('blasFinding', () => {
  it('is content with an optimised library that is fast, or one that LibTorch has inside', () => {
    expect(blasFinding(facts)).toEqual({ name: 'BLAS', status: 'ok', value: openBlas })
    expect(blasFinding({ ...facts, libraries: [] }).status).toBe('ok')
  })
  it('advises no installation where other programs use the cores', () => {
    const busy = blasFinding({ ...facts, perCore: 4, load: 1.7 })
    expect(busy).toEqual({ name: 'BLAS', status: 'ok', value: openBlas })
  })
  it('advises what changes something where a reference library is loaded', () => {
    const slow = { ...facts, libraries: [reference], perCore: 1 }
    expect(blasFinding({ ...slow, hasOpenBlas: false }).fix).toBe('apt-get install -y libopenblas0-openmp')
    expect(blasFinding(slow).fix).toMatch(/^update-alternatives .*OpenBLAS, which is installed/)
    expect(blasFinding({ ...slow, hasOpenBlas: false, hasApt: false }).fix).not.toMatch(/apt-get/)
    // it is slow whatever else is running
    expect(blasFinding({ ...slow, load: 1.7 }).status).toBe('warn')
  })
  it('advises no installation where an optimised library is slow on idle cores', () => {
    const slow = blasFinding({ ...facts, perCore: 4 })
    expect(slow.status).toBe('warn')
    expect(slow.fix).not.toMatch(/install/)
  })
})

describe('cores that other programs use', () => {
  const clock = (at: number, idle: number, own: number) => ({ at, idle, own })
  it('are those that are neither idle nor our own', () => {
    // two cores, ten seconds: 20 s, of which 5 idle and 3 ours
    expect(othersBetween(clock(0, 100, 7), clock(10, 105, 10), 2)).toBeCloseTo(1.2, 12)
    expect(othersBetween(clock(0, 0, 0), clock(10, 0, 0), 2)).toBe(2)
    // a container with 2 of 64 cores lacks none while 60 are idle
    expect(othersBetween(clock(0, 0, 0), clock(10, 600, 20), 2)).toBe(0)
  })
  it('are load where they are there in every measurement', () => {
    expect(loadOf([1.2, 0.5, 1.6], 2)).toBeCloseTo(1.1, 12)
    expect(loadOf([1.2, 0.4, 1.6], 2)).toBeNull()
  })
  it('are between none and all', () => {
    for (const others of [othersNow(), withOthers(() => {}).others]) {
      expect(others).toBeGreaterThanOrEqual(0)
      expect(others).toBeLessThanOrEqual(1024)
    }
  })
})
