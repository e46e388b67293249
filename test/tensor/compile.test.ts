import { appendFileSync, copyFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { isCompiled } from '../../src/native/compile.ts'
import { packageRoot } from '../../src/package-root.ts'
import { planAddon } from '../../src/tensor/compile.ts'
import type { LibTorch } from '../../src/tensor/libtorch.ts'
import { temporaryFolder } from './temporary-folder.ts'

vi.mock('../../src/package-root.ts', { spy: true })
const actualRoot = packageRoot()
const library = process.platform === 'darwin' ? 'libtorch.dylib' : 'libtorch.so'

let root: string
let libtorch: LibTorch
beforeEach(() => {
  root = temporaryFolder({ 'native/keep': '', [`torch/lib/${library}`]: 'a library' })
  for (const name of readdirSync(join(actualRoot, 'native')).filter((file) => /\.(cc|h)$/.test(file)))
    copyFileSync(join(actualRoot, 'native', name), join(root, 'native', name))
  vi.mocked(packageRoot).mockReturnValue(root)
  libtorch = {
    origin: 'LIBTORCH',
    includeDirs: [join(root, 'torch/include')],
    libDir: join(root, 'torch/lib'),
    version: '2.6.0',
    cuda: false,
    cxx11Abi: 1,
  }
})
const flags = (changes: Partial<LibTorch> = {}) => planAddon({ ...libtorch, ...changes }).command.join(' ')

describe('planAddon', () => {
  it('plans the same path again, below native/build, and does nothing else', () => {
    const { path } = planAddon(libtorch)
    expect(path).toBe(planAddon(libtorch).path)
    expect(path.startsWith(join(root, 'native/build/'))).toBe(true)
    expect(isCompiled(planAddon(libtorch))).toBe(false)
    expect(readdirSync(join(root, 'native/build'))).toEqual([])
  })

  it.each<[string, Partial<LibTorch>]>([
    ['the version', { version: '2.7.0' }],
    ['the flags (CUDA)', { cuda: true }],
    ['the flags (ABI)', { cxx11Abi: 0 }],
    ['the headers', { includeDirs: ['/elsewhere'] }],
  ])('plans another when %s of LibTorch changed', (_, change) => {
    expect(planAddon({ ...libtorch, ...change }).path).not.toBe(planAddon(libtorch).path)
  })

  it.each<[string, () => void]>([
    ['source', () => appendFileSync(join(root, 'native/addon.cc'), '// changed')],
    ['header', () => appendFileSync(join(root, 'native/handles.h'), '// changed')],
    ['library', () => writeFileSync(join(libtorch.libDir, library), 'another')],
    ['date of the library', () => utimesSync(join(libtorch.libDir, library), 1, 1)],
  ])('plans another when the %s changed', (_, change) => {
    const before = planAddon(libtorch).path
    change()
    expect(planAddon(libtorch).path).not.toBe(before)
  })

  it('ignores what is no source', () => {
    const before = planAddon(libtorch).path
    writeFileSync(join(root, 'native/notes.md'), 'text')
    expect(planAddon(libtorch).path).toBe(before)
  })

  it.each([
    ['1.13.1', 'c++17'],
    ['2.0.0', 'c++17'],
    ['2.13.9', 'c++17'],
    ['2.14.0', 'c++20'],
    ['3.0.0', 'c++20'],
  ])('compiles LibTorch %s as %s', (version, level) => expect(flags({ version })).toContain(`-std=${level} `))

  it('links what is there, and finds it again when it runs', () => {
    const plain = flags()
    expect(plain).toContain(`-L${libtorch.libDir}`)
    expect(plain).toContain(`-Wl,-rpath,${libtorch.libDir}`)
    expect(plain).toContain(`-I${libtorch.includeDirs[0]}`)
    expect(plain).toContain('-ltorch -ltorch_cpu -lc10')
    expect(plain).not.toContain('cuda')
    expect(flags({ cuda: true })).toContain('-ltorch_cuda -lc10_cuda')
    expect([flags(), flags({ cxx11Abi: 0 })].map((text) => text.match(/CXX11_ABI=(\d)/)?.[1])).toEqual([
      '1',
      '0',
    ])
  })

  it('never names /usr/include, which would come before the compiler’s own headers', () =>
    expect(flags({ includeDirs: ['/usr/include', '/usr/include/torch'] })).not.toMatch(
      /-I\/usr\/include( |$)/,
    ))

  it('takes the compiler of CXX', () => {
    vi.stubEnv('CXX', '/opt/my-compiler')
    expect(planAddon(libtorch).command[0]).toBe('/opt/my-compiler')
    vi.unstubAllEnvs()
  })
})
