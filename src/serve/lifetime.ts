/** How long a request is worth working on: until its deadline, or until nobody waits for the answer any more. */
import type { ServerResponse } from 'node:http'
import { Refusal } from './refusal.ts'

/** Aborted with the refusal `TIMEOUT` after `ms`, or when the client has gone. */
export function lifetime(response: ServerResponse, ms: number): AbortSignal {
  const life = new AbortController()
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
    if (!response.writableFinished) life.abort(new Refusal('TIMEOUT', 'the client has gone'))
  })
  return life.signal
}
