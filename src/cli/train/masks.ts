/** `sherd masks preview`: every kind of mask on a few images, before anything is trained. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { configOption, ending, setOption, wholeNumber } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { note, print, printJson, table } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingAssignments } from '../reading-options.ts'
import { hearSecondSignal, stopSignal } from '../signals.ts'
import { argumentOrOption, oldSpelling } from '../spellings.ts'
import { defaultPreset } from './pretrain.ts'

interface Flags extends ReadingFlags {
  data: string
  out: string
  count: number
  seed?: number
  config?: string
  set: string[]
  overwrite?: boolean
  json?: boolean
}

export function addMasks(root: Command): void {
  const group = describeCommand(root.command('masks'), {
    group: 'Train',
    page: 'token.md',
    examples: ['sherd masks preview --data photos --out masks.png  # every kind of mask on your images'],
  }).description('what is hidden from an encoder that learns')
  const command = describeCommand(group.command('preview'), {
    page: 'token.md',
    examples: [
      'sherd masks preview --data photos --out masks.png  # with the usual preset',
      'sherd masks preview mae-base-224 --data photos --out masks.png --set mask.ratio=0.4  # hide less',
    ],
  })
    .description('draw every kind of mask on a few images')
    .argument('[preset]', `whose images and patches; "sherd presets" lists them (default: ${defaultPreset})`)
    .requiredOption('--data <dir>', 'folder of images, or of packed ones')
    .requiredOption('--out <file>', 'picture to write (.png)', ending('.png'))
    .option('--count <n>', 'how many images, spread evenly over the folder', wholeNumber(1), 4)
    .option('--seed <n>', "seed of the masks (default: the configuration's)", wholeNumber(0))
    .addOption(configOption())
    .addOption(setOption('override one configuration key; may be repeated'))
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runPreview)
  argumentOrOption(command, '--preset <name>')
  oldSpelling(command, '--images <dir>', '--data')
  addReadingOptions(command)
}

async function runPreview(name: string | undefined, flags: Flags): Promise<void> {
  const { expectFree } = await import('../../files/claim.ts')
  const { writeWhole } = await import('../../files/write-whole.ts')
  expectFree(flags.out, flags.overwrite)
  const { presetOf } = await import('../../config/presets.ts')
  const { composed } = await import('../config-file.ts')
  const seed = flags.seed === undefined ? [] : [`train.seed=${flags.seed}`]
  const { openData } = await import('../../config/assemble.ts')
  const { loadExhibit } = await import('../../run/pictures.ts')
  const { previewMasks } = await import('../../run/mask-preview.ts')
  const signal = stopSignal('stopping')
  await hearSecondSignal()
  const watch = { onProgress: counting('reading', 'images'), signal }
  const { png, images, shown, leftOut } = await previewMasks({
    set: flags.set,
    composed: (set) =>
      composed({
        base: presetOf(name ?? defaultPreset).config,
        file: flags.config,
        options: [...readingAssignments(flags), ...seed],
        set,
      }),
    load: async (config, masks) =>
      loadExhibit(config, await openData(config, flags.data), flags.count, { ...watch, masks }),
  })
  endProgress()
  writeWhole(flags.out, png)
  const out = resolve(flags.out)
  if (flags.json) return printJson({ kind: 'mask-preview', out, images, masks: shown, leftOut })
  for (const { kind, reason } of leftOut) note(`${kind} is left out: ${reason}`)
  print(table(shown.map(({ kind, hidden, patches }) => [kind, `${hidden} of ${patches} patches hidden`])))
  print(`masks: ${out}`)
}
