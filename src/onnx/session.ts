/** Runs graphs by ONNX Runtime on the CPU. The only file that imports the package; needs no LibTorch. */
import type { InferenceSession } from 'onnxruntime-node'
import { messageOf, SherdError } from '../errors.ts'

export interface SessionOptions {
  /** Per operator. */
  readonly threads: number
  /** Idle threads spin: fastest if every core belongs to this session (default), slow beside other work. */
  readonly spin?: boolean
}

/** Row-major float32 or int64. */
export interface TensorData {
  readonly values: Float32Array | BigInt64Array
  readonly shape: readonly number[]
}

export interface Output {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

export interface Session {
  /** `inputs`: by name, or the single input. Rejects with the signal's reason, without computing, if it aborts before the graph begins. */
  run<Name extends string>(
    inputs: TensorData | Readonly<Record<string, TensorData>>,
    wanted: readonly Name[],
    signal?: AbortSignal,
  ): Promise<Record<Name, Output>>
  close(): Promise<void>
}

/** Whether a single input was given without its name. */
export const isOneInput = (inputs: TensorData | Readonly<Record<string, TensorData>>): inputs is TensorData =>
  Array.isArray(inputs.shape)
const typeName = ({ values }: TensorData) => (values instanceof Float32Array ? 'float32' : 'int64')

/** Loads the package lazily. */
export async function onnxRuntime(): Promise<typeof import('onnxruntime-node')> {
  // Its telemetry sends file names and metadata to its makers: off unless the user has enabled it.
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

const FATAL = 4 // log level: errors are thrown, not printed

/** Throws `CHECKPOINT` for a file that cannot run, `ENGINE_MISSING` without ONNX Runtime. */
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
        const shapes = Object.values(given).map((data) => `${typeName(data)}[${data.shape.join(', ')}]`)
        throw new SherdError('TENSOR', `${path} cannot be run on ${shapes.join(', ')}: ${messageOf(error)}`, {
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
