import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findLibTorch } from '../../src/tensor/libtorch.ts'
import { temporaryFolder } from './temporary-folder.ts'

const library = process.platform === 'darwin' ? 'libtorch.dylib' : 'libtorch.so'
const header = (version: string) =>
  ['MAJOR', 'MINOR', 'PATCH']
    .map((part, i) => `#define TORCH_VERSION_${part} ${version.split('.')[i]}`)
    .join('\n')

/** A folder laid out like an unpacked LibTorch. */
const layOut = (extra: Record<string, string> = {}, version = '2.6.1') => ({
  [`lib/${library}`]: '',
  'include/torch/csrc/api/include/torch/version.h': header(version),
  ...extra,
})
const lookIn = (files: Record<string, string>) => {
  const dir = temporaryFolder(files)
  return { dir, ...findLibTorch({ LIBTORCH: dir }) }
}

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('LIBTORCH', () => {
  it('is taken with its version and folders', () => {
    const { dir, libtorch, tried } = lookIn(layOut())
    expect(libtorch).toEqual({
      origin: 'LIBTORCH',
      includeDirs: [join(dir, 'include'), join(dir, 'include/torch/csrc/api/include')],
      libDir: join(dir, 'lib'),
      version: '2.6.1',
      cuda: false,
      cxx11Abi: 1,
    })
    expect(tried).toEqual([{ where: `LIBTORCH=${dir}`, result: `LibTorch 2.6.1 in ${join(dir, 'lib')}` }])
  })

  it('with CUDA', () => {
    const { libtorch } = lookIn(layOut({ [`lib/${library.replace('libtorch', 'libtorch_cuda')}`]: '' }))
    expect(libtorch?.cuda).toBe(true)
  })

  it.each([
    ['set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")', 0],
    ['set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=1")', 1],
    ['', 1],
  ])('with the ABI that its CMake file names: %s', (cmake, abi) => {
    const { libtorch } = lookIn(layOut({ 'share/cmake/Torch/TorchConfig.cmake': cmake }))
    expect(libtorch?.cxx11Abi).toBe(abi)
  })

  it('with the version header where newer ones have it', () => {
    const { libtorch } = lookIn({
      [`lib/${library}`]: '',
      // It only includes the moved one.
      'include/torch/csrc/api/include/torch/version.h': '#include <torch/headeronly/version.h>',
      'include/torch/headeronly/version.h': header('2.15.0'),
    })
    expect(libtorch?.version).toBe('2.15.0')
  })

  const wrong: [string, Record<string, string>, RegExp][] = [
    ['an empty folder', {}, /^no libtorch\.\w+ in .*lib$/],
    ['no headers', { [`lib/${library}`]: '' }, /but its C\+\+ headers are not in .*include$/],
    ['no library', { 'include/torch/csrc/api/include/torch/version.h': header('2.6.0') }, /^no libtorch/],
    [
      'no number in the header',
      layOut({ 'include/torch/csrc/api/include/torch/version.h': '' }),
      /headers are not/,
    ],
  ]
  it.each(wrong)('that is wrong is not replaced silently: %s', (_, files, pattern) => {
    const { dir, libtorch, tried } = lookIn(files)
    expect(libtorch).toBeNull()
    expect(tried).toEqual([{ where: `LIBTORCH=${dir}`, result: expect.stringMatching(pattern) }])
  })

  it('that does not exist says so', () => {
    const { libtorch, tried } = findLibTorch({ LIBTORCH: '/no/such/folder', LIBTORCH_USE_PYTORCH: '1' })
    expect(libtorch).toBeNull()
    expect(tried).toEqual([{ where: 'LIBTORCH=/no/such/folder', result: '/no/such/folder does not exist' }])
  })
})

describe('LIBTORCH_USE_PYTORCH', () => {
  /** Puts a `python3` first on the PATH that answers with `script`. */
  const python = (script: string, files: Record<string, string> = {}) => {
    const dir = temporaryFolder(files)
    writeFileSync(join(dir, 'python3'), `#!/bin/sh\n${script.replaceAll('DIR', dir)}\n`)
    chmodSync(join(dir, 'python3'), 0o755)
    vi.stubEnv('PATH', `${dir}:${process.env.PATH}`)
    return { dir, ...findLibTorch({ LIBTORCH_USE_PYTORCH: '1' }) }
  }

  it('takes the one that python3 has', () => {
    const wheel = Object.fromEntries(
      Object.entries(layOut({}, '2.9.0')).map(([path, text]) => [`torch/${path}`, text]),
    )
    const { dir, libtorch, tried } = python('echo DIR/torch/__init__.py', wheel)
    expect(libtorch).toMatchObject({
      origin: 'LIBTORCH_USE_PYTORCH',
      libDir: join(dir, 'torch/lib'),
      version: '2.9.0',
    })
    expect(tried.map(({ where }) => where)).toEqual(['LIBTORCH', 'LIBTORCH_USE_PYTORCH=1'])
  })

  it.each([
    ['it has none', 'echo', 'this python3 has no torch'],
    ['it fails', 'echo "no module importlib" >&2; exit 1', 'python3 could not be asked: no module importlib'],
    [
      'its torch has no library',
      'echo DIR/torch/__init__.py',
      expect.stringMatching(/torch does not exist$/),
    ],
  ])('falls back to nothing when %s', (_, script, result) => {
    const { libtorch, tried } = python(script)
    expect(libtorch).toBeNull()
    expect(tried.at(-1)).toEqual({ where: 'LIBTORCH_USE_PYTORCH=1', result })
  })
})

it('looks at the system last, and tells every attempt', () => {
  const { libtorch, tried } = findLibTorch({})
  expect(tried.map(({ where, result }) => [where, where === 'system' ? '…' : result])).toEqual([
    ['LIBTORCH', 'not set'],
    ['LIBTORCH_USE_PYTORCH', 'not set'],
    ['system', '…'],
  ])
  if (libtorch) expect(libtorch.origin).toBe('system')
})
