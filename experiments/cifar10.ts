/**
 * What masked pretraining is worth on small images: a random encoder, a pretrained one, and training from scratch, judged by
 * nearest neighbours, a linear probe and fine-tuning at equal budget. With --ablations also what a masked autoencoder is
 * sensitive to. Resumable: what has a report is not done again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from '../src/machine/describe.ts'
import type { Report } from '../src/run/evaluate.ts'
import { withDeviation } from '../src/run/evaluation-report.ts'
import { openImageFolder } from '../src/source/image-folder.ts'
import { pretrain, report, sherd } from './command.ts'
import { type Plan, planBudget } from './plan.ts'

/** Each changes one thing of the pretraining, which is shortened to `share` of its epochs, as is what it is compared with. */
const ablations: Readonly<Record<string, readonly string[]>> = {
  'as it is': [],
  'mask ratio 0.5': ['mask.ratio=0.5'],
  'mask ratio 0.9': ['mask.ratio=0.9'],
  'no random crop': ['data.crop=center'],
  'raw pixels': ['target.normalize=false'],
  'decoder depth 1': ['model.decoderDepth=1'],
}
const ABLATION_SHARE = 0.25

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string' },
      out: { type: 'string', default: 'runs/experiment-cifar10' },
      budget: { type: 'string', default: '60' },
      labelled: { type: 'string', default: '10' },
      seeds: { type: 'string', default: '3' },
      preset: { type: 'string', default: 'mae-tiny-cifar10' },
      ablations: { type: 'boolean', default: false },
    },
  })
  const numbers = [values.budget, values.labelled, values.seeds].map(Number)
  if (!values.data || !numbers.every((n) => n > 0)) {
    console.error(
      'experiment cifar10 --data DIR (with train/ and test/) [--out DIR] [--budget MINUTES] [--labelled PERCENT] [--seeds N] [--preset NAME] [--ablations]',
    )
    process.exit(2)
  }
  const [minutes, percent, seeds] = numbers as [number, number, number]
  const [data, out, { preset }] = [resolve(values.data), resolve(values.out), values]
  mkdirSync(out, { recursive: true })
  const started = performance.now()

  // Made once: an experiment that goes on must go on with the same plan.
  async function planOf(): Promise<Plan> {
    const path = join(out, 'plan.json')
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Plan
    const [train, test] = await Promise.all(
      ['train', 'test'].map((part) => openImageFolder(join(data, part))),
    )
    const { imagesPerSecond } = JSON.parse(sherd('bench', 'step', preset, '--json')) as {
      imagesPerSecond: number
    }
    const plan = planBudget({
      ...{ minutes, seeds, labelled: percent / 100, pretrainRate: imagesPerSecond },
      ...{ trainImages: train!.files.length, testImages: test!.files.length },
    })
    writeFileSync(path, `${JSON.stringify({ ...plan, minutes, imagesPerSecond })}\n`)
    return plan
  }

  const plan = await planOf()
  console.error(
    `\n${plan.pretrainEpochs} epochs of pretraining, ${plan.tuneEpochs} epochs of fine-tuning on ${percent} % of the labels`,
  )

  const at = (...parts: string[]) => join(out, ...parts)
  const images = ['--data', data]
  const random = ['--model', 'random', '--preset', preset, ...images]
  pretrain(at('mae'), plan.pretrainEpochs, preset, '--data', join(data, 'train'))
  const learned = ['--model', at('mae'), ...images]
  const several = ['--seeds', String(seeds)]
  // So short a training is hurt by what keeps long ones from memorising: the same light recipe for both.
  const tuning = [
    ...[
      '--epochs',
      String(plan.tuneEpochs),
      '--warm-up',
      String(plan.tuneEpochs / 10),
      '--shots',
      `${percent}%`,
    ],
    ...[
      '--rate',
      '0.001',
      '--drop-path',
      '0',
      '--mixup',
      '0',
      '--cutmix',
      '0',
      '--rand-augment',
      '0',
      '--erasing',
      '0',
    ],
    ...several,
  ]
  const rows: [string, (Report | null)[]][] = [
    [
      'random',
      [
        report('knn', at('random-knn'), ...random),
        report('linear', at('random-linear'), ...random, ...several),
        null,
      ],
    ],
    ['from scratch', [null, null, report('scratch', at('scratch'), ...learned, ...tuning)]],
    [
      `MAE, ${plan.pretrainEpochs} epochs`,
      [
        report('knn', at('mae-knn'), ...learned),
        report('linear', at('mae-linear'), ...learned, ...several),
        report('finetune', at('mae-finetune'), ...learned, ...tuning),
      ],
    ],
  ]
  if (values.ablations)
    for (const [name, changes] of Object.entries(ablations)) {
      const own = at('ablations', name.replaceAll(/\W+/g, '-'))
      const set = changes.flatMap((change) => ['--set', change])
      const epochs = Math.max(1, Math.round(plan.pretrainEpochs * ABLATION_SHARE))
      pretrain(join(own, 'run'), epochs, preset, '--data', join(data, 'train'), ...set)
      const model = ['--model', join(own, 'run'), ...images]
      const [knn, linear] = [
        report('knn', join(own, 'knn'), ...model),
        report('linear', join(own, 'linear'), ...model),
      ]
      rows.push([`${epochs} epochs, ${name}`, [knn, linear, null]])
    }

  const cell = (each: Report | null) => {
    if (!each) return ''
    const { top1 } = each.rows[each.chosen.at(-1)!]!
    return withDeviation(top1, each.seeds.length)
  }
  const { cpu, cores } = describeMachine()
  const table = [
    `# ${preset} on ${data}`,
    '',
    `${new Date().toISOString().slice(0, 10)}, ${cpu}, ${cores} cores, ${((performance.now() - started) / 60_000).toFixed(0)} minutes. ` +
      `Top-1 in %, mean and deviation over ${seeds} seeds; fine-tuning and scratch: ${plan.tuneEpochs} epochs on ${percent} % of the labels.`,
    '',
    '| encoder | nearest neighbours | linear probe | fine-tuned |',
    '| --- | --- | --- | --- |',
    ...rows.map(([name, reports]) => `| ${name} | ${reports.map(cell).join(' | ')} |`),
    '',
  ].join('\n')
  writeFileSync(at('table.md'), table)
  console.log(table)
}
