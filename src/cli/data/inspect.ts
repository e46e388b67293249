/** `sherd inspect`: what sherd sees in files and folders, or why it would not take them. */
import type { Command } from 'commander'
import type { Inspected } from '../../inspect/inspected.ts'
import { describeCommand } from '../help.ts'
import { paint, print, printCommand, printJson, table } from '../output.ts'
import { ownName } from '../own-name.ts'
import { counting } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from '../reading-options.ts'
import { stopSignal } from '../signals.ts'
import { columnsOf } from '../terminal.ts'

interface Flags extends ReadingFlags {
  all?: boolean
  json?: boolean
}

export function addInspect(root: Command): void {
  const command = describeCommand(root.command('inspect'), {
    group: 'Data',
    page: 'inspect.md',
    examples: [
      'sherd inspect photos  # how many, how large, which are left out and why',
      'sherd inspect scene.tif  # one file',
      'sherd inspect runs/mine  # a model: what it is and where it came from',
      'sherd inspect photos --json > photos.jsonl  # an object for each file',
    ],
  })
    .description('say what sherd sees in files and folders, or why training would leave them out')
    .argument(
      '<path...>',
      'images, rasters, folders of them, runs, checkpoints, weights, indices, packs, graphs',
    )
    .option('--all', 'show every file of a folder, and not only a summary')
    .option('--json', 'print an object for each file as a line of JSON')
    .action(run)
  addReadingOptions(command, { ofModel: false })
}

async function run(paths: string[], flags: Flags): Promise<void> {
  const { inspect, modelsIn } = await import('../../inspect/inspect.ts')
  const { configureDecoder } = await import('../../prepare/decode/decode.ts')
  configureDecoder()
  const signal = stopSignal('stopping')
  const show = (found: Inspected) => (flags.json ? printJson(jsonOf(found)) : showBlock(found))
  let isAllRight = true
  const one = async (path: string): Promise<Inspected> => {
    const onProgress = counting(`looking at ${path}`, 'files')
    const found = await inspect(path, {
      ...{ limits: readingOf(flags), signal },
      onProgress: (done, of) => of >= FEW && onProgress(done, of),
      ...((flags.all || flags.json) && { onFile: show }),
    })
    isAllRight &&= found.usable
    return found
  }
  for (const path of paths) {
    const found = await one(path)
    // A folder without images may be one of models.
    const models = found.what === 'images' && found.facts.files === undefined ? await modelsIn(path) : []
    if (models.length === 0) show(found)
    else {
      isAllRight = true
      for (const model of models) show(await one(model))
    }
  }
  if (!isAllRight) process.exitCode = 1
}

const FEW = 50 // files that take no time worth a line

const jsonOf = ({ path, what, title, usable, reason, facts, notes, next }: Inspected) => ({
  kind: 'inspect' as const,
  ...{ path, what, title, usable, reason, notes, next, facts },
})

const WIDE = 60 // columns from which labels stand beside their texts

const whole: readonly Inspected['what'][] = ['images', 'rasters', 'masked images']

function showBlock({ path, what, title, usable, reason, rows, notes, next }: Inspected): void {
  const verdict = usable
    ? ''
    : paint('yellow', ` – ${whole.includes(what) ? 'not all of it can be used' : 'cannot be used'}`)
  print(`${paint('bold', path)}: ${title}${verdict}`)
  // A summary lists the reasons itself.
  const isListed = rows.some(([label]) => label === 'left out')
  const lines = [...rows, ...(reason === null || isListed ? [] : [['why not', reason] as const])]
  const columns = columnsOf('out')
  if (columns !== null && columns < WIDE)
    for (const [label, text] of lines) print(`  ${label === '' ? '' : `${label}: `}${text}`)
  else if (lines.length > 0) print(table(lines.map(([label, text]) => [`  ${label}`, text])))
  for (const each of notes) print(`  ${paint('yellow', 'note:')} ${each}`)
  for (const each of next) printCommand(`  ${each.replace(/^sherd /, `${ownName()} `)}`)
  print('')
}
