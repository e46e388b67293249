/** How long a request is worth working on: until its deadline, or until it has its answer or nobody waits for one any more. */
import { setMaxListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Refusal } from './refusal.ts'

/**
 * Aborted with the refusal `TIMEOUT` after `ms`, when the client has gone, or when all is said: of a refused form images may still
 * wait; and with what `ending` is aborted with.
 */
export function lifetime(response: ServerResponse, ms: number, ending?: AbortSignal): AbortSignal {
  const life = new AbortController()
  setMaxListeners(0, life.signal) // every image of a form listens: many are no leak
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
    life.abort(new Refusal('TIMEOUT', 'nobody waits for the answer any more'))
  })
  return life.signal
}

/** What `work` comes to, if it does so in time. What has begun is not stopped by it. */
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
