import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { missingPackages, setUp } from '../../src/machine/setup.ts'
import type { Discovery, LibTorch } from '../../src/tensor/libtorch.ts'
import { temporaryFolder } from '../prepare/decode/make-images.ts'

const nothing: Discovery = { libtorch: null, tried: [] }
const found = (libDir: string): Discovery => ({
  libtorch: {
    libDir,
    origin: 'system',
    includeDirs: [],
    version: '1.13.1',
    cuda: false,
    cxx11Abi: 1,
  } satisfies LibTorch,
  tried: [],
})

/** A machine where only these Debian packages are installed. */
async function onMachineWith(...installed: string[]): Promise<void> {
  const dir = await temporaryFolder()
  const program = (name: string, script: string) => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(dir, name), 0o755)
  }
  if (installed.includes('g++')) program('g++', 'exit 0')
  // Removed packages whose configuration stays are known to dpkg, too.
  program(
    'dpkg-query',
    `case " ${installed.join(' ')} " in *" $2 "*) echo "Status: install ok installed";; *) echo "Status: deinstall ok config-files";; esac`,
  )
  vi.stubEnv('PATH', dir)
  for (const name of ['CXX', 'LIBTORCH', 'LIBTORCH_USE_PYTORCH']) vi.stubEnv(name, undefined)
}

afterEach(() => vi.unstubAllEnvs())

describe('missingPackages', () => {
  it('asks for the compiler, LibTorch and the fast BLAS on a bare machine', async () => {
    await onMachineWith()
    expect(missingPackages(nothing)).toEqual(['g++', 'libtorch-dev', 'libopenblas0-openmp'])
  })

  it('asks for what is missing only', async () => {
    await onMachineWith('g++', 'libtorch-dev')
    expect(missingPackages(found('/usr/lib/x86_64-linux-gnu'))).toEqual(['libopenblas0-openmp'])
    await onMachineWith('g++', 'libtorch-dev', 'libopenblas0-openmp')
    expect(missingPackages(found('/usr/lib/x86_64-linux-gnu'))).toEqual([])
  })

  it('installs no LibTorch beside one that the user brought', async () => {
    await onMachineWith('g++')
    expect(missingPackages(found('/usr/local/lib'))).toEqual([])
    vi.stubEnv('LIBTORCH', '/opt/libtorch')
    expect(missingPackages(found('/opt/libtorch/lib'))).toEqual([])
    expect(missingPackages(nothing)).toEqual([]) // a wrong LIBTORCH is told, not papered over
    vi.stubEnv('LIBTORCH', undefined)
    vi.stubEnv('LIBTORCH_USE_PYTORCH', '1')
    expect(missingPackages(nothing)).toEqual([])
  })

  it('needs a compiler wherever LibTorch came from: the one that CXX names', async () => {
    await onMachineWith()
    vi.stubEnv('LIBTORCH', '/opt/libtorch')
    expect(missingPackages(found('/opt/libtorch/lib'))).toEqual(['g++'])
    await onMachineWith('g++')
    vi.stubEnv('CXX', '/nonexistent/clang++')
    expect(missingPackages(found('/usr/local/lib'))).toEqual(['g++'])
  })
})

describe('setUp', () => {
  it('has nothing to do where everything is there', () => {
    const said: string[] = []
    setUp((line) => said.push(line)) // compiles the addon where no test did before
    said.length = 0
    expect(setUp((line) => said.push(line))).toMatchObject({
      changed: false,
      version: expect.stringMatching(/^\d+\.\d+/) as string,
    })
    expect(said).toEqual([])
  })

  it('says what to install by hand, for every system', () => {
    vi.stubEnv('LIBTORCH', '/nonexistent')
    const message = expect.stringMatching(
      /LIBTORCH=\/nonexistent: \/nonexistent does not exist.*apt-get install.*brew install pytorch.*LIBTORCH_USE_PYTORCH=1/s,
    ) as string
    expect(() => setUp(() => {})).toThrow(expect.objectContaining({ code: 'ENGINE_MISSING', message }))
  })
})
