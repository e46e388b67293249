/** `sherd pretrain`: trains on a folder of images, with live progress. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { Config, ConfigInput } from '../../config/schema.ts'
import { SherdError } from '../../errors.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import { type AdaptFlags, adaptationOf, addAdaptOptions } from '../adapt-options.ts'
import type { Composition } from '../config-file.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { configOption, positiveNumber, setOption, wholeNumber } from '../options.ts'
import { note, printJson } from '../output.ts'
import { addReadingOptions, type ReadingFlags, readingAssignments } from '../reading-options.ts'
import { saveRequests, stopSignal } from '../signals.ts'
import { argumentOrOption } from '../spellings.ts'
import { follow } from './follow.ts'
import { describeEnd, openReporter } from './reporter.ts'

interface Flags extends ReadingFlags, AdaptFlags {
  data?: string
  out: string
  init?: string
  steps?: number
  epochs?: number
  hours?: number
  config?: string
  set: string[]
  seed?: number
  device?: 'auto' | 'cpu' | 'cuda'
  precision?: 'auto' | 'fp32' | 'bf16'
  resume?: boolean
  overwrite?: boolean
  acceptDataChange?: boolean
  supervise?: boolean
  restarts: number
  probe?: string
  profile?: string | true
  profileSteps: number
  json?: boolean
}

export const defaultPreset = 'mae-small-64'

export function addPretrain(root: Command): void {
  const command = describeCommand(root.command('pretrain'), {
    group: 'Train',
    options: 'Training',
    page: 'run.md',
    examples: [
      'sherd pretrain --data photos --out runs/photos  # a folder of images, with the usual preset',
      'sherd pretrain mae-base-224 --data photos --out runs/base --epochs 100  # a larger model, and for how long',
      'sherd pretrain --data photos --out runs/night --hours 8  # as many steps as end in eight hours',
      'sherd pretrain --out runs/photos --resume  # continue where it stopped; the same command again does so, too',
    ],
  })
    .description('pretrain a masked autoencoder on a folder of images')
    .argument('[preset]', `what to train; "sherd presets" lists them (default: ${defaultPreset})`)
    .option('--data <dir>', 'folder of images, read recursively, or of packed ones')
    .requiredOption('--out <run>', 'folder of the run')
    .option(
      '--init <model>',
      'weights to begin with: a run, a checkpoint, a published encoder as it lies, or hf:owner/name',
    )
    .addOption(new Option('--steps <n>', 'optimizer steps').argParser(wholeNumber(1)).conflicts('epochs'))
    .addOption(new Option('--epochs <n>', 'passes over the data').argParser(positiveNumber))
    .addOption(
      new Option('--hours <h>', 'as many steps as end in this time here: a few are timed first')
        .argParser(positiveNumber)
        .conflicts(['steps', 'epochs']),
    )
    .addOption(configOption())
    .addOption(setOption('override one configuration key; may be repeated'))
    .option('--seed <n>', 'seed of every random draw', wholeNumber(0))
    .addOption(new Option('--device <device>', 'where to train').choices(['auto', 'cpu', 'cuda']))
    .addOption(new Option('--precision <type>', 'type of matrix products').choices(['auto', 'fp32', 'bf16']))
    .option('--probe <dir>', 'labelled images to probe the encoder with every log.probeEverySteps steps')
    .option(
      '--resume',
      'continue from the latest checkpoint in --out, with changed options; with --data, start a run if there is none',
    )
    .addOption(
      new Option(
        '--overwrite',
        'begin a new run in the place of the one in --out, which goes once the new one has begun',
      ).conflicts('resume'),
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
  addAdaptOptions(command, 'of --init; they are in adapter/ of the run')
  argumentOrOption(command, '--preset <name>')
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
  for (const [key, value] of Object.entries(adaptationOf(flags) ?? {}))
    given.push(`adapt.${key}=${JSON.stringify(value)}`)
  return given
}

async function runPretrain(presetName: string | undefined, flags: Flags): Promise<void> {
  if (flags.supervise) {
    const { supervise } = await import('./supervise.ts')
    const { out, restarts, resume = false, overwrite = false } = flags
    return supervise({ out, restarts, resume, overwrite })
  }
  letWaitingThreadsSleep()
  const { presetOf } = await import('../../config/presets.ts')
  const { composed } = await import('../config-file.ts')
  const { expectUseful } = await import('../../config/useless.ts')
  const { isBlank, openRun } = await import('../../checkpoint/run-folder.ts')
  expectOneLength(flags)
  const { settleReplacement } = await import('../../run/replace.ts')
  settleReplacement(flags.out)
  const isNew = flags.data !== undefined && isBlank(flags.out)
  let resume = (flags.resume ?? false) && !isNew
  if (flags.resume && isNew) note(`there is no run in ${flags.out} yet: beginning one`)
  const named = presetName === undefined ? undefined : presetOf(presetName)
  // A resumed run starts from its own saved configuration, a new one from the preset's.
  let base = named?.config ?? presetOf(defaultPreset).config
  let preset = presetName ?? defaultPreset
  if (resume) {
    const { config, facts } = openRun(flags.out)
    if (flags.hours !== undefined && flags.hours !== facts.hours)
      throw new SherdError(
        'USAGE',
        `--hours fits the steps of a run that begins: ${flags.out} keeps its own. Another length is --steps N.`,
      )
    if (presetName !== undefined && presetName !== facts.preset) {
      throw new SherdError(
        'RUN',
        `${flags.out} was started from preset "${facts.preset}", not "${presetName}". Leave the preset out, or start a new run.`,
      )
    }
    base = config
    preset = facts.preset
  }
  const over = { file: flags.config, options: assignments(flags), set: flags.set }
  let config =
    flags.init === undefined || resume
      ? composed({ base, ...over })
      : await composedFrom(flags.init, base, over)
  expectUseful(config, flags.set)
  const { yieldsOf } = await import('../../config/in-words.ts')
  if (!resume && !flags.overwrite) {
    const { existingRun } = await import('../../run/existing.ts')
    const { data, out, init, hours } = flags
    const found = await existingRun({ config, preset, data, out, init, hours })
    if (found.state === 'complete') {
      if (flags.json) return printJson(found.end)
      note(
        `${out} is complete: nothing to do. --overwrite trains it again from the start, --resume --steps N trains it longer.`,
      )
      return describeEnd(found.end, found.start, true, yieldsOf(config))
    }
    if (found.state === 'incomplete') {
      note(`${out} holds this run, not complete: continuing it`)
      config = found.config
      resume = true
    }
  }
  const { pretrain } = await import('../../run/pretrain.ts')
  const profile = flags.profile && {
    ...(flags.profile !== true && { path: flags.profile }),
    steps: flags.profileSteps,
  }
  const reporter = openReporter({
    ...{ json: flags.json, isLengthNamed: namesLength(flags), yields: yieldsOf(config) },
  })
  const events = pretrain({
    ...{
      config,
      preset,
      data: flags.data,
      out: flags.out,
      init: flags.init,
      hours: resume ? undefined : flags.hours,
      overwrite: flags.overwrite,
      acceptDataChange: flags.acceptDataChange,
      resume,
      signal: stopSignal(),
      isSaveWanted: saveRequests(),
      onProgress: reporter.progress,
    },
    ...(profile && { profile }),
  })
  await follow(events, reporter)
}

/** With the keys of the encoder that the run begins with, under what the user sets. */
async function composedFrom(
  init: string,
  base: ConfigInput,
  over: Omit<Composition, 'base'>,
): Promise<Config> {
  const { composed, composedInput } = await import('../config-file.ts')
  const { expectContinues, findDonor, startingFrom, withDonor } = await import('../../run/donor.ts')
  const own = composedInput({ base: {}, ...over })
  const donor = await findDonor(init, own)
  if (!donor.found) return composed({ base, ...over })
  sayHowRead({ notes: donor.found.notes, warnings: donor.found.warnings ?? [] })
  const config = withDonor(donor.name, () => composed({ base: startingFrom(base, donor, own), ...over }))
  expectContinues(config, donor)
  return config
}

/** Whether the user says how long the run is to be. */
const namesLength = ({ steps, epochs, hours, set }: Flags): boolean =>
  steps !== undefined || epochs !== undefined || hours !== undefined || setsLength(set)

const setsLength = (set: readonly string[]): boolean =>
  set.some((each) => /^train\.(steps|epochs)=/.test(each))

function expectOneLength({ hours, set }: Flags): void {
  if (hours === undefined || !setsLength(set)) return
  throw new SherdError('USAGE', '--hours chooses train.steps: leave that and train.epochs out of --set.')
}
