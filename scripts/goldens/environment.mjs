// What decides the bits beside sherd's code: it is forced where it can be, and names the record where it cannot.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { basename } from 'node:path'

/** Set before LibTorch is loaded. With these, processors that have AVX2 and the kernels of the key compute the same. */
export const forced = {
  ATEN_CPU_CAPABILITY: 'avx2',
  MKL_CBWR: 'AVX2',
  MKL_DYNAMIC: 'FALSE',
  OPENBLAS_CORETYPE: 'Haswell', // kernels and blocks of one processor for all
  OPENBLAS_L2_SIZE: '512',
  OPENBLAS_NUM_THREADS: '2',
  DNNL_MAX_CPU_ISA: 'AVX512_CORE_BF16', // neither AMX nor float16 units
  ONEDNN_MAX_CPU_ISA: 'AVX512_CORE_BF16',
  DNNL_DEFAULT_FPMATH_MODE: 'STRICT',
  OMP_NUM_THREADS: '2',
  OMP_DYNAMIC: 'false',
  GOMP_SPINCOUNT: '0', // a busy machine must not make it slow
  SHERD_PIXELS: 'on',
}

/** Libraries that multiply matrices, as this process has loaded them: their file names hold versions. */
function loadedLibraries() {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n')
  const files = maps
    .map((line) => line.slice(line.indexOf('/')))
    .filter((path) => /\/lib[^/]*(blas|dnnl|mkl|sleef)[^/]*\.so/.test(path))
  return [...new Set(files.map((path) => basename(realpathSync(path))))]
    .filter((name) => !/^lib(blas|lapack|cublas)/.test(name))
    .sort()
}

/** What `-march=native` means to the compiler of the addon. */
function compilerTarget() {
  const compiler = process.env.CXX ?? 'g++'
  const ask = (args) =>
    spawnSync(compiler, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } }).stdout ?? ''
  const native = process.arch === 'x64' ? '-march=native' : '-mcpu=native'
  const target = ask([native, '-Q', '--help=target'])
  const value = (name) => target.match(new RegExp(`^\\s*-m${name}=?\\s+(\\S+)`, 'm'))?.[1] ?? '?'
  const on = ['fma', 'avx2', 'avx512f', 'avx512vl', 'avx512dq', 'avx512bf16', 'amx-bf16'].filter(
    (flag) => value(flag) === '[enabled]',
  )
  return `${basename(compiler)} ${ask(['-dumpfullversion']).trim()}, ${value('arch')}, tuned for ${value('tune')}, ${on.join(' ')}`
}

/** The names of what decides the bits. Call after LibTorch is loaded. */
export function keyOf({ engineBuild }) {
  const { version, oneDnn } = engineBuild()
  return {
    libtorch: `${version} on ${process.platform} ${process.arch}${oneDnn ? ', oneDNN' : ''}`,
    libraries: loadedLibraries().join(', '),
    compiler: compilerTarget(),
  }
}

/** Numbers without a pattern, the same everywhere. */
function noise(length) {
  let state = 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

/**
 * What LibTorch's own operators compute here, by precision: no code of sherd's is in it but the call. A processor on which a library
 * takes another path, which no name says, has another probe.
 */
export function probe({ ops, fromArray, toArray, scope, autocast, setThreads }) {
  setThreads(2)
  const tensor = (shape) => fromArray(noise(shape.reduce((a, b) => a * b, 1)), shape, 'float32')
  const digestOf = (dtype) =>
    scope(() => {
      const hash = createHash('sha256')
      const see = (x) => hash.update(new Uint8Array(toArray(x).buffer))
      autocast({ device: 'cpu', dtype }, () => {
        for (const [rows, inner, columns] of [
          [68, 192, 576],
          [68, 768, 192],
          [260, 192, 48],
          [54, 256, 192],
          [218, 128, 512],
          [576, 68, 192],
          [16, 40, 8],
        ]) {
          const product = ops.matmul(tensor([rows, inner]), tensor([inner, columns]))
          see(product)
          see(ops.gelu(product))
          see(ops.linear(tensor([rows, inner]), tensor([columns, inner]), tensor([columns])))
        }
        const scores = ops.matmul(tensor([4, 3, 65, 64]), tensor([4, 3, 64, 65]))
        see(ops.softmax(scores, 3))
        see(ops.matmul(ops.softmax(scores, 3), tensor([4, 3, 65, 64])))
        const x = tensor([68, 192])
        see(ops.layerNorm(x, tensor([192]), tensor([192]), 1e-6))
        see(ops.mean(x))
        see(ops.sum(ops.square(x)))
      })
      return hash.digest('hex').slice(0, 16)
    })
  return { fp32: digestOf('float32'), bf16: digestOf('bfloat16') }
}
