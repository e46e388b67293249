/** `sherd pretrain`: trains on a folder of images, with live progress. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { MetricRow } from '../../objective/objective.ts'
import type { EndEvent, RunEvent, StartEvent } from '../../run/events.ts'
import type { Inheritance } from '../../run/inherit.ts'
import type { ProbeMetric } from '../../run/online-probe.ts'
import type { Profile } from '../../run/trace.ts'
import { valueIn } from '../../train/metrics.ts'
import { describeCommand } from '../help.ts'
import { configOption, positiveNumber, setOption, wholeNumber } from '../options.ts'
import { duration, grouped, note, paint, print, printJson, warn, warnOnce } from '../output.ts'
import { ownName, quoted } from '../own-name.ts'
import { endProgress, progress } from '../progress.ts'

import { addReadingOptions, type ReadingFlags, readingAssignments } from '../reading-options.ts'
import { hearSecondSignal, saveRequests, stopSignal, stopStatus } from '../signals.ts'

interface Flags extends ReadingFlags {
  data?: string
  out: string
  init?: string
  steps?: number
  epochs?: number
  config?: string
  set: string[]
  seed?: number
  device?: 'auto' | 'cpu' | 'cuda'
  precision?: 'auto' | 'fp32' | 'bf16'
  resume?: boolean
  acceptDataChange?: boolean
  supervise?: boolean
  restarts: number
  probe?: string
  profile?: string | true
  profileSteps: number
  json?: boolean
}

const defaultPreset = 'mae-small-64'

export function addPretrain(root: Command): void {
  const command = describeCommand(root.command('pretrain'), {
    group: 'Train',
    page: 'run.md',
    examples: [
      'sherd pretrain --data photos --out runs/photos  # a folder of images, with the usual preset',
      'sherd pretrain mae-base-224 --data photos --out runs/base --epochs 100  # a larger model, and for how long',
      'sherd pretrain --out runs/photos --resume  # continue where it stopped',
      'sherd pretrain --data photos --out runs/probed --probe labelled  # look at what it has learned on the way',
    ],
  })
    .description('pretrain a masked autoencoder on a folder of images')
    .argument('[preset]', `what to train; "sherd presets" lists them (default: ${defaultPreset})`)
    .option('--data <dir>', 'folder of images, read recursively, or of packed ones')
    .requiredOption('--out <run>', 'folder of the run')
    .option('--init <path>', 'weights to begin with: a run, a checkpoint, or a .safetensors file')
    .addOption(new Option('--steps <n>', 'optimizer steps').argParser(wholeNumber(1)).conflicts('epochs'))
    .addOption(new Option('--epochs <n>', 'passes over the data').argParser(positiveNumber))
    .addOption(configOption())
    .addOption(setOption('override one configuration key; may be repeated'))
    .option('--seed <n>', 'seed of every random draw', wholeNumber(0))
    .addOption(new Option('--device <device>', 'where to train').choices(['auto', 'cpu', 'cuda']))
    .addOption(new Option('--precision <type>', 'type of matrix products').choices(['auto', 'fp32', 'bf16']))
    .option('--probe <dir>', 'labelled images to probe the encoder with every log.probeEverySteps steps')
    .option(
      '--resume',
      'continue from the latest checkpoint in --out; with --data, start a run if there is none',
    )
    .option(
      '--accept-data-change',
      'continue although the list of files has changed, for example without unusable ones',
    )
    .option('--supervise', 'train in a child process, and restart it after a crash')
    .addOption(
      new Option(
        '--restarts <n>',
        'crashes without a new checkpoint between them before --supervise gives up',
      )
        .argParser(wholeNumber(0))
        .default(10),
    )
    .option('--profile [file]', 'record where the time goes, in a trace (default: trace.json of the run)')
    .option('--profile-steps <n>', 'steps to record', wholeNumber(1), 50)
    .option('--json', 'print every event as a line of JSON')
    .action(runPretrain)
  addReadingOptions(command)
}

/** The assignments of options. */
function assignments({ steps, epochs, seed, device, precision, probe, ...flags }: Flags): string[] {
  const given = readingAssignments(flags)
  if (epochs !== undefined) given.push(`train.epochs=${epochs}`, 'train.steps=null')
  if (steps !== undefined) given.push(`train.steps=${steps}`)
  if (seed !== undefined) given.push(`train.seed=${seed}`)
  if (device !== undefined) given.push(`train.device=${device}`)
  if (precision !== undefined) given.push(`train.precision=${precision}`)
  if (probe !== undefined) given.push(`log.probe=${JSON.stringify(resolve(probe))}`)
  return given
}

async function runPretrain(presetName: string | undefined, flags: Flags): Promise<void> {
  if (flags.supervise) {
    const { supervise } = await import('./supervise.ts')
    return supervise({ out: flags.out, restarts: flags.restarts, resume: flags.resume ?? false })
  }
  letWaitingThreadsSleep()
  const { presetOf } = await import('../../config/presets.ts')
  const { composed } = await import('../config-file.ts')
  const { expectUseful } = await import('../../config/useless.ts')
  const { isBlank } = await import('../../checkpoint/run-folder.ts')
  const isNew = flags.data !== undefined && isBlank(flags.out)
  const resume = (flags.resume ?? false) && !isNew
  if (flags.resume && isNew) note(`there is no run in ${flags.out} yet: beginning one`)
  const named = presetName === undefined ? undefined : presetOf(presetName)
  // A resumed run starts from its own saved configuration, a new one from the preset's.
  let base = named?.config ?? presetOf(defaultPreset).config
  let preset = presetName ?? defaultPreset
  if (resume) {
    const { openRun } = await import('../../checkpoint/run-folder.ts')
    const { config, facts } = openRun(flags.out)
    if (presetName !== undefined && presetName !== facts.preset) {
      throw new SherdError(
        'RUN',
        `${flags.out} was started from preset "${facts.preset}", not "${presetName}". Leave the preset out, or start a new run.`,
      )
    }
    base = config
    preset = facts.preset
  }
  const config = composed({ base, file: flags.config, options: assignments(flags), set: flags.set })
  expectUseful(config, flags.set)
  const { pretrain } = await import('../../run/pretrain.ts')
  const profile = flags.profile && {
    ...(flags.profile !== true && { path: flags.profile }),
    steps: flags.profileSteps,
  }
  const events = pretrain({
    ...{
      config,
      preset,
      data: flags.data,
      out: flags.out,
      init: flags.init,
      acceptDataChange: flags.acceptDataChange,
      resume,
      signal: stopSignal(),
      isSaveWanted: saveRequests(),
    },
    ...(profile && { profile }),
  })
  await follow(events, { json: flags.json ?? false })
}

/** Prints the events of a run until it ends. Returns the last one. */
export async function follow(
  events: AsyncIterable<RunEvent>,
  { json }: { json: boolean },
): Promise<EndEvent | undefined> {
  const show = json ? printJson : reporter()
  let end: EndEvent | undefined
  for await (const event of events) {
    if (event.kind === 'start') hearSecondSignal() // LibTorch is loaded, and about to block this thread for whole steps
    show(event)
    if (event.kind === 'end') end = event
  }
  if (end?.reason === 'interrupted') process.exitCode = stopStatus()
  return end
}

/** A scene's rim can have thousands of windows without data. */
const SKIPS_TOLD = 20

function reporter(): (event: RunEvent) => void {
  let total = 0
  let run = ''
  let metrics: readonly MetricRow[] = []
  const recent: number[] = []
  let skips = 0
  return (event) => {
    switch (event.kind) {
      case 'start':
        total = event.totalSteps
        run = event.run
        metrics = event.metrics
        describeStart(event)
        break
      case 'inherited':
        describeInheritance(event)
        break
      case 'step': {
        recent.push(event.stepSeconds)
        if (recent.length > 20) recent.shift()
        // The median, because the first steps of a process are slow and other programs make some others so.
        const typical = [...recent].sort((a, b) => a - b)[recent.length >> 1]!
        const every = Math.max(1, Math.floor(total / 20))
        progress(
          [
            `step ${event.step}/${total}`,
            `epoch ${event.epoch.toFixed(2)}`,
            `loss ${paint('bold', event.loss.toFixed(4))}`,
            ...metrics.flatMap((row) => describeMetric(row, event)),
            `lr ${event.learningRate.toExponential(1)}`,
            `grad ${event.gradientNorm.toFixed(2)}`,
            `${event.imagesPerSecond.toFixed(0)} images/s`,
            `data wait ${((100 * event.dataWaitSeconds) / event.stepSeconds).toFixed(1)} %`,
            `${duration((total - event.step) * typical)} left`,
          ].join(' · '),
          event.step === 1 || event.step % every === 0,
        )
        break
      }
      case 'skip':
        skips++
        if (skips <= SKIPS_TOLD) note(`skipped ${event.file}: ${event.reason}`)
        if (skips === SKIPS_TOLD) note('more that are skipped are listed in skipped.jsonl alone')
        break
      case 'checkpoint':
      case 'picture':
        break
      case 'probe':
        describeProbe(event)
        break
      case 'warning':
        warnOnce(event.message)
        break
      case 'trouble':
        warn(
          `${event.message}. The step is skipped (${event.inARow} in a row, ${event.skippedSteps} in all).`,
        )
        break
      case 'rollback':
        warn(`going back from step ${event.from} to step ${event.to}, and on in another order`)
        break
      case 'profile':
        describeProfile(event)
        break
      case 'end':
        describeEnd(event, { run, metrics })
        break
      default:
        event satisfies never
    }
  }
}

/** What an objective measures beside the loss; the numbers of every training have their own places in the line. */
function describeMetric({ name, unit }: MetricRow, line: object): string[] {
  const value = valueIn(line, name)
  const own = name.match(/^(?:parts|metrics)\.(.+)$/)?.[1]
  if (own === undefined || value === undefined) return []
  return [`${own} ${Number(value.toPrecision(4))}${unit && ` ${unit}`}`]
}

function describeStart(event: StartEvent): void {
  const { machine } = event
  const labels = event.classes > 0 ? ` in ${event.classes} classes (labels are not used)` : ''
  note(
    `${paint('bold', event.preset)}: ${grouped(event.parameters)} parameters, ${grouped(event.images)} images${labels}`,
  )
  note(
    `LibTorch ${event.libtorch} on ${machine.device}, ${machine.precision}, ${machine.threads} threads, ${machine.decodeThreads} decoding; ` +
      `${grouped(event.totalSteps)} steps of ${event.effectiveBatch} images, learning rate ${event.peakLearningRate.toPrecision(3)}`,
  )
  if (event.firstStep > 0) note(`continuing from step ${event.firstStep}`)
  for (const change of event.changes) note(`changed: ${change}`)
  note(`run folder: ${event.run}`)
}

function describeInheritance({ path, loaded, inflated, resampled, fresh, unused }: Inheritance): void {
  const listed = (names: readonly string[]) =>
    names.length > 4 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
  note(`began with ${path}: ${loaded.length} parameters loaded`)
  if (inflated.length > 0) note(`  made for other bands (${inflated.length}): ${listed(inflated)}`)
  if (resampled.length > 0) note(`  made for another grid: ${listed(resampled)}`)
  if (fresh.length > 0) note(`  new (${fresh.length}): ${listed(fresh.map(({ name }) => name))}`)
  if (unused.length > 0) note(`  not used (${unused.length}): ${listed(unused)}`)
}

function describeProbe({ step, knn, linear, chance, effectiveRank }: ProbeMetric): void {
  const both = (value: Readonly<Record<string, number>>, digits: number, factor = 1) =>
    Object.entries(value)
      .map(([pooling, number]) => `${(factor * number).toFixed(digits)} (${pooling})`)
      .join(', ')
  note(
    `probe at step ${step}: kNN ${both(knn, 2, 100)} %, linear ${both(linear, 2, 100)} %, chance ${(100 * chance).toFixed(2)} %, ` +
      `effective rank ${both(effectiveRank, 1)}`,
  )
}

function describeProfile({ path, steps, stepSeconds, shares }: Profile): void {
  endProgress()
  const parts = Object.entries(shares).map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`)
  if (steps === 0) note('no step was profiled: the run ended while it warmed up')
  else note(`a step of ${(1000 * stepSeconds).toFixed(1)} ms (${steps} profiled): ${parts.join(', ')}`)
  print(`trace: ${path}   (open in https://ui.perfetto.dev or chrome://tracing)`)
}

function describeEnd(event: EndEvent, { run, metrics }: Pick<StartEvent, 'run' | 'metrics'>): void {
  endProgress()
  const skipped =
    event.skipped > 0
      ? `; ${event.skipped} ${event.skipped === 1 ? 'file' : 'files'} skipped, listed in skipped.jsonl`
      : ''
  note(
    `${event.reason} at step ${event.step}${event.loss === null ? '' : `, loss ${event.loss.toFixed(4)}`}${skipped}`,
  )
  const { chance, chanceOf } = metrics.find(({ name }) => name === 'loss')!
  if (typeof chance === 'number')
    note(`where nothing is learned (${chanceOf}) the loss is ${chance.toFixed(4)}`)
  if (event.checkpoint) print(`checkpoint: ${event.checkpoint}`)
  if (event.picture) print(`reconstruction: ${event.picture}`)
  if (event.lossCurve) print(`loss curve: ${event.lossCurve}`)
  if (event.reason === 'interrupted')
    print(`continue with: ${ownName()} pretrain --out ${quoted(run)} --resume`)
}
