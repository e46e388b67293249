/**
 * Dynamic batching: a queue in front of a session. A batch is sent when it is full, when no more samples are being decoded, or when
 * its oldest sample has waited `mostWait`; while the session is busy, the next batch fills.
 */
import type { Output, Session, TensorData } from '../onnx/session.ts'
import { Refusal } from './refusal.ts'

/** The inputs of one sample by name, without the batch dimension. */
export type SampleInputs = Readonly<Record<string, TensorData>>
export type SampleOutputs = Readonly<Record<string, Output>>

export interface BatcherOptions {
  readonly session: Session
  readonly mostTogether: number
  /** In milliseconds. */
  readonly mostWait: number
  /** Samples that may wait; more are refused as `BUSY`. */
  readonly mostQueued: number
  /** The number of samples that are being read and decoded. */
  readonly onTheWay: () => number
  readonly onBatch?: (samples: number) => void
}

export interface Batcher {
  /** Rejects with the signal's reason if it aborts before the sample's batch is sent. A batch whose samples are all aborted is not computed. */
  run(inputs: SampleInputs, wanted: readonly string[], signal: AbortSignal): Promise<SampleOutputs>
  readonly queued: number
  /** Checks again whether a batch can be sent. Call it when a sample being decoded is dropped. */
  nudge(): void
}

interface Job {
  readonly inputs: SampleInputs
  readonly wanted: readonly string[]
  /** Only samples of the same kind share a batch. */
  readonly kind: string
  readonly since: number
  readonly signal: AbortSignal
  readonly resolve: (outputs: SampleOutputs) => void
  readonly reject: (error: unknown) => void
  readonly leave: () => void
}

/** One batch computes while the next is queued in the session's thread, so that it never waits for this one. */
const IN_FLIGHT = 2

const kindOf = (inputs: SampleInputs, wanted: readonly string[]) =>
  JSON.stringify([wanted, Object.entries(inputs).map(([name, { shape }]) => [name, shape])])

export function batcher(options: BatcherOptions): Batcher {
  const { session, mostTogether, mostWait, mostQueued, onTheWay, onBatch } = options
  const queue: Job[] = []
  let inFlight = 0
  let timer: NodeJS.Timeout | null = null

  const take = (): Job[] => {
    const { kind } = queue[0]!
    const batch = queue.filter((job) => job.kind === kind).slice(0, mostTogether)
    for (const job of batch) queue.splice(queue.indexOf(job), 1)
    return batch
  }
  const compute = async (batch: readonly Job[]) => {
    inFlight++
    onBatch?.(batch.length)
    const wish = allOf(batch.map(({ signal }) => signal))
    try {
      const { wanted } = batch[0]!
      const inputs = stack(batch.map((job) => job.inputs))
      const outputs = await session.run(inputs, wanted, wish.signal)
      for (const [row, job] of batch.entries()) job.resolve(rowOf(outputs, row, batch.length))
    } catch (error) {
      for (const job of batch) job.reject(error)
    } finally {
      wish.forget()
      inFlight--
      pump()
    }
  }
  const pump = () => {
    if (timer) clearTimeout(timer)
    timer = null
    while (queue.length > 0 && inFlight < IN_FLIGHT) {
      const isFull = queue.length >= mostTogether
      const waited = performance.now() - queue[0]!.since
      // A second batch is sent while the first computes only if it is full.
      const isWorth = isFull || (inFlight === 0 && (onTheWay() === 0 || waited >= mostWait))
      if (!isWorth) {
        if (inFlight === 0) timer = setTimeout(pump, Math.max(1, mostWait - waited))
        return
      }
      const batch = take()
      for (const job of batch) job.leave()
      void compute(batch)
    }
  }

  return {
    get queued() {
      return queue.length
    },
    nudge: pump,
    run: (inputs, wanted, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        if (queue.length >= mostQueued)
          return reject(
            new Refusal('BUSY', `${queue.length} images wait already: try again later`, {
              'retry-after': '1',
            }),
          )
        const drop = () => {
          queue.splice(queue.indexOf(job), 1)
          reject(signal.reason)
        }
        const job: Job = {
          ...{ inputs, wanted, signal, kind: kindOf(inputs, wanted), since: performance.now() },
          ...{ resolve, reject },
          leave: () => signal.removeEventListener('abort', drop),
        }
        signal.addEventListener('abort', drop, { once: true })
        queue.push(job)
        pump()
      }),
  }
}

/** Aborts when all of the signals have. */
function allOf(signals: readonly AbortSignal[]) {
  const all = new AbortController()
  const unique = new Set(signals) // images of one form share a signal
  let left = unique.size
  const drop = (event: Event) => {
    if (--left === 0) all.abort((event.target as AbortSignal).reason)
  }
  for (const signal of unique) signal.addEventListener('abort', drop, { once: true })
  return {
    signal: all.signal,
    forget() {
      for (const signal of unique) signal.removeEventListener('abort', drop)
    },
  }
}

/** Stacks samples of equal shapes: [B, …]. */
function stack(samples: readonly SampleInputs[]): Record<string, TensorData> {
  const names = Object.keys(samples[0] ?? {})
  return Object.fromEntries(
    names.map((name) => {
      const { values, shape } = samples[0]![name]!
      const { length } = values
      const whole =
        values instanceof Float32Array
          ? new Float32Array(samples.length * length)
          : new BigInt64Array(samples.length * length)
      for (const [row, sample] of samples.entries())
        (whole as Float32Array).set(sample[name]!.values as Float32Array, row * length)
      return [name, { values: whole, shape: [samples.length, ...shape] }]
    }),
  )
}

/** One row of outputs [B, …], copied. */
function rowOf(outputs: Readonly<Record<string, Output>>, row: number, rows: number): SampleOutputs {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { values, shape }]) => {
      const length = values.length / rows
      return [name, { values: values.slice(row * length, (row + 1) * length), shape: shape.slice(1) }]
    }),
  )
}
