/** The lifetime of a request: until its deadline, its answer, or the end of its connection. */
import { setMaxListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Refusal } from './refusal.ts'

/**
 * Aborts with the refusal `TIMEOUT` after `ms`, when the client has gone, when the answer has been sent (images of a refused form may
 * still be queued), or with the reason of `ending`.
 */
export function lifetime(response: ServerResponse, ms: number, ending?: AbortSignal): AbortSignal {
  const life = new AbortController()
  setMaxListeners(0, life.signal) // every image of a form listens: not a leak
  const timer = setTimeout(
    () =>
      life.abort(
        new Refusal('TIMEOUT', `no answer within ${ms / 1000} s: the server has too much to do`, {
          'retry-after': '1',
        }),
      ),
    ms,
  )
  const end = () => life.abort(ending!.reason)
  if (ending?.aborted) end()
  ending?.addEventListener('abort', end)
  response.once('close', () => {
    clearTimeout(timer)
    ending?.removeEventListener('abort', end)
    life.abort(new Refusal('TIMEOUT', 'the client has gone'))
  })
  return life.signal
}

/** Rejects if `life` aborts before `work` settles; the work itself is not stopped. */
export async function within<T>(life: AbortSignal, work: Promise<T>): Promise<T> {
  let end = () => {}
  const ended = new Promise<never>((_, reject) => {
    end = () => reject(life.reason)
    if (life.aborted) end()
    life.addEventListener('abort', end)
  })
  try {
    return await Promise.race([work, ended])
  } finally {
    life.removeEventListener('abort', end)
  }
}
