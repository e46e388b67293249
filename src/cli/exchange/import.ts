/** `sherd import`: converts weights of other programs. */
import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { messageOf, SherdError } from '../../errors.ts'
import type { ImportRow, ImportStatus } from '../../import/fit-parameters.ts'
import type { ChannelStatistics } from '../../prepare/normalize.ts'
import type { Grid } from '../../token/grid.ts'
import { describeCommand } from '../help.ts'
import { configOption, setOption } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { note, print, printJson, table } from '../output.ts'
import { counting } from '../progress.ts'
import { stopSignal } from '../signals.ts'
import { oldSpelling } from '../spellings.ts'

const differences = ['missing', 'unexpected'] as const
type Difference = (typeof differences)[number]

interface Flags {
  readonly out: string
  readonly take?: string
  readonly prefix?: string
  readonly grid?: Grid
  readonly preset?: string
  readonly config?: string
  readonly set: string[]
  readonly allow: Difference[]
  readonly inflate?: boolean
  readonly statistics?: string
  readonly verbose?: boolean
  readonly overwrite?: boolean
  readonly json?: boolean
}

function parseAllowed(text: string): Difference[] {
  const names = text.split(',').map((name) => name.trim())
  const isKnown = (name: string): name is Difference => differences.includes(name as Difference)
  if (!names.every(isKnown)) throw new InvalidArgumentError(`Expected ${differences.join(', ')} or both.`)
  return names
}

function parseGrid(text: string): Grid {
  const [, h, w] = text.match(/^([1-9]\d{0,4})[x×]([1-9]\d{0,4})$/) ?? []
  if (!h || !w) throw new InvalidArgumentError('Expected rows and columns, such as 2x8.')
  return { h: Number(h), w: Number(w) }
}

export function addImport(root: Command): void {
  const command = describeCommand(root.command('import'), {
    group: 'Exchange models',
    page: 'import.md',
    examples: [
      'sherd import mae_vit_base.pth --out mae.safetensors  # published weights of MAE',
      'sherd import dinov2-small --out dinov2.safetensors  # a folder of Hugging Face, with its config.json',
      'sherd import checkpoint.pth --take student --out s.safetensors  # others of the weights that a training saved',
    ],
  })
    .description(
      'read weights of published encoders: DINO, MAE, CLIP, SigLIP, BEiT … of timm, Hugging Face or their authors',
    )
    .argument(
      '<from>',
      'a .pth, .pt, .ckpt, .bin or .safetensors file, or a folder with one and its config.json',
    )
    .requiredOption('--out <file>', 'what to write: a .safetensors file, for --init and --model')
    .option('--take <key>', 'under which key of a .pth file the weights are, such as state_dict_ema')
    .option('--prefix <name>', 'what the names of the model begin with, such as backbone.vit')
    .option(
      '--grid <rows>x<columns>',
      "the grid of the file's learned positions, where it is no square",
      parseGrid,
    )
    .option('--preset <name>', 'what the file does not say: bands, decoder, training')
    .addOption(configOption())
    .addOption(setOption('override one key; may be repeated'))
    .option('--allow <differences>', 'missing, unexpected or both, with a comma', parseAllowed, [])
    .option(
      '--inflate',
      'make the embedding for the bands or channels that are set, where the file has others',
    )
    .option('--statistics <file>', 'JSON of the mean and std that images are normalised by')
    .option('--verbose', 'a line for every parameter, not only for those that are not simply loaded')
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runImport)
  oldSpelling(command, '--all', '--verbose')
}

async function readStatistics(path: string): Promise<ChannelStatistics> {
  const { statisticsOf } = await import('../../import/preprocessing.ts')
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new SherdError('USAGE', `--statistics: cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
  const found = statisticsOf(json, path)
  if (found) return found
  throw new SherdError('USAGE', `--statistics: ${path} has no mean and std`)
}

const order: readonly ImportStatus[] = ['loaded', 'reshaped', 'missing', 'unexpected', 'left out']

const line = ({ name, status, from, why }: ImportRow) => [
  status,
  name,
  [from.length > 0 ? `from ${from.join(', ')}` : '', why].filter(Boolean).join('; '),
]

async function runImport(from: string, flags: Flags): Promise<void> {
  const { importWeights } = await import('../../import/import.ts')
  const { takenText } = await import('../../import/taken.ts')
  const { layouts } = await import('../../import/layouts.ts')
  const { presetOf } = await import('../../config/presets.ts')
  const { composedInput } = await import('../config-file.ts')
  const { expectFree } = await import('../../files/claim.ts')
  expectFree(flags.out, flags.overwrite)
  const made = await importWeights({
    ...{ from, out: flags.out, set: flags.set, allow: flags.allow, inflate: flags.inflate ?? false },
    ...{ onProgress: counting('reading', 'parameters'), signal: stopSignal('stopping') },
    ...{ take: flags.take ?? null, prefix: flags.prefix ?? null, grid: flags.grid ?? null },
    ...((flags.preset !== undefined || flags.config !== undefined) && {
      base: composedInput({
        base: flags.preset === undefined ? {} : presetOf(flags.preset).config,
        file: flags.config,
        set: [],
      }),
    }),
    ...(flags.statistics !== undefined && { statistics: await readStatistics(flags.statistics) }),
  })
  const counts = Object.fromEntries(
    order.map((status) => [status, made.rows.filter((row) => row.status === status).length]),
  )
  if (flags.json) return printJson({ kind: 'import', ...made, counts })
  for (const message of made.notes) note(`note: ${message}`)
  const shown = flags.verbose ? made.rows : made.rows.filter(({ status }) => status !== 'loaded')
  if (shown.length > 0) print(`${table(shown.map(line))}\n`)
  const { width, depth, heads: of, patchSize, imageSize } = made.config.model
  print(`${layouts[made.layout].title}: ${order.map((status) => `${counts[status]} ${status}`).join(', ')}`)
  print(`${made.family}: ${takenText(made.taken)}; an image's vector: ${made.config.model.feature}`)
  print(
    `ViT of ${depth} ${depth === 1 ? 'block' : 'blocks'}, width ${width}, ${of} heads, patches of ${[patchSize].flat().join(' × ')} in ${(imageSize as number[]).join(' × ')} pixels: ${made.path}`,
  )
}
