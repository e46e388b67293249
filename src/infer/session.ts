/** A graph that runs: ONNX Runtime on the CPU. The only file that knows the package; LibTorch is neither needed nor loaded. */
import type { InferenceSession } from 'onnxruntime-node'
import { messageOf, SherdError } from '../errors.ts'

export interface SessionOptions {
  /** Of one operator. */
  readonly threads: number
}

export interface Output {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

export interface Session {
  /** The outputs `wanted`, of samples [B, …] that lie in `values`. */
  run<Name extends string>(
    input: { readonly values: Float32Array; readonly shape: readonly number[] },
    wanted: readonly Name[],
  ): Promise<Record<Name, Output>>
  close(): Promise<void>
}

/** The package, loaded when a graph runs. */
export async function onnxRuntime(): Promise<typeof import('onnxruntime-node')> {
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
export async function openSession(path: string, { threads }: SessionOptions): Promise<Session> {
  const { InferenceSession, Tensor } = await onnxRuntime()
  let session: InferenceSession
  try {
    session = await InferenceSession.create(path, {
      ...{ executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1 },
      ...{ graphOptimizationLevel: 'all', logSeverityLevel: FATAL },
    })
  } catch (error) {
    throw new SherdError('CHECKPOINT', `${path} cannot be run: ${messageOf(error)}`, { cause: error })
  }
  const [input = 'pixels'] = session.inputNames
  return {
    async run(given, wanted) {
      const results = await session
        .run({ [input]: new Tensor('float32', given.values, given.shape) }, wanted)
        .catch((error: unknown) => {
          throw new SherdError(
            'TENSOR',
            `${path} cannot be run on float32[${given.shape.join(', ')}]: ${messageOf(error)}`,
            { cause: error },
          )
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
