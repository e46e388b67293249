/** The library that multiplies float32 matrices on a CPU: whether it is a fast one, and what helps where it is not. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from './finding.ts'

/** GFLOP/s per core in float32; a reference BLAS has about 1, an optimised one 30 to 100. */
export const slowestHealthy = 10

export interface BlasFacts {
  /** Real paths of the loaded libraries that may contain it; none where it is built into LibTorch. */
  readonly libraries: readonly string[]
  /** GFLOP/s. */
  readonly perCore: number
  /** Cores that other programs use; null for none to speak of. */
  readonly load: number | null
  /** Whether OpenBLAS is installed, though another one is loaded. */
  readonly hasOpenBlas: boolean
  readonly hasApt: boolean
}

const optimised = /openblas|mkl|blis|armpl|accelerate/i

/** The advice is one that changes something: nothing that is there already, and nothing where only other programs are in the way. */
export function blasFinding({ libraries, perCore, load, hasOpenBlas, hasApt }: BlasFacts): Finding {
  const name = 'BLAS'
  const value =
    libraries.join(', ') || (process.platform === 'darwin' ? 'Accelerate or built in' : 'built into LibTorch')
  const isOptimised = libraries.length === 0 || libraries.some((path) => optimised.test(path))
  if (isOptimised && (perCore >= slowestHealthy || load !== null)) return { name, status: 'ok', value }
  if (isOptimised)
    return {
      ...{
        name,
        status: 'warn',
        value: `${value}: float32 products are far slower than a CPU of today makes them`,
      },
      fix: 'unset OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS where they are set; a virtual machine may have shares of cores only',
    }
  return {
    ...{ name, status: 'warn', value: `${value}: a reference library, tens of times slower than this CPU` },
    fix: hasOpenBlas
      ? 'update-alternatives --config libblas.so.3-$(uname -m)-linux-gnu   (choose OpenBLAS, which is installed)'
      : hasApt
        ? 'apt-get install -y libopenblas0-openmp'
        : 'install OpenBLAS with the package manager of this system, as its libblas.so.3',
  }
}

/** Real paths of the loaded libraries that may contain the BLAS. */
export function blasLibraries(): string[] {
  if (!existsSync('/proc/self/maps')) return []
  const mapped =
    readFileSync('/proc/self/maps', 'utf8').match(
      /\/\S*lib(?:openblas|blas|mkl_\w+|blis|flexiblas)[^\s/]*\.so\S*/g,
    ) ?? []
  return [...new Set(mapped.map((path) => (existsSync(path) ? realpathSync(path) : path)))]
}

/** Debian keeps each BLAS in a folder of its own, below one for the processor. */
export function hasOpenBlas(root = '/usr/lib'): boolean {
  try {
    return readdirSync(root)
      .filter((name) => name.includes('-linux-'))
      .some((name) => readdirSync(join(root, name)).some((inner) => inner.startsWith('openblas-')))
  } catch {
    return false
  }
}
