/**
 * CUDA graphs: the launches of a body are recorded once and then repeated as a whole, without the time that JavaScript, the dispatcher and
 * single launches take. What is repeated reads and writes the same memory every time, so inputs are copied into tensors of their own.
 */
import { addon } from './addon.ts'
import { engineBuild } from './context.ts'
import { type Device, guarded } from './tensor.ts'
import { type Uploading, withUploads } from './uploads.ts'

export interface Graph {
  /** Queues all of it; does not wait. */
  replay(): void
  dispose(): void
}

/** How bodies are recorded. */
export interface Recorder {
  /**
   * Records `body`, whose work does not run yet. What it sends to the device is sent at once, through `constant`, which keeps it: a replay
   * reads it again. Throws `TENSOR` for what cannot be recorded, such as reading a value.
   */
  record(body: () => void, constant: Uploading): Graph
}

/** Null where there are none: on a CPU, and with an addon that was compiled without the CUDA toolkit. */
export const graphsOf = (device: Device): Recorder | null =>
  device.startsWith('cuda') && engineBuild().graphs ? onGpu : null

const onGpu: Recorder = {
  record(body, constant) {
    const { beginGraph, endGraph, asideOfGraph, replayGraph, freeGraph } = addon()
    guarded('beginGraph', () => beginGraph())
    let isWhole = false
    let number = -1
    try {
      withUploads(
        (send, bytes) =>
          constant(() => {
            asideOfGraph(true)
            try {
              return send()
            } finally {
              asideOfGraph(false)
            }
          }, bytes),
        body,
      )
      isWhole = true
    } finally {
      number = guarded('endGraph', () => endGraph(isWhole))
    }
    return {
      replay: () => guarded('replayGraph', () => replayGraph(number)),
      dispose: () => guarded('freeGraph', () => freeGraph(number)),
    }
  },
}
