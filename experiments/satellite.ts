/**
 * What SatMAE's choices are worth (Cong et al. 2022, table of ablations), on the generated satellite set: groups of bands with
 * independent masks, against consistent ones, against all bands stacked into one token. Judged by probes on places that no
 * encoder has seen; several seeds of pretraining. Resumable: what has a report is not done again.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Report } from '../src/evaluate/evaluate.ts'
import { withDeviation } from '../src/evaluate/markdown.ts'
import { meanAndDeviation } from '../src/evaluate/scores.ts'
import { describeMachine } from '../src/machine/describe.ts'
import { frozenReports, pretrain, sherd } from './command.ts'

/** Each changes one thing of the first. */
const variants: Readonly<Record<string, readonly string[]>> = {
  'groups, independent masks': [],
  'groups, consistent masks': ['mask.groups=consistent'],
  'stacked channels': ['model.groups=null'],
}

const preset = 'satmae-tiny-sentinel2'
/** Half as deep, so that nine pretrainings end within an hour on two cores. */
const small = ['--set', 'model.depth=6']

type Reports = ReturnType<typeof frozenReports>

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      out: { type: 'string', default: 'runs/experiment-satellite' },
      epochs: { type: 'string', default: '50' },
      seeds: { type: 'string', default: '3' },
      places: { type: 'string', default: '400' },
    },
  })
  const [epochs, seeds, places] = [values.epochs, values.seeds, values.places].map(Number)
  if (![epochs, seeds, places].every((n) => n! > 0)) {
    console.error('experiment satellite [--out DIR] [--epochs N] [--seeds N] [--places N]')
    process.exit(2)
  }
  const out = resolve(values.out)
  mkdirSync(out, { recursive: true })
  const data = join(out, 'data')
  // Other seeds are other places: nothing that is tested on was seen, on whatever date.
  for (const [part, seed, count] of [
    ['train', 0, places!],
    ['test', 1, Math.ceil(places! / 2)],
  ] as const)
    if (!existsSync(join(data, part, 'sample-data.json')))
      sherd(
        ...['sample-data', '--kind', 'satellite', '--out', join(data, part)],
        ...['--seed', String(seed), '--count', String(count)],
      )

  const judged = (name: string, model: readonly string[], seed: number): Reports =>
    frozenReports(
      join(out, name, `probes-${seed}`),
      ...model,
      '--data',
      data,
      '--seeds',
      '1',
      '--shots',
      '10%',
    )
  const rows: { readonly name: string; readonly reports: readonly Reports[] }[] = []
  const writeTable = () => {
    const { cpu, cores } = describeMachine()
    const table = [
      `# ${preset} with six blocks on the satellite sample set`,
      '',
      `${new Date().toISOString().slice(0, 10)}, ${cpu}, ${cores} cores. ${epochs} epochs of ${places! * 4} images; top-1 in % on ${Math.ceil(places! / 2) * 4} images of other places, mean and deviation over ${seeds} seeds of pretraining.`,
      '',
      '| encoder | nearest neighbours | linear probe | linear probe, 10 % of the labels |',
      '| --- | --- | --- | --- |',
      ...rows.map(
        ({ name, reports }) =>
          `| ${name} | ${(['knn', 'linear', 'fewshot'] as const).map((protocol) => cell(reports.map((each) => each[protocol]))).join(' | ')} |`,
      ),
      '',
    ].join('\n')
    writeFileSync(join(out, 'table.md'), table)
    return table
  }
  const all = [...Array(seeds).keys()]
  const random = all.map((seed) =>
    judged('random', ['--model', 'random', '--preset', preset, ...small, '--model-seed', String(seed)], seed),
  )
  rows.push({ name: 'random', reports: random })
  for (const [name, changes] of Object.entries(variants)) {
    const folder = name.replaceAll(/\W+/gu, '-')
    const reports = all.map((seed) => {
      const runDir = join(out, folder, `run-${seed}`)
      const set = changes.flatMap((change) => ['--set', change])
      pretrain(
        runDir,
        ['--epochs', String(epochs)],
        preset,
        '--data',
        join(data, 'train'),
        '--seed',
        String(seed),
        ...small,
        ...set,
      )
      return judged(folder, ['--model', runDir], seed)
    })
    rows.push({ name, reports })
    writeTable()
  }
  console.log(writeTable())
}

/** The result of each report: of what was chosen on held-out images. */
const cell = (reports: readonly Report[]): string =>
  withDeviation(
    meanAndDeviation(reports.map(({ rows, chosen }) => rows[chosen.at(-1)!]!.top1.mean)),
    reports.length,
  )
