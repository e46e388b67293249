/** How long a request is worth working on: until its deadline, or until it has its answer or nobody waits for one any more. */
import { setMaxListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Refusal } from './refusal.ts'

/** Aborted with the refusal `TIMEOUT` after `ms`, when the client has gone, or when all is said: of a refused form images may still wait. */
export function lifetime(response: ServerResponse, ms: number): AbortSignal {
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
  response.once('close', () => {
    clearTimeout(timer)
    life.abort(new Refusal('TIMEOUT', 'nobody waits for the answer any more'))
  })
  return life.signal
}
