/** The process of one trial. Started by trial.ts, which tells it what to try; ends with it. */
import { rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'
import { takeTrial } from './take-trial.ts'
import type { FromTrial, ToTrial } from './trial.ts'

const send = (message: FromTrial) => new Promise<void>((resolve) => process.send?.(message, () => resolve()))

// Ctrl-C reaches every process of a terminal. This one is ended by the one that started it, which knows why.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})

try {
  writeFileSync('/proc/self/oom_score_adj', '900') // where memory runs out, the trial goes and nothing else (Linux)
} catch {
  // no such file elsewhere
}

process.once('message', async ({ request }: ToTrial) => {
  process.once('disconnect', () => {
    rmSync(dirname(request.out), { recursive: true, force: true })
    process.exit()
  })
  try {
    const trial = await takeTrial(request, (steps) => void send({ kind: 'steps', steps }))
    await send({ kind: 'done', trial })
  } catch (error) {
    const code = error instanceof SherdError ? error.code : 'BUG'
    await send({ kind: 'failure', code, message: messageOf(error) })
  }
  process.exit()
})
