/** `sherd demo`: a small model on the sample images or on the user's, with a page of what it learned, in about two minutes. */
import { basename, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command } from 'commander'
import type { Config } from '../../config/schema.ts'
import { SherdError } from '../../errors.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { EndEvent } from '../../run/events.ts'
import { describeCommand } from '../help.ts'
import { openPage } from '../open-page.ts'
import { wholeNumber } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { many, note, print, printJson } from '../output.ts'
import { ownName, quoted } from '../own-name.ts'
import { counting, endProgress } from '../progress.ts'
import { stopSignal } from '../signals.ts'
import { follow } from './follow.ts'
import { openReporter } from './reporter.ts'

const preset = 'mae-demo'
const usualSteps = 320
/** Below this many images a model learns them by heart. */
const FEW = 100

interface Flags {
  data?: string
  out: string
  steps: number
  open: boolean
  overwrite?: boolean
  json?: boolean
}

export function addDemo(root: Command): void {
  describeCommand(root.command('demo'), {
    group: 'Train',
    page: 'run.md',
    examples: [
      'sherd demo  # sample images, a small model and a page of what it learned, in about two minutes',
      'sherd demo --data photos  # the same with your own images',
    ],
  })
    .description('pretrain a small model on sample images or your own, and show what it learned')
    .option('--data <dir>', 'folder of images, read recursively (default: sample images are made)')
    .option('--out <dir>', 'folder for sample images and the run', 'runs')
    .option('--steps <n>', 'optimizer steps', wholeNumber(1), usualSteps)
    .option('--no-open', 'do not open the page in a browser')
    .addOption(overwriteOption())
    .option('--json', 'print every event as a line of JSON')
    .action(runDemo)
}

async function runDemo({
  data: given,
  out,
  steps,
  open,
  overwrite = false,
  json = false,
}: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { resolveConfig } = await import('../../config/resolve.ts')
  const { presetOf } = await import('../../config/presets.ts')
  const base = presetOf(preset).config
  const every = (parts: number) => Math.max(1, Math.floor(steps / parts))
  const config = resolveConfig({
    ...base,
    train: { ...base.train, steps },
    checkpoint: { ...base.checkpoint, everySteps: every(2) },
    log: { ...base.log, pictureEverySteps: every(4) },
  })
  const data = given ?? join(out, 'sample-data')
  const run = join(out, given === undefined ? 'demo' : `demo-${basename(resolve(given))}`)
  const state = await stateOf(run, { data, steps, overwrite })
  const isOwn = given !== undefined
  note(`1/2 ${isOwn ? `images of ${given}` : 'sample images'}`)
  if (isOwn) await describeOwn(given)
  else if (state !== 'complete') await makeSamples(data)
  note(
    `2/2 ${state === 'begun' ? 'pretraining, from where it stopped' : state === 'complete' ? 'pretraining is complete already: --overwrite starts over' : 'pretraining'}`,
  )
  const ended =
    state === 'complete'
      ? null
      : await train({ config, data, run, isResumed: state === 'begun', overwrite, json })
  if (ended?.reason === 'interrupted') {
    note(
      `continue with: ${ownName()} demo${isOwn ? ` --data ${quoted(given)}` : ''}${steps === usualSteps ? '' : ` --steps ${steps}`}${out === 'runs' ? '' : ` --out ${quoted(out)}`}`,
    )
    return
  }
  const { writePage } = await import('./demo-result.ts')
  const page = writePage({ run, data, isOwn, seconds: ended?.seconds ?? null, out })
  if (json) return printJson({ kind: 'demo', run: resolve(run), page: resolve(page) })
  const isOpen = open && (await openPage(resolve(page)))
  print(`page: ${page}`)
  print(isOpen ? 'It opens in your browser.' : `Open it in a browser: ${pathToFileURL(resolve(page)).href}`)
}

type State = 'none' | 'begun' | 'complete'

/** The run of an earlier demonstration of the same images continues, or is complete. Throws `USAGE` for another one. */
async function stateOf(
  run: string,
  { data, steps, overwrite }: { data: string; steps: number; overwrite: boolean },
): Promise<State> {
  const { isBlank, openRun } = await import('../../checkpoint/run-folder.ts')
  const { settleReplacement } = await import('../../run/replace.ts')
  settleReplacement(run)
  if (isBlank(run) || overwrite) return 'none'
  const { facts, latest, config } = openRun(run)
  const described = (name: string, length: unknown, dir: string) => `${name}, ${length} steps, with ${dir}`
  const [before, now] = [
    described(facts.preset, config.train.steps, facts.data.dir),
    described(preset, steps, resolve(data)),
  ]
  if (before !== now)
    throw new SherdError(
      'USAGE',
      `${run} is a run of ${before}; this would be ${now}. Replace it with --overwrite, or name another folder with --out.`,
    )
  return latest && latest.step >= steps ? 'complete' : 'begun'
}

async function describeOwn(dir: string): Promise<void> {
  const { openSource } = await import('../../source/open.ts')
  const { files } = await openSource(dir)
  note(
    `${many(files.length, 'image')}: each is cut at random into squares of 48 × 48 pixels, whatever its shape, and grey ones count as coloured. The folder is not changed.`,
  )
  if (files.length < FEW)
    note(
      'So few images are learned by heart: the page shows that it works, not what it would learn from many.',
    )
}

async function makeSamples(dir: string): Promise<void> {
  const { writeSampleData } = await import('../../sample-data/write-scenes.ts')
  await writeSampleData({
    ...{ dir, count: 2000, size: 64, seed: 0 },
    onProgress: counting('writing images', 'images'),
  })
  endProgress()
}

interface Training {
  readonly config: Config
  readonly data: string
  readonly run: string
  readonly isResumed: boolean
  readonly overwrite: boolean
  readonly json: boolean
}

async function train({
  config,
  data,
  run,
  isResumed,
  overwrite,
  json,
}: Training): Promise<EndEvent | undefined> {
  const { pretrain } = await import('../../run/pretrain.ts')
  const reporter = openReporter({ json, isLengthNamed: true, next: false })
  const events = pretrain({
    ...{ config, preset, data, out: run, resume: isResumed, overwrite },
    ...{ signal: stopSignal(), onProgress: reporter.progress },
  })
  return follow(events, reporter)
}
