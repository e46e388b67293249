import { afterEach, describe, expect, it, vi } from 'vitest'
import { examine } from '../../src/machine/doctor.ts'

afterEach(() => vi.unstubAllEnvs())

describe('examine', () => {
  it('reports every part of the machine, and how to fix what is not well', () => {
    const findings = examine()
    const named = (name: string) => findings.find((finding) => finding.name === name)
    for (const { name, status, value, fix } of findings) {
      expect(['ok', 'warn', 'fail']).toContain(status)
      expect(value, name).toMatch(/\S/)
      if (status !== 'ok') expect(fix, name).toMatch(/\S/)
    }
    expect(named('Node.js')?.value).toBe(process.versions.node)
    expect(named('LibTorch')?.value).toMatch(/^\d+\.\d+\.\d+, kernels for \S+, oneDNN (yes|no)$/)
    expect(Number(named('float32 product')?.value.match(/^(\d+) GFLOP\/s$/)?.[1])).toBeGreaterThan(0)
    expect(Number(named('bfloat16 product')?.value.match(/^(\d+) GFLOP\/s /)?.[1])).toBeGreaterThan(0)
    expect(named('BLAS')?.value).toMatch(/\S/)
    expect(named('threads')?.value).toMatch(/^\d+ cores: \S/)
    expect(named('CUDA')?.value).toMatch(/\S/)
    expect(named('addon for images')?.value).toMatch(/libjpeg-turbo/)
    expect(named('sharp')?.value).toMatch(/^\d+\.\d+\.\d+ \(libvips \d/)
    // The tests run here, so training works here.
    expect(findings.filter(({ status }) => status === 'fail')).toEqual([])
  })

  it('fails where LIBTORCH leads nowhere, and advises on that alone', () => {
    vi.stubEnv('LIBTORCH', '/nonexistent')
    const failed = examine().filter(({ status }) => status === 'fail')
    expect(failed).toEqual([
      {
        name: 'LibTorch by LIBTORCH=/nonexistent',
        status: 'fail',
        value: '/nonexistent does not exist',
        fix: expect.stringMatching(/LIBTORCH=.*unset LIBTORCH/) as string,
      },
    ])
  })

  it('warns of a missing compiler, and fails where it is needed', () => {
    vi.stubEnv('CXX', '/nonexistent/g++')
    const compiler = () => examine().find(({ name }) => name === 'C++ compiler')
    expect(compiler()).toMatchObject({ status: 'warn', fix: expect.stringContaining('g++') as string })
    vi.stubEnv('LIBTORCH', '/nonexistent')
    expect(compiler()).toMatchObject({ status: 'fail', value: '/nonexistent/g++ was not found' })
  })
})
