/** ONNX Runtime as WebAssembly, in the worker. The only file that knows the package. */

import script from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url'
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import * as ort from 'onnxruntime-web/wasm'
import { messageOf, SherdError } from '../../src/errors.ts'

const MOST_THREADS = 8

export interface Graph {
  readonly inputs: readonly string[]
  /** Some outputs of one sample. int64 inputs are lists of numbers. */
  run(
    inputs: Readonly<Record<string, { values: Float32Array | readonly number[]; shape: readonly number[] }>>,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, { values: Float32Array; shape: readonly number[] }>>>
  close(): Promise<void>
}

/** Sets the runtime up: its files lie beside this script; threads need a page that is isolated from other origins. */
export function startRuntime(): number {
  const absolute = (url: string) => new URL(url, import.meta.url).href
  const threads = globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1
  ort.env.wasm.wasmPaths = { mjs: absolute(script), wasm: absolute(wasm) }
  ort.env.wasm.numThreads = threads
  ort.env.logLevel = 'fatal' // what goes wrong is thrown
  return threads
}

/** Throws `ENGINE_MISSING` without WebAssembly, `CHECKPOINT` for a graph that does not run. */
export async function openGraph(name: string, bytes: Uint8Array): Promise<Graph> {
  if (typeof WebAssembly !== 'object')
    throw new SherdError(
      'ENGINE_MISSING',
      'This browser has no WebAssembly, or it is switched off, and the model runs in it. Use a current browser, or allow it (some protected modes forbid it).',
    )
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
  }).catch((cause: unknown) => {
    throw refusal(name, bytes, cause)
  })
  return {
    inputs: session.inputNames,
    async run(inputs, outputs) {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([key, { values, shape }]) => [
          key,
          values instanceof Float32Array
            ? new ort.Tensor('float32', values, [...shape])
            : new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [...shape]),
        ]),
      )
      const made = await session.run(feeds, outputs).catch((cause: unknown) => {
        throw new SherdError('TENSOR', `${name} cannot be run: ${messageOf(cause)}`, { cause })
      })
      return Object.fromEntries(
        outputs.map((name) => {
          const { data, dims } = made[name]!
          return [name, { values: (data as Float32Array).slice(), shape: dims }]
        }),
      )
    },
    close: () => session.release(),
  }
}

function refusal(name: string, bytes: Uint8Array, cause: unknown): SherdError {
  const why = messageOf(cause)
  if (/alloc|memory|out of bounds/i.test(why))
    return new SherdError(
      'VALUE',
      `${name} (${(bytes.length / 1e6).toFixed(0)} MB) does not fit into this page's memory: export it with --precision fp16 or int8.`,
      { cause },
    )
  if (/backend|wasm|webassembly/i.test(why))
    return new SherdError('ENGINE_MISSING', `ONNX Runtime could not be started: ${why}`, { cause })
  return new SherdError('CHECKPOINT', `${name} cannot be run: ${why}`, { cause })
}
