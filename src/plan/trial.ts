/** Runs a trial (take-trial.ts) in a process and a folder of its own, and removes both whatever happens. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inOwnProcess, type OwnProcessOptions } from '../machine/own-process.ts'
import type { Trial, TrialRequest } from './take-trial.ts'

/** Throws the errors of `pretrain`; `INTERRUPTED` when the signal is aborted; `RUN` when the process dies, as it does without memory. */
export async function runTrial(
  request: Omit<TrialRequest, 'out'>,
  options: OwnProcessOptions = {},
): Promise<Trial> {
  const folder = await mkdtemp(join(tmpdir(), 'sherd-plan-'))
  try {
    const order: TrialRequest = { ...request, out: join(folder, 'run') }
    return await inOwnProcess<TrialRequest, Trial>('plan/trial-process.js', order, options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
