/** The command line: parses, calls the library, prints. Commands load their code when they are called. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { type ErrorCode, messageOf, SherdError } from '../errors.ts'
import { cannotWrite, isDiskFull } from '../files/cannot-write.ts'
import { packageRoot } from '../package-root.ts'
import { listenToNotes } from '../source/notes.ts'
import { addCompletion } from './completion/completion.ts'
import { addInspect } from './data/inspect.ts'
import { addPack } from './data/pack.ts'
import { addSampleData } from './data/sample-data.ts'
import { fetchGraphs, showDownloads } from './downloads.ts'
import { addCompare } from './evaluate/compare.ts'
import { addEvaluate } from './evaluate/evaluate.ts'
import { addDownload } from './exchange/download.ts'
import { addExport } from './exchange/export.ts'
import { addImport } from './exchange/import.ts'
import { addModels } from './exchange/models.ts'
import { describeCommand, markRequired, SherdHelp } from './help.ts'
import { addSchema } from './json/schema.ts'
import { addBench } from './machine/bench.ts'
import { addDoctor } from './machine/doctor.ts'
import { addSetup } from './machine/setup.ts'
import { addVerify } from './machine/verify.ts'
import { withMemoryExplained } from './memory-error.ts'
import { collected } from './options.ts'
import { complain, note, paint, printJson, warnOnce } from './output.ts'
import { asTyped } from './own-name.ts'
import { addClassify } from './predict/classify.ts'
import { addEmbed } from './predict/embed.ts'
import { addLook } from './predict/look.ts'
import { addSegmentFolder } from './predict/segment.ts'
import { addServe } from './predict/serve.ts'
import { addTokenize } from './predict/tokenize.ts'
import { endProgress } from './progress.ts'
import { addClusters } from './search/clusters.ts'
import { addDuplicates } from './search/duplicates.ts'
import { addIndex } from './search/make-index.ts'
import { addOutliers } from './search/outliers.ts'
import { addSearch } from './search/search.ts'
import { stopFor, stopStatus } from './signals.ts'
import { showStart } from './start.ts'
import { columnsOf, hasColours, setQuiet } from './terminal.ts'
import { addDemo } from './train/demo.ts'
import { addMasks } from './train/masks.ts'
import { addPlan } from './train/plan.ts'
import { addPresets } from './train/presets.ts'
import { addPretrain } from './train/pretrain.ts'
import { addReconstruct } from './train/reconstruct.ts'
import { wrongUsage } from './wrong-usage.ts'

// These exit with status 2 (wrong usage), all others with 1.
const usageCodes: readonly ErrorCode[] = ['USAGE', 'CONFIG', 'PRESET_UNKNOWN']

/** The whole tree of commands. */
export function program(): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string
  }
  const root = describeCommand(new Command('sherd'), {
    page: 'README.md',
    examples: [
      'sherd demo  # what it does, in about two minutes',
      'sherd pretrain --data photos --out runs/photos  # train on a folder of images',
      'sherd help pretrain  # options, examples and page of one command',
    ],
  })
    .description('Self-supervised pretraining of vision models by masked image modelling.')
    .version(version)
    .configureOutput({
      getOutHelpWidth: () => columnsOf('out') ?? 80,
      getErrHelpWidth: () => columnsOf('err') ?? 80,
      getOutHasColors: () => hasColours('out'),
      getErrHasColors: () => hasColours('err'),
      outputError: () => {}, // it is thrown, and printed as other errors are
    })
  // Grouped as in help.
  for (const add of [
    ...[addDemo, addPlan, addPretrain, addPresets, addMasks, addReconstruct],
    ...[addEvaluate, addCompare],
    ...[addEmbed, addClassify, addSegmentFolder, addTokenize, addLook, addServe],
    ...[addIndex, addSearch, addDuplicates, addOutliers, addClusters],
    ...[addExport, addImport, addDownload, addModels],
    ...[addInspect, addPack, addSampleData],
    ...[addSetup, addDoctor, addVerify, addBench],
    ...[addCompletion, addSchema],
  ])
    add(root)
  const prepare = (command: Command): void => {
    command.exitOverride((exit) => {
      const isHelp = exit.exitCode === 0 || exit.code === 'commander.help'
      throw isHelp ? exit : wrongUsage(command, exit)
    })
    command.createHelp = () => new SherdHelp()
    if (command.commands.length === 0) addQuiet(command)
    missingLast(command)
    refuseTwice(command)
    fetchGraphs(command)
    refuseUnknown(command)
    command.commands.forEach(prepare)
  }
  prepare(root)
  addHelp(root)
  return root
}

/** `sherd help evaluate knn`: commander's own takes one word, and is silent about one that it does not know. */
function addHelp(root: Command): void {
  root
    .helpCommand(false)
    .command('help [command...]', { hidden: true })
    .action((words: string[]) => {
      let command = root
      for (const word of words) {
        const next = command.commands.find((each) => each.name() === word)
        if (!next) throw wrongUsage(command, unknown(word))
        command = next
      }
      command.outputHelp()
    })
}

/** `setup` explains its own. */
function addQuiet(command: Command): void {
  if (!command.options.some(({ long }) => long === '--quiet'))
    command.option('--quiet', 'results, warnings and errors only')
  command.on('option:quiet', () => setQuiet(true))
}

const unknown = (word: string) => ({ code: 'commander.unknownCommand', message: `unknown command '${word}'` })

/** `sherd trian --help` asks for help on what is not there: commander would show that of all. */
function refuseUnknown(command: Command): void {
  if (command.commands.length === 0) return
  command.on('beforeHelp', () => {
    const [word] = command.args
    if (word === undefined || word.startsWith('-') || word === 'help') return
    if (!command.commands.some((each) => each.name() === word)) throw wrongUsage(command, unknown(word))
  })
}

/** Commander reports a missing option before an unknown one, but `--otu` is a mistyped `--out`: check the required ones last. */
function missingLast(command: Command): void {
  const needed = command.options.filter(({ mandatory }) => mandatory)
  for (const option of needed) {
    option.mandatory = false
    markRequired(option)
  }
  command.hook('preAction', () => {
    const missing = needed.filter((option) => !command.getOptionValue(option.attributeName()))
    if (missing.length === 0) return
    const flags = missing.map((option) => `'${option.flags}'`).join(', ')
    command.error(`error: required ${missing.length === 1 ? 'option' : 'options'} ${flags} not specified`)
  })
}

/** An option that is given twice would lose the first one silently. Lists take several: `<names...>`, and `--set`. */
function refuseTwice(command: Command): void {
  const given = new Map<string, string>()
  for (const option of command.options) {
    if (option.variadic || option.parseArg === collected) continue
    const name = option.attributeName()
    command.on(`option:${option.name()}`, () => {
      const before = given.get(name)
      if (before !== undefined)
        command.error(
          before === option.flags
            ? `error: option '${option.flags}' was given twice${option.short?.startsWith('--') ? ': both are names of one option' : ''}`
            : `error: options '${before}' and '${option.flags}' exclude each other`,
        )
      given.set(name, option.flags)
    })
  }
  command.hook('preAction', () => given.clear())
}

let isOutputLost = false

/**
 * A closed pipe, as in `sherd presets | head -1`, is not an error: the rest of the output is dropped. A file that takes no more is one: work that
 * can be stopped keeps what is done, other work ends.
 */
function watchOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || error.code === 'EIO' || isOutputLost) return // EIO: the terminal is gone
      isOutputLost = true
      const name = stream === process.stdout ? 'stdout' : 'stderr'
      const what = `standard ${name === 'stdout' ? 'output' : 'error'}, which is a file`
      complain(`${paint('red', 'error:')} ${messageOf(cannotWrite(`/dev/${name}`, error, { what }))}`)
      if (!stopFor('no output')) process.exit(1)
    })
}

/** For a write whose error nothing has put into words. */
const withDiskExplained = (error: unknown): unknown =>
  error instanceof SherdError || !isDiskFull(error)
    ? error
    : new SherdError(
        'RUN',
        `The disk is full (${messageOf(error)}). Make room, then run the same command again.`,
        {
          cause: error,
        },
      )

/** Prints what was thrown. Returns the exit status. */
function report(error: unknown, json: boolean): number {
  const code = error instanceof SherdError ? error.code : 'BUG'
  const message = asTyped(messageOf(error))
  if (json) printJson({ kind: 'error', code, message })
  if (code === 'INTERRUPTED') {
    note(message)
    return stopStatus()
  }
  complain(`${paint('red', 'error:')} ${message}`)
  if (!(error instanceof SherdError) && error instanceof Error) complain(error.stack ?? '')
  return usageCodes.includes(code) ? 2 : 1
}

/** Runs one command; sets the exit status instead of exiting, so that output is flushed. */
export async function main(argv: readonly string[]): Promise<void> {
  watchOutput()
  setQuiet(false)
  listenToNotes(warnOnce)
  showDownloads()
  try {
    if (argv.length <= 2) showStart()
    else await program().parseAsync(argv)
  } catch (thrown) {
    const error = withDiskExplained(withMemoryExplained(thrown))
    endProgress()
    if (error instanceof CommanderError)
      process.exitCode = error.exitCode === 0 ? 0 : 2 // help was shown: asked for, or where a command is missing
    else process.exitCode = report(error, argv.includes('--json'))
  } finally {
    if (isOutputLost) process.exitCode = 1
    const { quitIfStuck } = await import('../prepare/decode/quit.ts')
    await quitIfStuck(Number(process.exitCode ?? 0))
  }
}
