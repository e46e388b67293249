/** A run that is killed again and again, and what it must end with: the bytes of one that was left alone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { listCheckpoints } from '../../../src/checkpoint/retention.ts'
import { draws } from '../../../src/random/draws.ts'
import { readNotes } from '../../../src/run/journal.ts'
import { startHeld } from '../held.ts'
import { metricsOf, sherd, start, tiny } from '../sherd.ts'

export interface KilledRun {
  readonly cwd: string
  /** A folder of images below it. */
  readonly data: string
  readonly kills: number
  readonly steps: number
  readonly seed: number
  /** Kills fall behind one of so many calls of a life that change files; without it they fall at times. */
  readonly calls?: number
  /** More keys of the configuration. */
  readonly keys?: Readonly<Record<string, unknown>>
}

const learned = (run: string) =>
  metricsOf(run).map(({ step, loss, gradientNorm, learningRate }) => [step, loss, gradientNorm, learningRate])

/** Every file of the last checkpoint. */
function lastCheckpoint(run: string): Record<string, Buffer> {
  const { path } = listCheckpoints(join(run, 'checkpoints')).at(-1)!
  return Object.fromEntries(
    ['model.safetensors', 'optimizer.safetensors', 'state.json'].map((name) => [
      name,
      readFileSync(join(path, name)),
    ]),
  )
}

/**
 * Trains twice with the same command. The second time the process is killed `kills` times, each at a random moment of its life,
 * and started again. Returns where the kills fell.
 */
export async function expectExactResume({
  cwd,
  data,
  kills,
  steps,
  seed,
  calls,
  keys = {},
}: KilledRun): Promise<{
  readonly atSteps: readonly number[]
  readonly whileSaving: number
}> {
  const command = (out: string) => [
    ...['pretrain', 'mae-tiny-cifar10', '--data', data, '--out', out, '--steps', String(steps), '--resume'],
    ...tiny({ 'optim.baseLearningRate': 0.02, 'checkpoint.everySteps': 2, 'checkpoint.keep': 3, ...keys }),
  ]
  expect((await sherd(command('whole'), { cwd })).status).toBe(0)
  const killed = join(cwd, 'killed')
  const atSteps: number[] = []
  let whileSaving = 0
  const next = draws({ seed, stream: 'kills', epoch: 0, index: 0 })
  for (let kill = 0; kill < kills; kill++) {
    const running =
      calls === undefined
        ? start(command('killed'), { cwd })
        : startHeld(command('killed'), cwd, { calls: next.below(calls) })
    let hasEnded = false
    void running.ended.then(() => {
      hasEnded = true
    })
    if ('reached' in running) await running.reached
    else {
      // Most of a short life is its start: one kill of four falls there, the others some steps after the first line.
      const before = learned(killed).length
      if (next.below(4) > 0)
        for (let i = 0; i < 4000 && !hasEnded && learned(killed).length === before; i++) await sleep(2)
      await sleep(next.below(next.below(4) > 0 ? 120 : 1200))
      if (hasEnded) break
    }
    running.kill('SIGKILL')
    expect((await running.ended).status).toBe('SIGKILL')
    atSteps.push(learned(killed).length)
    const folder = join(killed, 'checkpoints')
    if (existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('.'))) whileSaving++
  }
  const last = await sherd(command('killed'), { cwd })
  expect([last.status, last.stderr]).toEqual([0, expect.stringMatching(/^completed \d+ steps/mu)])
  expect(learned(killed)).toEqual(learned(join(cwd, 'whole')))
  expect(lastCheckpoint(killed)).toEqual(lastCheckpoint(join(cwd, 'whole')))
  const notes = readNotes(join(killed, 'journal.jsonl'))
  expect(notes.filter(({ event }) => event === 'warning')).toEqual([]) // no checkpoint was ever damaged
  return { atSteps, whileSaving }
}
