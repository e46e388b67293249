// Short forms of what test/soak does for long: whatever happens to a process, the run continues as if nothing had happened.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { latestWhole, listCheckpoints } from '../../../src/checkpoint/checkpoint.ts'
import { readNotes } from '../../../src/run/journal.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { startHeld } from '../held.ts'
import { metricsOf, type Outcome, set, sherd, start, tiny, until, workFolder } from '../sherd.ts'
import { expectExactResume } from './killed-run.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 40, size: 20, seed: 1 })
})

const command = (out: string, steps: number, more: Readonly<Record<string, unknown>> = {}) => [
  ...['pretrain', 'mae-tiny-cifar10', '--data', 'images', '--out', out, '--steps', String(steps)],
  ...tiny({ 'optim.baseLearningRate': 0.02, ...more }),
]
const notes = (out: string) => readNotes(join(cwd, out, 'journal.jsonl'))
const lastWeights = (out: string) =>
  readFileSync(join(listCheckpoints(join(cwd, out, 'checkpoints')).at(-1)!.path, 'model.safetensors'))
const hasSteps = (out: string, count: number) => () => metricsOf(join(cwd, out)).length >= count

describe('a run that is killed four times', () => {
  it('ends with the bytes of one that was left alone', async () => {
    const keys = { 'train.accumulate': 2 }
    const run = { cwd, data: 'images', kills: 4, steps: 28, seed: 1, keys }
    // The steps make some 1,800 such calls: it is never over before.
    const { atSteps } = await expectExactResume({ ...run, calls: 400 })
    expect(atSteps).toHaveLength(4)
  })
})

describe('a signal', () => {
  it('SIGUSR1 saves and continues', async () => {
    const running = start(command('usr1', 1_000_000, { 'checkpoint.everySteps': 1_000_000 }), { cwd })
    await until(hasSteps('usr1', 3), 'three steps')
    running.kill('SIGUSR1')
    await until(() => listCheckpoints(join(cwd, 'usr1/checkpoints')).length > 0, 'a checkpoint')
    const { step } = listCheckpoints(join(cwd, 'usr1/checkpoints'))[0]!
    await until(hasSteps('usr1', step + 5), 'more steps')
    running.kill('SIGTERM')
    const { status, stderr } = await running.ended
    expect(status).toBe(143)
    expect(stderr).toMatch(/^SIGUSR1: saving a checkpoint after this step, then continuing$/m)
    expect(notes('usr1').map(({ event }) => event)).toEqual(['began', 'checkpoint wanted', 'interrupted'])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s twice ends the process although JavaScript hears nothing', async (signal, expected) => {
    const out = `twice-${signal}`
    // Held, as within a long operator of LibTorch.
    const running = startHeld(command(out, 100), cwd, { path: `${out}/metrics.jsonl` })
    await running.reached
    let status: Outcome['status'] | undefined
    void running.ended.then((outcome) => {
      status = outcome.status
    })
    const send = () => {
      running.kill(signal) // two that have not been delivered are one
      return status !== undefined
    }
    await until(send, 'the end')
    expect(status).toBe(expected)
    expect(metricsOf(join(cwd, out))).toHaveLength(1)
    expect(listCheckpoints(join(cwd, out, 'checkpoints'))).toEqual([])
  })
})

describe('one wish from two senders', () => {
  it('finishes the step and saves, as one does', async () => {
    /** Two signals to a run that hears neither before both are sent, and how many seconds these took. */
    async function twice(out: string) {
      const running = startHeld(command(out, 100), cwd, { path: `${out}/metrics.jsonl` })
      await running.reached
      const sent = performance.now()
      running.kill('SIGTERM')
      spawnSync('/bin/sh', ['-c', `kill -TERM ${running.process()}`]) // as a scheduler that stops every process of a job does
      running.letGo()
      const { status, stderr } = await running.ended
      return { status, stderr, seconds: (performance.now() - sent) / 1000 }
    }
    // Those that are more than a second apart are two wishes, and the machine decides how far these are: it may have been busy.
    for (let attempt = 0; ; attempt++) {
      const { status, stderr, seconds } = await twice(`unit-${attempt}`)
      if (seconds > 1 && !stderr.includes('interrupted') && attempt < 20) continue
      expect([status, stderr]).toEqual([143, expect.stringMatching(/^interrupted at step \d of 100/m)])
      expect(listCheckpoints(join(cwd, `unit-${attempt}`, 'checkpoints'))).toHaveLength(1)
      return
    }
  })
})

describe('--supervise', () => {
  const trainer = (out: string) =>
    notes(out).findLast(({ process }) => process !== undefined)!.process as number

  it('starts a killed training again, tells so, and ends with the bytes of one that was left alone', async () => {
    const keys = { 'checkpoint.everySteps': 5, 'train.accumulate': 2 }
    const whole = sherd(command('watched-whole', 20, keys), { cwd })
    const place = { path: 'watched/metrics.jsonl', lines: 8 }
    const running = startHeld([...command('watched', 20, keys), '--supervise'], cwd, place)
    await running.reached
    expect(running.process()).toBe(trainer('watched'))
    process.kill(running.process(), 'SIGKILL')
    running.letGo()
    const { status, stderr } = await running.ended
    expect([status, (await whole).status]).toEqual([0, 0])
    expect(stderr).toMatch(
      /^the training was ended by SIGKILL: starting it again from its checkpoint of step 5 in 1 s$/m,
    )
    expect(notes('watched').map(({ event }) => event)).toEqual(['began', 'restarted', 'resumed', 'completed'])
    expect(lastWeights('watched').equals(lastWeights('watched-whole'))).toBe(true)
  })

  it('gives up after as many crashes as it may', async () => {
    const keys = { 'checkpoint.everySteps': 1_000_000 }
    const running = start([...command('hopeless', 1_000_000, keys), '--supervise', '--restarts', '1'], {
      cwd,
    })
    for (const starts of [1, 2]) {
      await until(() => notes('hopeless').filter(({ process }) => process).length === starts, 'a start')
      await until(hasSteps('hopeless', 1), 'a step')
      process.kill(trainer('hopeless'), 'SIGSEGV')
    }
    const { status, stderr } = await running.ended
    expect(status).toBe(1)
    expect(stderr).toMatch(/the training was ended by SIGSEGV, 2 times without a new checkpoint: giving up/)
    expect(notes('hopeless').at(-1)).toMatchObject({ event: 'gave up', signal: 'SIGSEGV', crashes: 2 })
  })

  it('passes signals on, and does not restart what was stopped by one', async () => {
    const running = start([...command('told', 1_000_000), '--supervise'], { cwd })
    await until(hasSteps('told', 3), 'three steps')
    const other = await sherd(['pretrain', '--out', 'told', '--resume'], { cwd })
    expect([other.status, other.stderr]).toEqual([
      1,
      expect.stringMatching(/told is being written by another process, process \d+ on /),
    ])
    running.kill('SIGTERM')
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([143, expect.stringMatching(/^SIGTERM: finishing this step/m)])
    expect(notes('told').map(({ event }) => event)).toEqual(['began', 'interrupted'])
  })

  it('does not start again what was written wrongly', async () => {
    const { status, stderr } = await sherd(['pretrain', '--out', 'never', '--supervise'], { cwd })
    expect([status, stderr]).toEqual([2, expect.stringContaining('A new run needs --data')])
  })
})

describe('a disk that fills up', () => {
  const disk = () => join(cwd, 'disk')
  const mount = () => {
    mkdirSync(disk(), { recursive: true })
    return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1536k', 'tmpfs', disk()]).status === 0
  }
  afterAll(() => {
    spawnSync('umount', [disk()])
  })

  it('ends the run with its last checkpoint whole; with room again it continues to the same bytes', async (context) => {
    if (!mount()) context.skip() // not allowed in every container; test/checkpoint/faults.test.ts injects the error instead
    const keys = { 'checkpoint.everySteps': 4 }
    expect((await sherd(command('roomy', 24, keys), { cwd })).status).toBe(0)
    writeFileSync(join(disk(), 'other'), Buffer.alloc(900_000)) // two checkpoints of 0.3 MB fit beside it, a third does not
    const full = await sherd(command('disk/run', 24, keys), { cwd })
    expect(full.status).toBe(1)
    expect(full.stderr).toMatch(
      /^error: Cannot write the checkpoint \S+: the disk is full: [\d.]+ kB are needed, [\d.]+ kB are free\. Make room, then continue with --resume\. The latest one is whole: \S+step-\d+/m,
    )
    const { checkpoint, damaged } = latestWhole(join(disk(), 'run/checkpoints'))
    expect([checkpoint === null, damaged]).toEqual([false, []])
    rmSync(join(disk(), 'other'))
    const again = await sherd(['pretrain', '--out', 'disk/run', '--resume'], { cwd })
    expect([again.status, again.stderr]).toEqual([0, expect.stringMatching(/^completed 24 steps/m)])
    expect(lastWeights('disk/run').equals(lastWeights('roomy'))).toBe(true)
    expect(existsSync(join(disk(), 'run/metrics.jsonl'))).toBe(true)
  })
})

it('keys for reliability are checked', async () => {
  const { status, stderr } = await sherd(
    [...command('keys', 1), ...set({ 'checkpoint.keepEverySteps': -1 })],
    { cwd },
  )
  expect([status, stderr]).toEqual([2, expect.stringContaining('checkpoint.keepEverySteps')])
})
