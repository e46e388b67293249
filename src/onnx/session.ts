/** A graph that runs: ONNX Runtime on the CPU. The only file that knows the package; LibTorch is neither needed nor loaded. */
import type { InferenceSession } from 'onnxruntime-node'
import { messageOf, SherdError } from '../errors.ts'

export interface SessionOptions {
  /** Of one operator. */
  readonly threads: number
  /**
   * Threads that wait for their part of the next operator keep their core busy: the fastest where every core is this session's (the
   * default), but not beside other work.
   */
  readonly spin?: boolean
}

/** Numbers row by row: float32, or int64. */
export interface TensorData {
  readonly values: Float32Array | BigInt64Array
  readonly shape: readonly number[]
}

export interface Output {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

export interface Session {
  /**
   * The outputs `wanted` of inputs by their names; of a graph with one input, of that alone. Rejects with the signal's reason, and computes
   * nothing, when that is aborted before the graph begins.
   */
  run<Name extends string>(
    inputs: TensorData | Readonly<Record<string, TensorData>>,
    wanted: readonly Name[],
    signal?: AbortSignal,
  ): Promise<Record<Name, Output>>
  close(): Promise<void>
}

/** Whether a graph is given one input without its name. */
export const isOneInput = (inputs: TensorData | Readonly<Record<string, TensorData>>): inputs is TensorData =>
  Array.isArray(inputs.shape)
const typeName = ({ values }: TensorData) => (values instanceof Float32Array ? 'float32' : 'int64')

/** The package, loaded when a graph runs. */
export async function onnxRuntime(): Promise<typeof import('onnxruntime-node')> {
  // It collects what it runs – names of files, all metadata – to send it to its makers: only where the user has said so.
  process.env.ORT_DISABLE_TELEMETRY ??= '1'
  try {
    return await import('onnxruntime-node')
  } catch (error) {
    throw new SherdError(
      'ENGINE_MISSING',
      `ONNX Runtime could not be loaded (${messageOf(error)}). Its package has binaries for Linux (glibc), macOS on ARM, and Windows: install it with "npm install onnxruntime-node".`,
      { cause: error },
    )
  }
}

const FATAL = 4 // what goes wrong is thrown, and need not be printed, too

/** Throws `CHECKPOINT` when the file is no graph that can run, `ENGINE_MISSING` without ONNX Runtime. */
export async function openSession(path: string, options: SessionOptions): Promise<Session> {
  const { InferenceSession, Tensor } = await onnxRuntime()
  const { threads, spin = true } = options
  let session: InferenceSession
  try {
    session = await InferenceSession.create(path, {
      ...{ executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1 },
      ...{ graphOptimizationLevel: 'all', logSeverityLevel: FATAL },
      ...(spin ? {} : { extra: { session: { intra_op: { allow_spinning: '0' } } } }),
    })
  } catch (error) {
    throw new SherdError('CHECKPOINT', `${path} cannot be run: ${messageOf(error)}`, { cause: error })
  }
  const [input = 'pixels'] = session.inputNames
  return {
    async run(inputs, wanted, signal) {
      signal?.throwIfAborted()
      const given = isOneInput(inputs) ? { [input]: inputs } : inputs
      const feeds = Object.entries(given).map(([name, data]) => {
        const { values, shape } = data
        return [name, new Tensor(typeName(data), values, shape)] as const
      })
      const results = await session.run(Object.fromEntries(feeds), wanted).catch((error: unknown) => {
        const told = Object.values(given).map((data) => `${typeName(data)}[${data.shape.join(', ')}]`)
        throw new SherdError('TENSOR', `${path} cannot be run on ${told.join(', ')}: ${messageOf(error)}`, {
          cause: error,
        })
      })
      const outputs = wanted.map((name) => {
        const { dims, data } = results[name]!
        return [name, { shape: dims, values: data as Float32Array }] as const
      })
      return Object.fromEntries(outputs) as Record<(typeof wanted)[number], Output>
    },
    close: () => session.release(),
  }
}
