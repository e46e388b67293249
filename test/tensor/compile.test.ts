import { appendFileSync, copyFileSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
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

/** An addon in native/prebuilt/, as it was carried here. */
function carry(given: LibTorch): string {
  const { path } = planAddon(given, 'prebuilt')
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, 'an addon')
  return path
}

describe('a prebuilt addon', () => {
  it('is taken wherever the same version of LibTorch lies, on any CPU, and by its date or size never missed', () => {
    const path = carry(libtorch)
    expect(dirname(path)).toBe(join(root, 'native/prebuilt'))
    writeFileSync(join(libtorch.libDir, library), 'the same of another date')
    mkdirSync(join(root, 'torch/elsewhere'))
    copyFileSync(join(libtorch.libDir, library), join(root, 'torch/elsewhere', library))
    const elsewhere: LibTorch = {
      ...libtorch,
      ...{ origin: 'LIBTORCH_USE_PYTORCH', libDir: join(root, 'torch/elsewhere'), includeDirs: ['/other'] },
    }
    expect(planAddon(elsewhere)).toMatchObject({ path, isPrebuilt: true })
    expect(planAddon(elsewhere, 'own').path).not.toBe(path)
  })

  it('gives way to one that was compiled here', () => {
    carry(libtorch)
    const { path } = planAddon(libtorch, 'own')
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, 'an addon')
    expect(planAddon(libtorch)).toMatchObject({ path, isPrebuilt: false })
  })

  it.each<[string, Partial<LibTorch>]>([
    ['another version', { version: '2.6.1' }],
    ['CUDA', { cuda: true }],
    ['another ABI', { cxx11Abi: 0 }],
  ])('is not that of a LibTorch with %s', (_, change) => {
    const path = carry(libtorch)
    expect(planAddon({ ...libtorch, ...change }).path).not.toBe(path)
  })

  it('is not that of other sources', () => {
    const path = carry(libtorch)
    appendFileSync(join(root, 'native/handles.h'), '// changed')
    expect(planAddon(libtorch)).toMatchObject({ isPrebuilt: false })
    expect(planAddon(libtorch).path).not.toBe(path)
  })

  it('finds LibTorch by a link beside itself, and asks of a CPU what most have', () => {
    const text = planAddon(libtorch, 'prebuilt').command.join(' ')
    expect(text).toContain('-Wl,-rpath,$ORIGIN/libtorch-2.6.0')
    expect(text).not.toContain(`-rpath,${root}`)
    if (process.arch === 'x64') expect(text).toContain('-march=x86-64-v3')
    expect(text).not.toContain('native ')
  })
})

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
