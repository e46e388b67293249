/** How the addon is compiled against the LibTorch that was found; the compiling itself is `src/native/compile.ts`. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type AddonBuild, addonFlags, planBuild } from '../native/compile.ts'
import { packageRoot } from '../package-root.ts'
import { cpuFlags } from './cpu.ts'
import { installByHand } from './install-hints.ts'
import type { LibTorch } from './libtorch.ts'

// The kernels are compiled for the CPU that runs them. Which one that is belongs into the name of the build.
const forThisCpu = process.arch === 'x64' ? '-march=native' : '-mcpu=native'

/** LibTorch's headers set the language level: C++17 up to 2.13, C++20 from 2.14 on. */
function languageLevel(version: string): string {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 14) ? 'c++20' : 'c++17'
}

function compilerFlags(libtorch: LibTorch): string[] {
  const libraries = ['torch', 'torch_cpu', 'c10', ...(libtorch.cuda ? ['torch_cuda', 'c10_cuda'] : [])]
  return [
    `-std=${languageLevel(libtorch.version)}`,
    ...addonFlags(),
    forThisCpu,
    `-D_GLIBCXX_USE_CXX11_ABI=${libtorch.cxx11Abi}`,
    ...libtorch.includeDirs.filter((dir) => dir !== '/usr/include').map((dir) => `-I${dir}`),
    `-L${libtorch.libDir}`,
    // The CUDA back end registers itself when its library is loaded: nothing of it is named in the source.
    ...(process.platform === 'darwin' ? [] : ['-Wl,--no-as-needed']),
    ...libraries.map((name) => `-l${name}`),
    `-Wl,-rpath,${libtorch.libDir}`,
  ]
}

/** Where the addon for this LibTorch belongs, and the command that compiles it. */
export function planAddon(libtorch: LibTorch): AddonBuild {
  const library = statSync(
    join(libtorch.libDir, process.platform === 'darwin' ? 'libtorch.dylib' : 'libtorch.so'),
  )
  return planBuild({
    name: 'sherd',
    dir: join(packageRoot(), 'native'),
    folders: ['kernels'],
    sources: ['addon.cc', 'kernels/operators.cc'],
    flags: compilerFlags(libtorch),
    inputs: [libtorch, library.mtimeMs, library.size, [...cpuFlags()].sort()],
    help: installByHand,
  })
}
