import { describe, expect, it } from 'vitest'
import { accumulated, choose, lengthWithin, roundedEpochs, wantedSeen } from '../../src/plan/choose.ts'

const GB = 1e9
const cheap = { leastImages: 0, imagesPerSecond: 200, memory: 1 * GB }
const middle = { leastImages: 2000, imagesPerSecond: 80, memory: 1 * GB }
const large = { leastImages: 20_000, imagesPerSecond: 8, memory: 4 * GB }
const ladder = [cheap, middle, large]
const given = { images: 50_000, distinct: 50_000, seconds: 86_400, available: 20 * GB }

it('wants a hundred passes, and a million images', () => {
  expect(wantedSeen(50_000)).toBe(5_000_000)
  expect(wantedSeen(3000)).toBe(1_000_000)
  expect(wantedSeen(240)).toBe(480_000) // two thousand passes
})

describe('choose', () => {
  it('takes the most capable one that sees enough images', () => {
    // a day: 17.3, 6.9 and 0.69 million of 5 million
    expect(choose(ladder, given)).toEqual({ chosen: 1, limit: 'time', isShort: false })
    // ten days: 6.9 million
    expect(choose(ladder, { ...given, seconds: 864_000 })).toEqual({
      chosen: 2,
      limit: 'none',
      isShort: false,
    })
  })
  it('takes none that is too large for the data', () => {
    const few = { ...given, images: 15_000, distinct: 15_000, seconds: 864_000 }
    expect(choose(ladder, few)).toEqual({ chosen: 1, limit: 'images', isShort: false })
    expect(choose(ladder, { ...few, distinct: 1999 })).toEqual({ chosen: 0, limit: 'images', isShort: false })
  })
  it('leaves a tenth of the memory', () => {
    const long = { ...given, seconds: 864_000 }
    expect(choose(ladder, { ...long, available: 4.4 * GB })).toMatchObject({ chosen: 1, limit: 'memory' })
    expect(choose(ladder, { ...long, available: 4.5 * GB })).toMatchObject({ chosen: 2 })
    expect(choose(ladder, { ...long, available: 1 * GB })).toBeNull()
  })
  it('takes the cheapest where the time is short for every one', () => {
    expect(choose(ladder, { ...given, seconds: 3600 })).toEqual({ chosen: 0, limit: 'time', isShort: true })
  })
  it('expects that what was not measured fits', () => {
    const unknown = [cheap, { ...middle, memory: null }]
    expect(choose(unknown, given)).toMatchObject({ chosen: 1 })
  })
})

describe('accumulated', () => {
  it('takes the largest power of two with 5,000 steps or more', () => {
    expect(accumulated(2_560_000, { microBatch: 64, images: 1e6 })).toBe(8) // 512: 5,000 steps
    expect(accumulated(2_559_999, { microBatch: 64, images: 1e6 })).toBe(4)
  })
  it('goes neither beyond 4096 nor beyond the data, nor below one', () => {
    expect(accumulated(1e9, { microBatch: 64, images: 1e6 })).toBe(64)
    expect(accumulated(1e9, { microBatch: 64, images: 300 })).toBe(4) // 256 of 300
    expect(accumulated(1000, { microBatch: 64, images: 1e6 })).toBe(1)
  })
})

describe('lengthWithin', () => {
  const cost = { open: 20, step: 1, checkpoint: 2, picture: 1, probe: 0, curve: 1 }
  const cadence = { checkpoint: 500, picture: 500, probe: 0, earlySeconds: 0 }
  it('fits whole tenths of epochs into the time', () => {
    // 964 steps would be all that fits: 20 + 964 + 2 · 2 + 2 · 1 + 10 curves · 1 = 1000
    const length = lengthWithin(cost, cadence, { batch: 64, images: 6400, seconds: 1000 })
    expect(length).toEqual({ steps: 960, epochs: 9.6, seconds: 996 })
  })
  it('ends after 2,000 epochs', () => {
    const length = lengthWithin(cost, cadence, { batch: 100, images: 100, seconds: 1e6 })
    expect(length).toMatchObject({ steps: 2000, epochs: 2000 })
  })
})

it('rounds epochs down to what is easy to read', () => {
  expect([312.7, 97.96, 0.04567].map(roundedEpochs)).toEqual([312, 97.9, 0.045])
})
