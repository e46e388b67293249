// What the encoder is worth: kNN and linear probes on frozen features; then fine-tuning in full and with few parameters, with all labels and with
// a tenth. Lengths are cut to the time that is left, all by the same factor, after a short attempt has been timed.
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { images } from './images.mjs'
import { failedOf } from './lease.mjs'
import { weightsOf } from './pretrain.mjs'

function model(lease) {
  const path = lease.options.model ?? weightsOf(join(lease.work, 'run'))
  if (!path) throw new Error('no encoder: the stage pretrain makes one, or --model names one')
  return path
}

const chosen = ({ rows, chosen: [at], seeds }) => {
  const { pooling, setting, top1 } = rows[at]
  return { pooling, setting, top1: top1.mean, deviation: top1.deviation, seeds: seeds.length }
}

// Below this many seconds probes have one seed and no random encoder beside them: a seed costs tens of seconds.
const enoughForSeeds = 400

export async function probe(lease) {
  const { packed } = await images(lease)
  const isShort = lease.secondsLeft() < enoughForSeeds
  const done = await lease.sherd([
    ...['evaluate', 'frozen', '--model', model(lease), '--train', packed.train, '--test', packed.test],
    ...[
      '--out',
      join(lease.work, 'frozen'),
      '--overwrite',
      '--device',
      lease.device,
      '--json',
      '--shots',
      '10%',
    ],
    ...(lease.quick || isShort ? ['--seeds', '1', '--no-baseline'] : ['--seeds', '3']),
    ...(lease.quick ? ['--epochs', '2'] : ['--batch', '4096']),
  ])
  const reports = done.events.filter(({ kind }) => kind === 'evaluation')
  const { testImages } = reports[0]?.data ?? {}
  return {
    testImages,
    ...Object.fromEntries(reports.map((each) => [each.protocol, chosen(each)])),
    ...failedOf(done),
  }
}

const labels = [
  { name: 'a tenth', shots: ['--shots', '10%'], share: 0.1, batch: 256, epochs: 100, seeds: 3 },
  { name: 'all', shots: [], share: 1, batch: 1024, epochs: 50, seeds: 1 },
]
// Of the learning rate the peak, whatever the batch; adapters and biases take a higher one.
const methods = [
  { name: 'full fine-tuning', flags: [], peak: 2e-3, save: '.safetensors' },
  { name: 'LoRA, rank 8, qkv,proj', flags: ['--lora-rank', '8'], peak: 4e-3, save: '' },
  { name: 'BitFit', flags: ['--bitfit'], peak: 4e-3, save: '' },
]
// Of larger models and longer training; here they would mostly slow it down.
const mild = ['--rand-augment', '0', '--mixup', '0', '--cutmix', '0', '--erasing', '0', '--drop-path', '0']
const shortest = 5
/** Epochs that the second short attempt has more than the first. */
const longer = 10

const sizeOf = (path) =>
  statSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
    : statSync(path).size

export async function tune(lease, found) {
  const { quick, work, say } = lease
  const { train, packed } = await images(lease)
  const encoder = model(lease)
  found.attempts = []
  const attempt = async ({ flags, peak, save }, { shots, share, batch }, { epochs, seeds }) => {
    const saved = join(work, `tuned${save}`)
    for (const path of [saved, join(work, 'tuned')]) rmSync(path, { recursive: true, force: true })
    // A packed folder cannot be split: a tenth is drawn from the files.
    const source = share < 1 && !quick ? train : packed.train
    const done = await lease.sherd([
      ...['evaluate', 'finetune', '--model', encoder, '--train', source, '--test', packed.test],
      ...[
        '--out',
        join(work, 'finetune'),
        '--overwrite',
        '--device',
        lease.device,
        '--json',
        '--save',
        saved,
      ],
      ...(quick ? [] : shots),
      ...flags,
      ...mild,
      ...['--cache', lease.device === 'cuda' ? 'device' : 'memory'],
      ...[
        '--rate',
        String((peak * 256) / batch),
        '--batch',
        String(batch),
        '--epochs',
        String(epochs),
        '--seeds',
        String(seeds),
      ],
    ])
    const report = done.events.find(({ kind }) => kind === 'evaluation')
    return {
      ...(report && {
        ...chosen(report),
        trainImages: report.data.trainImages,
        testImages: report.data.testImages,
      }),
      ...{ seconds: done.seconds, bytes: existsSync(saved) ? sizeOf(saved) : null },
      ...failedOf(done),
    }
  }

  const plan = labels.flatMap((some) => methods.map((method) => ({ some, method })))
  // Two short attempts tell what each image costs, and what every attempt does beside learning.
  const short = []
  for (const epochs of quick ? [1] : [1, 1 + longer]) {
    const done = await attempt(methods[0], labels[0], { epochs, seeds: 1 })
    if (done.failed) return { failed: `a first, short attempt: ${done.failed}` }
    short.push(done)
  }
  const [once, more = once] = short
  const perImage = Math.max(0, more.seconds - once.seconds) / (longer * once.trainImages)
  const around = Math.max(0, once.seconds - perImage * once.trainImages)
  const fixed = ({ seeds }) => around * (1 + (seeds - 1) / 2)
  const learning = ({ seeds, epochs, share }) => seeds * epochs * 10 * share * once.trainImages * perImage
  const sum = (of) => plan.reduce((all, { some }) => all + of(some), 0)
  const rest = 0.9 * lease.secondsLeft() - sum(fixed)
  const factor = quick ? 0 : Math.max(0, Math.min(1, rest / sum(learning)))
  say(
    `${(perImage * 1e6).toFixed(0)} µs an image, ${around.toFixed(1)} s beside: ${(100 * factor).toFixed(0)} % of the usual epochs\n`,
  )

  for (const { some, method } of plan) {
    const epochs = quick ? 1 : Math.max(shortest, Math.round(factor * some.epochs))
    const [name, seeds] = [`${method.name}, ${some.name} of the labels`, quick ? 1 : some.seeds]
    const need = 0.7 * (fixed(some) + learning({ ...some, epochs }))
    if (!quick && lease.secondsLeft() < need) {
      lease.skip(name, `${Math.round(lease.secondsLeft())} s are left and it takes about ${Math.round(need)}`)
      found.attempts.push({ method: method.name, labels: some.name, notRun: 'no time left' })
      continue
    }
    say(`-- ${name}\n`)
    const done = await attempt(method, some, { epochs, seeds })
    const { peak } = method
    found.attempts.push({ method: method.name, labels: some.name, epochs, batch: some.batch, peak, ...done })
    lease.save()
  }
  const wrong = found.attempts.filter(({ failed }) => failed)
  return wrong.length > 0 ? { failed: `${wrong.length} of ${found.attempts.length} attempts` } : {}
}
