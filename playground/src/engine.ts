/** The page's end of the worker: requests as promises. */
import { SherdError } from '../../src/errors.ts'
import type { LoadProgress } from './fetch-model.ts'
import type { Answered, Asked, Kind, Requests } from './protocol.ts'

interface Waiting {
  resolve(give: unknown): void
  reject(error: unknown): void
  progress?: (progress: LoadProgress) => void
}

export interface Engine {
  ask<K extends Kind>(
    kind: K,
    ask: Requests[K]['ask'],
    onProgress?: (progress: LoadProgress) => void,
  ): Promise<Requests[K]['give']>
}

export function startEngine(): Engine {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
  const waiting = new Map<number, Waiting>()
  let last = 0
  worker.addEventListener('message', ({ data }: MessageEvent<Answered>) => {
    const request = waiting.get(data.id)
    if (!request) return
    if ('progress' in data) return request.progress?.(data.progress)
    waiting.delete(data.id)
    if ('error' in data) request.reject(new SherdError(data.error.code, data.error.message))
    else request.resolve(data.give)
  })
  // The worker's script itself did not load, or died: nobody will answer.
  worker.addEventListener('error', (event) => {
    const why = event.message || 'its script could not be loaded'
    const error = new SherdError(
      'ENGINE_MISSING',
      `The worker of this page stopped: ${why}. Load the page again.`,
    )
    for (const request of waiting.values()) request.reject(error)
    waiting.clear()
  })
  return {
    ask: (kind, ask, progress) =>
      new Promise((resolve, reject) => {
        const id = ++last
        waiting.set(id, {
          ...{ resolve: resolve as (give: unknown) => void, reject },
          ...(progress && { progress }),
        })
        worker.postMessage({ id, kind, ask } satisfies Asked)
      }),
  }
}
