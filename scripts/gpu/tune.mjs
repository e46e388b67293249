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

export async function probe(lease) {
  const { packed } = await images(lease)
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
    ...(lease.quick
      ? ['--epochs', '2', '--seeds', '1', '--no-baseline']
      : ['--seeds', '3', '--batch', '2048']),
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
  const short = await attempt(methods[0], labels[0], { epochs: quick ? 1 : 2, seeds: 1 })
  if (short.failed) return { failed: `the first, short attempt: ${short.failed}` }
  // From the whole of a short attempt: that it also reads and scores the test images makes the plan a careful one.
  const perImage = short.seconds / (2 * short.trainImages)
  const cost = ({ some }) => some.seeds * some.epochs * some.share * 10 * short.trainImages * perImage
  const wanted = plan.reduce((sum, each) => sum + cost(each), 0)
  const factor = quick ? 0 : Math.min(1, (0.9 * lease.secondsLeft()) / wanted)
  say(
    `all attempts would take ${Math.round(wanted)} s at most: ${(100 * factor).toFixed(0)} % of their epochs\n`,
  )

  for (const { some, method } of plan) {
    const epochs = quick ? 1 : Math.max(shortest, Math.round(factor * some.epochs))
    const [name, seeds] = [`${method.name}, ${some.name} of the labels`, quick ? 1 : some.seeds]
    const need = (epochs / some.epochs) * cost({ some }) * 0.7
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
