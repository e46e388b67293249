// `sherd pretrain mae-tiny-cifar10`, for as many epochs as fit: a few steps are timed first, so that the learning rate comes down in time.
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { images } from './images.mjs'
import { failedOf } from './lease.mjs'

const preset = 'mae-tiny-cifar10'
// Of the paper (He et al. 2021), for 256 images: 2.4e-3 at 4096. The preset's 1.5e-3 is for its batches of 128, where it is 7.5e-4.
const paperRate = 1.5e-4
// What probing and fine-tuning get of the time that is left, when they are asked for.
const shareOfPretraining = 0.5
const trialSteps = 30

/** The newest checkpoint's weights; null when there is none. */
export function weightsOf(run) {
  const folder = join(run, 'checkpoints')
  const steps = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /^step-\d+$/.test(name))
        .sort()
    : []
  return steps.length > 0 ? join(folder, steps.at(-1), 'model.safetensors') : null
}

/** A copy, in parts where it is longer than `most` bytes: `cat FILE.part-*` gives it again. */
function copyInParts(from, to, most) {
  const { size } = statSync(from)
  if (size <= most) return copyFileSync(from, to)
  const file = openSync(from)
  const bytes = Buffer.alloc(most)
  for (let part = 1, at = 0; at < size; part++) {
    const read = readSync(file, bytes, 0, most, at)
    writeFileSync(`${to}.part-${part}`, bytes.subarray(0, read))
    at += read
  }
  closeSync(file)
}

/** Seconds of a step once it has warmed up: from the times of its events or from the rate in the end, the slower, since losses may be read later than their steps. */
function secondsOfStep(events, batch) {
  const steps = events.filter(({ kind, step }) => kind === 'step' && step > trialSteps / 3)
  const [first, last] = [steps[0], steps.at(-1)]
  const between = (Date.parse(last.time) - Date.parse(first.time)) / 1000 / (last.step - first.step)
  const { imagesPerSecond } = events.find(({ kind }) => kind === 'end') ?? {}
  return Math.max(between, imagesPerSecond ? batch / imagesPerSecond : 0)
}

export async function pretrain(lease, found) {
  const { options, device, quick, work, say } = lease
  const { packed } = await images(lease)
  const run = join(work, 'run')
  const batch = quick ? 64 : Number(options['pretrain-batch'])
  const baseRate = Number(options['base-rate'] ?? (batch >= 1024 ? paperRate : 1.5e-3))
  const cache = device === 'cuda' ? 'device' : 'memory'
  const command = (out, ...more) => [
    ...[
      'pretrain',
      preset,
      '--data',
      packed.train,
      '--out',
      out,
      '--overwrite',
      '--device',
      device,
      '--json',
    ],
    ...['--set', `train.batchSize=${batch}`, '--set', `optim.baseLearningRate=${baseRate}`],
    // Pictures and checkpoints cost seconds, a step a fiftieth of one.
    ...[
      '--set',
      'log.pictureEverySteps=0',
      '--set',
      'log.earlySeconds=0',
      '--set',
      'checkpoint.everySteps=1000000',
    ],
    ...['--set', `data.cache=${cache}`],
    ...more,
  ]

  const trial = await lease.sherd(command(join(work, 'trial'), '--steps', String(quick ? 4 : trialSteps)))
  if (trial.status !== 0) return failedOf(trial)
  const { images: count } = trial.events.find(({ kind }) => kind === 'start')
  const step = quick ? 0.5 : secondsOfStep(trial.events, batch)
  const around = trial.seconds - (quick ? 0 : trialSteps * step)
  rmSync(join(work, 'trial'), { recursive: true, force: true })
  const perEpoch = (count / batch) * step
  const share = lease.asked.includes('tune') ? shareOfPretraining : 1
  const most = Math.floor((share * lease.secondsLeft() - around) / (1.05 * perEpoch))
  const epochs = quick ? 1 : Math.min(Number(options.epochs), most)
  Object.assign(found, { batch, baseRate, cache, trialStepSeconds: step, epochs })
  say(`${Math.round(batch / step)} images/s: ${epochs} epochs take ${Math.round(epochs * perEpoch)} s\n`)
  if (epochs < 1) return { failed: 'not even one epoch fits' }

  const done = await lease.sherd(
    command(run, '--epochs', String(epochs), '--set', `log.everySteps=${quick ? 1 : 20}`),
  )
  const start = done.events.find(({ kind }) => kind === 'start') ?? {}
  const end = done.events.find(({ kind }) => kind === 'end') ?? {}
  const weights = weightsOf(run)
  if (weights)
    copyInParts(
      weights,
      `${lease.page.replace(/-training$/, '')}-model.safetensors`,
      Number(options['part-megabytes']) * 2 ** 20,
    )
  return {
    ...{
      images: count,
      steps: end.step,
      peakLearningRate: start.peakLearningRate,
      parameters: start.parameters,
    },
    ...{
      loss: end.loss,
      imagesPerSecond: end.imagesPerSecond,
      skippedSteps: end.skippedSteps,
      trainingSeconds: done.seconds,
    },
    ...failedOf(done),
  }
}
