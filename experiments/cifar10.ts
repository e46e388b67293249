/**
 * What masked pretraining is worth on small images: a random encoder, a pretrained one, and training from scratch, judged by
 * nearest neighbours, a linear probe and fine-tuning at equal budget. With --ablations also what a masked autoencoder is
 * sensitive to. Resumable: what has a report is not done again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Report } from '../src/evaluate/evaluate.ts'
import { withDeviation } from '../src/evaluate/markdown.ts'
import { describeMachine } from '../src/machine/describe.ts'
import { openImageFolder } from '../src/source/image-folder.ts'
import { frozenReports, pretrain, report, sherd } from './command.ts'
import { linkFewImages } from './few-images.ts'
import { type Plan, planBudget } from './plan.ts'

/** Each changes one thing of the pretraining; all are as short as the first, which changes nothing. */
const ablations: Readonly<Record<string, readonly string[]>> = {
  'as it is': [],
  'decoder depth 1': ['decoder.depth=1'],
  'raw pixels': ['target.normalize=false'],
  'mask ratio 0.5': ['mask.ratio=0.5'],
  'mask ratio 0.9': ['mask.ratio=0.9'],
  'no random crop': ['data.crop=center'],
}

// So short a training is hurt by what keeps long ones from memorising: the same light recipe with and without pretraining.
const lightTuning = [
  ...['--batch', '64', '--rate', '0.002', '--drop-path', '0'],
  ...['--mixup', '0', '--cutmix', '0', '--rand-augment', '0', '--erasing', '0'],
]

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
      ablations: values.ablations ? Object.keys(ablations).length : 0,
    })
    writeFileSync(path, `${JSON.stringify({ ...plan, minutes, imagesPerSecond })}\n`)
    return plan
  }

  const plan = await planOf()
  console.error(
    `\n${plan.pretrainEpochs} epochs of pretraining, ${plan.tuneEpochs} epochs of fine-tuning on ${percent} % of the labels`,
  )

  const at = (...parts: string[]) => join(out, ...parts)
  const train = join(data, 'train')
  const labelledPart = `${percent}%`
  const several = ['--seeds', String(seeds)]
  const frozen = (name: string, model: readonly string[]) =>
    frozenReports(at(name), ...model, '--data', data, ...several, '--shots', labelledPart)
  const tuned = (protocol: string, name: string) =>
    report(
      ...([
        protocol,
        at(name),
        '--model',
        at('mae'),
        '--data',
        data,
        ...several,
        '--shots',
        labelledPart,
      ] as const),
      ...['--epochs', String(plan.tuneEpochs), '--warm-up', String(plan.tuneEpochs / 10), ...lightTuning],
    )

  const rows: Row[] = []
  const writeTable = () => {
    const { cpu, cores } = describeMachine()
    const table = [
      `# ${preset} on ${data}`,
      '',
      `${new Date().toISOString().slice(0, 10)}, ${cpu}, ${cores} cores, ${((performance.now() - started) / 60_000).toFixed(0)} minutes (since it was last started). ` +
        `Top-1 in %, mean and deviation over ${seeds} seeds; fine-tuned and from scratch: ${plan.tuneEpochs} epochs on ${percent} % of the labels. ` +
        `The shorter pretrainings are judged on ${percent} % of the training images.`,
      '',
      `| encoder | nearest neighbours | linear probe | linear probe, ${percent} % of the labels | fine-tuned |`,
      '| --- | --- | --- | --- | --- |',
      ...rows.map(
        ({ name, knn, linear, fewshot, whole }) =>
          `| ${name} | ${[knn, linear, fewshot, whole].map(cell).join(' | ')} |`,
      ),
      '',
    ].join('\n')
    writeFileSync(at('table.md'), table)
    return table
  }

  rows.push({ name: 'random', ...frozen('random-frozen', ['--model', 'random', '--preset', preset]) })
  pretrain(at('mae'), ['--epochs', String(plan.pretrainEpochs)], preset, '--data', train)
  rows.push({ name: 'from scratch', whole: tuned('scratch', 'scratch') })
  rows.push({
    name: `MAE, ${plan.pretrainEpochs} epochs`,
    ...frozen('mae-frozen', ['--model', at('mae')]),
    whole: tuned('finetune', 'mae-finetune'),
  })
  writeTable()
  if (values.ablations) {
    const few = await linkFewImages(train, at('few'), Math.max(1, Math.round(100 / percent)))
    for (const [name, changes] of Object.entries(ablations)) {
      const own = at('ablations', name.replaceAll(/\W+/gu, '-'))
      const set = changes.flatMap((change) => ['--set', change])
      pretrain(join(own, 'run'), ['--epochs', String(plan.ablationEpochs)], preset, '--data', train, ...set)
      const images = ['--train', few, '--test', join(data, 'test')]
      const model = ['--model', join(own, 'run'), ...images, ...several]
      const { knn, linear } = frozenReports(join(own, 'reports'), ...model, '--shots', '10')
      rows.push({ name: `MAE, ${plan.ablationEpochs} epochs, ${name}`, knn, fewshot: linear })
      writeTable()
    }
  }
  console.log(writeTable())
}

interface Row {
  readonly name: string
  readonly knn?: Report
  readonly linear?: Report
  readonly fewshot?: Report
  readonly whole?: Report
}

function cell(each: Report | undefined): string {
  if (!each) return ''
  const { top1 } = each.rows[each.chosen.at(-1)!]!
  return withDeviation(top1, each.seeds.length)
}
