import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import type { SherdError } from '../../src/errors.ts'
import { onePart, totalOf } from '../../src/objective/losses.ts'
import { updatesTaken } from '../../src/optim/optimizer.ts'
import type { RunEvent } from '../../src/run/events.ts'
import { readMetrics, readNotes, readSkipped } from '../../src/run/journal.ts'
import { pretrain } from '../../src/run/pretrain.ts'
import { div } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

let data: string
beforeAll(async () => {
  data = await sampleFolder()
})

const kinds = (events: RunEvent[]) =>
  events.map((event) => ('step' in event ? `${event.kind} ${event.step}` : event.kind))
const losses = (out: string) =>
  readMetrics(runPaths(out).metrics).map(({ step, loss, learningRate, gradientNorm }) => [
    step,
    loss,
    learningRate,
    gradientNorm,
  ])
const weights = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))
const atCheckpoint = (step: number) => (event: RunEvent) => event.kind === 'checkpoint' && event.step === step

describe('a run', () => {
  it('tells what it does in order, and leaves it in its folder', async () => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({
      train: { steps: 4 },
      checkpoint: { everySteps: 2 },
      log: { pictureEverySteps: 3 },
    })
    const events = await run({ config, data, out })
    expect(kinds(events)).toEqual([
      'start',
      'step 1',
      'step 2',
      'checkpoint 2',
      'step 3',
      'picture 3',
      'step 4',
      'checkpoint 4',
      'end 4',
    ])
    expect(events[0]).toMatchObject({
      images: 40,
      classes: 10,
      totalSteps: 4,
      firstStep: 0,
      effectiveBatch: 8,
      changes: [],
    })
    expect(events.at(-1)).toMatchObject({
      reason: 'completed',
      checkpoint: openRun(out).latest?.path,
      skipped: 0,
    })
    expect(openRun(out).config).toEqual(config)
    expect(openRun(out).facts.data.classes).toHaveLength(10)
    for (const picture of [
      join('samples', 'step-00000003.png'),
      join('samples', 'step-00000004.png'),
      'loss-curve.png',
    ]) {
      const { format, width } = await sharp(join(out, picture)).metadata()
      expect([format, width! > 100]).toEqual(['png', true])
    }
  })

  it('holds no more tensors at its last step than at its second', async () => {
    const live: number[] = []
    const config = tinyConfig({ train: { steps: 20, accumulate: 2 }, checkpoint: { everySteps: 7 } })
    await run({ config, data, out: join(await workFolder(), 'run') }, (event) => {
      if (event.kind === 'step') live.push(liveTensors())
      return false
    })
    expect(live).toHaveLength(20)
    expect(live.at(-1)).toBeLessThanOrEqual(live[1]!) // less when the collector takes an earlier test's
  })

  it('depends on the seed and on nothing else', async () => {
    const lossesOf = async (seed: number) => {
      const out = join(await workFolder(), 'run')
      await run({ config: tinyConfig({ train: { seed, steps: 3 } }), data, out })
      return losses(out)
    }
    const first = await lossesOf(1)
    expect(await lossesOf(1)).toEqual(first)
    expect(await lossesOf(2)).not.toEqual(first)
  })

  it('takes grey images', async () => {
    const out = join(await workFolder(), 'run')
    await run({
      config: tinyConfig({ model: { channels: 1 }, data: { statistics: 'imagenet' }, train: { steps: 1 } }),
      data,
      out,
    })
    expect(openRun(out).facts.statistics.mean).toHaveLength(1)
  })

  it.each<[string, Parameters<typeof tinyConfig>[0], string]>([
    ['channels that image files do not have', { model: { channels: 4 } }, 'VALUE'],
    [
      'channels, with the data set’s statistics',
      { model: { channels: 4 }, data: { statistics: 'dataset' } },
      'VALUE',
    ],
    ['images smaller than a patch', { model: { imageSize: 64, patchSize: 32 } }, 'DATA_BROKEN'],
  ])('that cannot begin leaves no folder behind: %s', async (_, over, code) => {
    const out = join(await workFolder(), 'run')
    await expect(run({ config: tinyConfig(over), data, out })).rejects.toMatchObject({ code })
    expect(existsSync(out)).toBe(false)
  })

  it('that is stopped finishes its step and saves it', async () => {
    const out = join(await workFolder(), 'run')
    const stop = new AbortController()
    const events = await run(
      { config: tinyConfig({ train: { steps: 50 } }), data, out, signal: stop.signal },
      (event) => {
        if (event.kind === 'step' && event.step === 3) stop.abort()
        return false
      },
    )
    expect(kinds(events).slice(-3)).toEqual(['step 3', 'checkpoint 3', 'end 3'])
    expect(events.at(-1)).toMatchObject({ reason: 'interrupted' })
  })
})

describe('a run that is continued', () => {
  // Accumulated, because the place in the stream of samples is then not the step number times the batch size.
  const config = () =>
    tinyConfig({ train: { steps: 12, accumulate: 2, threads: 2 }, checkpoint: { everySteps: 3 } })

  it('ends with the same bytes and losses as one that was never interrupted', async () => {
    const [whole, broken] = [join(await workFolder(), 'whole'), join(await workFolder(), 'broken')]
    await run({ config: config(), data, out: whole })
    await run({ config: config(), data, out: broken }, (event) => event.kind === 'step' && event.step === 8)
    expect(openRun(broken).latest?.step).toBe(6)
    expect(losses(broken)).toHaveLength(8)
    const events = await run({ config: config(), out: broken, resume: true })
    expect(events[0]).toMatchObject({ kind: 'start', firstStep: 6 })
    expect(losses(broken)).toEqual(losses(whole))
    expect(weights(broken).equals(weights(whole))).toBe(true)
    expect(
      weights(broken).equals(readFileSync(join(whole, 'checkpoints', 'step-00000009', 'model.safetensors'))),
    ).toBe(false)
  })

  it.each(['adam', 'lars', 'sgd'] as const)(
    'does so with the moments of %s, clipped tensor by tensor',
    async (optimizer) => {
      const short = tinyConfig({
        optim: { optimizer, clipGradientNorm: 0.1, clipBy: 'tensor', baseLearningRate: 0.01 },
        train: { steps: 4 },
        checkpoint: { everySteps: 2 },
      })
      const [whole, broken] = [join(await workFolder(), 'whole'), join(await workFolder(), 'broken')]
      await run({ config: short, data, out: whole })
      await run({ config: short, data, out: broken }, atCheckpoint(2))
      await run({ config: short, out: broken, resume: true })
      expect(losses(broken)).toEqual(losses(whole))
      expect(weights(broken).equals(weights(whole))).toBe(true)
      expect(
        weights(whole).equals(readFileSync(join(whole, 'checkpoints', 'step-00000002', 'model.safetensors'))),
      ).toBe(false)
    },
  )

  it('begins again when it was interrupted before its first checkpoint', async () => {
    const out = join(await workFolder(), 'run')
    await run({ config: config(), data, out }, (event) => event.kind === 'step' && event.step === 2)
    expect(openRun(out).latest).toBeNull()
    const events = await run({ config: config(), out, resume: true }, atCheckpoint(3))
    expect(events[0]).toMatchObject({ firstStep: 0 })
    expect(losses(out).map(([step]) => step)).toEqual([1, 2, 3])
  })

  it('takes more steps, and notes it', async () => {
    const out = join(await workFolder(), 'run')
    await run({ config: tinyConfig({ train: { steps: 2 } }), data, out })
    const longer = tinyConfig({ train: { steps: 4 } })
    const events = await run({ config: longer, out, resume: true })
    expect(events[0]).toMatchObject({ firstStep: 2, totalSteps: 4, changes: ['train.steps: 2 → 4'] })
    expect(openRun(out).config).toEqual(longer)
    expect(losses(out).map(([step]) => step)).toEqual([1, 2, 3, 4])
  })

  it('refuses another configuration and other data, and leaves everything as it was', async () => {
    const images = await sampleFolder(20)
    const out = join(await workFolder(), 'run')
    await run({ config: tinyConfig({ train: { steps: 2 } }), data: images, out })
    const before = [readFileSync(runPaths(out).config, 'utf8'), losses(out)]
    const other = tinyConfig({ train: { steps: 3 }, optim: { weightDecay: 0.1 } })
    await expect(run({ config: other, out, resume: true })).rejects.toMatchObject({
      code: 'RUN',
      message: expect.stringMatching(
        /another configuration:\n {2}optim\.weightDecay: 0\.05 → 0\.1\n.*--out/,
      ) as string,
    })
    const [first] = readdirSync(join(images, 'wood'))
    copyFileSync(join(images, 'wood', first!), join(images, 'wood', 'more.jpg'))
    await expect(
      run({ config: tinyConfig({ train: { steps: 3 } }), out, resume: true }),
    ).rejects.toMatchObject({
      code: 'RUN',
      message: expect.stringMatching(
        /holds 21 images that are not the 20 this run was started with/,
      ) as string,
    })
    expect([readFileSync(runPaths(out).config, 'utf8'), losses(out)]).toEqual(before)
  })

  it('continues from the checkpoint before a damaged one, names that and keeps it', async () => {
    const [whole, broken] = [join(await workFolder(), 'whole'), join(await workFolder(), 'broken')]
    for (const out of [whole, broken]) await run({ config: config(), data, out })
    const latest = openRun(broken).latest!.path
    const file = join(latest, 'optimizer.safetensors')
    const bytes = readFileSync(file)
    bytes[bytes.length - 3]! ^= 1 // a bit in the last moment, which no check of the format could see
    writeFileSync(file, bytes)
    const events = await run({ config: config(), out: broken, resume: true })
    const warning = events.find(({ kind }) => kind === 'warning')
    const aside = join(broken, 'checkpoints', 'damaged-step-00000012')
    expect(warning).toMatchObject({ message: expect.stringContaining(aside) as string })
    expect(warning).toMatchObject({ message: expect.stringContaining('Going on from step 9') as string })
    expect(existsSync(aside)).toBe(true)
    expect(losses(broken)).toEqual(losses(whole))
    expect(weights(broken).equals(weights(whole))).toBe(true)
  })

  it('is refused when no checkpoint can be used, and nothing is moved', async () => {
    const out = join(await workFolder(), 'run')
    await run({ config: config(), data, out })
    const folder = runPaths(out).checkpoints
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name, 'model.safetensors'), 'x')
    const before = [readdirSync(folder), losses(out)]
    await expect(run({ config: config(), out, resume: true })).rejects.toMatchObject({
      code: 'RUN',
      message: expect.stringMatching(
        /No checkpoint of .* can be used:\n {2}.*has 1 bytes, expected/s,
      ) as string,
    })
    expect([readdirSync(folder), losses(out)]).toEqual(before)
  })

  it('reads journals that a crash has left in the middle of a line', async () => {
    const out = join(await workFolder(), 'run')
    await run({ config: config(), data, out }, atCheckpoint(3))
    appendFileSync(runPaths(out).journal, '{"event": "cut')
    appendFileSync(runPaths(out).skipped, 'null\n5\n{"file"')
    appendFileSync(runPaths(out).metrics, '7\n{"st')
    await run({ config: config(), out, resume: true })
    expect(readNotes(runPaths(out).journal).map(({ event }) => event)).toEqual([
      'began',
      'resumed',
      'completed',
    ])
    expect(losses(out)).toHaveLength(12)
  })

  it('lists a file that cannot be read once, however often it is continued', async () => {
    const images = await sampleFolder(20)
    writeFileSync(join(images, 'wood', 'broken.jpg'), 'no image')
    const out = join(await workFolder(), 'run')
    const with_ = (steps: number) => tinyConfig({ data: { maxSkippedShare: 0.1 }, train: { steps } })
    await run({ config: with_(4), data: images, out })
    const events = await run({ config: with_(8), out, resume: true })
    expect(events.at(-1)).toMatchObject({ skipped: 1 })
    expect(readSkipped(runPaths(out).skipped)).toEqual([
      { file: 'wood/broken.jpg', reason: expect.stringMatching(/\S/) as string },
    ])
  })
})

/** An objective whose loss is infinite for some images, while `isOn`. */
const failing =
  (spoils: (indices: readonly number[]) => boolean): typeof objectiveOf =>
  (config, device) => {
    const own = objectiveOf(config, device)
    const verdicts = new Map<string, boolean>() // a second look at a batch must give the same
    let spoiled = false
    return {
      ...own,
      plan(at, ...given) {
        const { samples } = at
        const key = Array.from(samples.indices).join()
        spoiled = verdicts.get(key) ?? spoils(Array.from(samples.indices))
        verdicts.set(key, spoiled)
        return own.plan(at, ...given)
      },
      loss: (...args) => {
        const losses = own.loss(...args)
        return spoiled ? onePart('pixels', div(totalOf(losses), 0)) : losses
      },
    }
  }

const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (thrown: unknown) => thrown as SherdError,
  )

describe('a step that is not finite', () => {
  const config = (over: object = {}) =>
    tinyConfig({
      train: { steps: 12, maxSkippedSteps: 1, maxRollbacks: 2, ...over },
      checkpoint: { everySteps: 3, keep: 9 },
    })

  it('is skipped, counted and reported, and changes nothing', async () => {
    const out = join(await workFolder(), 'run')
    // Every epoch of 40 images has one step of eight with image 7.
    const events = await run({
      ...{ config: config(), data, out },
      objectiveOf: failing((indices) => indices.includes(7)),
    })
    const troubles = events.filter((event) => event.kind === 'trouble')
    expect(troubles.length).toBeGreaterThanOrEqual(2)
    for (const [i, { skippedSteps, inARow, message }] of troubles.entries()) {
      expect([skippedSteps, inARow]).toEqual([i + 1, 1])
      expect(message).toMatch(/gave loss Infinity .*first: the result of aten::div/)
    }
    expect(events.at(-1)).toMatchObject({
      ...{ kind: 'end', reason: 'completed', skippedSteps: troubles.length, rollbacks: 0 },
    })
    const skipped = troubles.map(({ step }) => step)
    expect(losses(out).map(([step]) => step)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1).filter((step) => !skipped.includes(step)),
    )
    const notes = readNotes(runPaths(out).journal).filter(({ event }) => event === 'skipped step')
    expect(notes.map(({ step }) => step)).toEqual(skipped)
    const { optimizer, skippedSteps } = loadCheckpoint(
      openRun(out).latest!.path,
      objectiveOf(config(), 'cpu').rows,
      'cpu',
    )
    expect([updatesTaken(optimizer), skippedSteps]).toEqual([12 - skipped.length, skipped.length])
  })

  it('repeated, sends the run back to a good checkpoint and on in another order', async () => {
    const out = join(await workFolder(), 'run')
    const events = await run({
      ...{ config: config(), data, out },
      objectiveOf: failing(onceLost()),
    })
    expect(events.filter(({ kind }) => kind === 'rollback')).toMatchObject([
      { from: 8, to: 3, rollbacks: 1 }, // step 6 gave the weights that step 7 failed with
    ])
    expect(losses(out).map(([step]) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1))
    expect(events.at(-1)).toMatchObject({ reason: 'completed', step: 12, rollbacks: 1, skippedSteps: 2 })
    expect(readNotes(runPaths(out).journal).map(({ event }) => event)).toEqual([
      ...['began', 'skipped step', 'skipped step', 'rolled back', 'completed'],
    ])
  })

  it('goes back neither to a checkpoint that is damaged nor to one that was not due', async () => {
    const out = join(await workFolder(), 'run')
    let seen = 0
    let step = 0
    const events = await run(
      {
        ...{ config: config({ steps: 20 }), data, out },
        isSaveWanted: () => step === 10, // of step 11: whether it is there must not matter
        objectiveOf: failing(() => [15, 16].includes(++seen)),
      },
      (event) => {
        if (event.kind === 'step') step = event.step
        if (event.kind === 'checkpoint' && event.step === 12)
          writeFileSync(join(event.path, 'optimizer.safetensors'), 'x')
        return false
      },
    )
    expect(events.filter(({ kind }) => kind === 'rollback')).toMatchObject([{ from: 16, to: 9 }])
    const names = readdirSync(runPaths(out).checkpoints)
    expect(names).toContain('damaged-step-00000012')
    expect(events.at(-1)).toMatchObject({ reason: 'completed', step: 20 })
  })

  it('sets checkpoints aside that may be bad where none is known to be good', async () => {
    const out = join(await workFolder(), 'run')
    let seen = 0
    const events = await run({
      ...{ config: config(), data, out },
      objectiveOf: failing(() => [4, 5].includes(++seen)),
    })
    expect(events.filter(({ kind }) => kind === 'rollback')).toMatchObject([{ from: 5, to: 0 }])
    expect(readdirSync(runPaths(out).checkpoints)).toContain('suspect-step-00000003')
    expect(events.at(-1)).toMatchObject({ reason: 'completed', step: 12 })
  })

  /** Fails in the seventh and eighth step of an order, and never after it went back. */
  function onceLost() {
    let seen = 0
    return () => [7, 8].includes(++seen)
  }

  it('and again, ends the run with a report', async () => {
    const out = join(await workFolder(), 'run')
    let seen = 0
    const error = await caught(
      run({ ...{ config: config(), data, out }, objectiveOf: failing(() => ++seen > 6) }),
    )
    expect(error).toMatchObject({ code: 'NON_FINITE' })
    expect(error.message).toMatch(
      /^Step 5 gave loss Infinity at learning rate \S+; first: the result of aten::div\S+: 0 NaN and 1 infinite of 1 number\. The last good checkpoint is \S*step-00000003\. The run went back there 2 times, each time on in another order\. A lower optim/,
    )
    const report = JSON.parse(readFileSync(runPaths(out).notFinite, 'utf8')) as object
    expect(report).toMatchObject({ step: 5, rollbacks: 2, first: { nan: 0, infinite: 1, elements: 1 } })
    expect(openRun(out).latest?.step).toBe(3)
  })

  it('ends at once where nothing may be skipped, with the last checkpoint that is good', async () => {
    const out = join(await workFolder(), 'run')
    const wild = tinyConfig({
      optim: { baseLearningRate: 1e20, warmupSteps: 1 },
      train: { steps: 20, maxSkippedSteps: 0, maxRollbacks: 0 },
      checkpoint: { everySteps: 1, keep: 9 },
    })
    const error = await caught(run({ config: wild, data, out }))
    expect(error.code).toBe('NON_FINITE')
    const [, step, good] = error.message.match(
      /^Step (\d+) gave (?:loss|gradient norm) \S+ at learning rate \d\S*; first: .*\. The last good checkpoint is \S*step-0*(\d+)\. /,
    )!
    expect(losses(out).map(([logged]) => logged)).toEqual(
      Array.from({ length: Number(step) - 1 }, (_, i) => i + 1),
    )
    // That of the step just before holds the very weights that gave this loss.
    expect(Number(good)).toBe(Number(step) - 2)
    const file = join(out, 'checkpoints', `step-${good!.padStart(8, '0')}`, 'model.safetensors')
    const values = scope(() => [...readSafetensors(file).tensors.values()].flatMap((x) => [...toFloats(x)]))
    expect(values.length).toBeGreaterThan(10_000)
    expect(values.every(Number.isFinite)).toBe(true)
  })

  it('says so when there is no checkpoint', async () => {
    const out = join(await workFolder(), 'run')
    const wild = tinyConfig({
      optim: { baseLearningRate: 1e20, warmupSteps: 0 },
      train: { steps: 20, maxSkippedSteps: 0, maxRollbacks: 1 },
    })
    const error = await caught(run({ config: wild, data, out }))
    expect(error.message).toMatch(/There is no good checkpoint yet\. The run went back there 1 times/)
  })
})

describe('a run’s folder', () => {
  it('has one writer', async () => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({ train: { steps: 4 } })
    const first = pretrain({
      ...{ config, preset: 'tiny', data, out, resume: false, signal: new AbortController().signal },
    })
    await first.next()
    const error = await caught(run({ config, out, resume: true }))
    expect(error).toMatchObject({ code: 'RUN' })
    expect(error.message).toMatch(/is being written by another process, process \d+ on .* since \d{4}-/)
    await first.return(undefined)
    expect((await run({ config, out, resume: true })).at(-1)).toMatchObject({ reason: 'completed' })
  })

  it('that was being made when the process ended is made again', async () => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({ train: { steps: 2 } })
    await run({ config, data, out }, ({ kind }) => kind === 'start')
    rmSync(runPaths(out).config)
    rmSync(runPaths(out).journal)
    expect((await run({ config, data, out, resume: true })).at(-1)).toMatchObject({ step: 2 })
    const empty = join(await workFolder(), 'other')
    expect((await run({ config, data, out: empty, resume: true })).at(-1)).toMatchObject({ step: 2 })
    await expect(run({ config, out: join(await workFolder(), 'none'), resume: true })).rejects.toMatchObject({
      code: 'RUN',
      message: expect.stringContaining('is not a run of sherd') as string,
    })
  })

  it('gets a checkpoint whenever one is wanted', async () => {
    const out = join(await workFolder(), 'run')
    let asked = 0
    const events = await run({
      ...{ config: tinyConfig({ train: { steps: 5 } }), data, out },
      isSaveWanted: () => ++asked === 2,
    })
    const steps = events.flatMap((event) => (event.kind === 'checkpoint' ? [event.step] : []))
    expect(steps).toEqual([2, 5])
  })
})
