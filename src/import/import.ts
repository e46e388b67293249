/**
 * Converts weights of other programs into a file for `--init`, `evaluate` and `embed`. Missing, unexpected or misshapen parameters are
 * errors unless allowed.
 */
import { dirname, resolve } from 'node:path'
import { expectFiniteArray, type StoredArray } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { sampleSize, usualStatistics } from '../config/assemble.ts'
import { withOverride } from '../config/overrides.ts'
import { autoencoderOf, backboneOf, dimensionsOf, resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { expectUseful } from '../config/useless.ts'
import { SherdError } from '../errors.ts'
import { makeFolder } from '../files/write-whole.ts'
import { backboneRows } from '../model/backbone.ts'
import { groupsOf } from '../model/backbone-shape.ts'
import { classifierRows } from '../model/classifier.ts'
import { headRows } from '../model/decoder/heads.ts'
import { transformerRows } from '../model/decoder/transformer.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { initialParameters, type ParameterRow, type Parameters } from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { pixelWidths } from '../target/band-target.ts'
import { toFloats } from '../tensor/tensor.ts'
import { type Grid, gridOf, type PatchSize } from '../token/grid.ts'
import { type GridChange, resampleNumbers } from '../token/resample-positions.ts'
import { openForeign } from './foreign.ts'
import { type ForeignModel, readForeign } from './foreign-model.ts'
import type { ForeignParameter } from './foreign-parameter.ts'
import { type ChannelChange, channelChange, expectChannels, inflated } from './import-channels.ts'
import { type LayoutName, layouts } from './layouts.ts'

export type ImportStatus = 'loaded' | 'reshaped' | 'missing' | 'unexpected' | 'left out'

/** The outcome for a parameter of ours or theirs. */
export interface ImportRow {
  readonly name: string
  readonly status: ImportStatus
  /** Their names, if different. */
  readonly from: readonly string[]
  readonly why: string
}

export interface ImportOptions {
  /** A file, or a folder with one and its `config.json`. */
  readonly from: string
  /** The `.safetensors` file to write. */
  readonly out: string
  /** Defaults for keys that the file does not state. */
  readonly base?: ConfigInput
  /** `key=value`, overriding all. */
  readonly set?: readonly string[]
  /** Tolerated differences: `missing` parameters are initialised randomly, `unexpected` ones ignored. */
  readonly allow?: readonly ('missing' | 'unexpected')[]
  /** Whether the embedding is inflated to the channels of `base` or `set`. */
  readonly inflate?: boolean
  /** The key of the weights, if the file holds several. */
  readonly take?: string | null
  /** Prefix of the model's names, if the file holds several. */
  readonly prefix?: string | null
  /** The grid of the file's positions, if it is not square and the file does not state it. */
  readonly grid?: Grid | null
  /** Overrides the file's statistics. */
  readonly statistics?: ChannelStatistics | null
}

export interface Imported {
  readonly path: string
  readonly layout: LayoutName
  readonly config: Config
  readonly statistics: ChannelStatistics
  readonly classes: readonly string[] | null
  readonly rows: readonly ImportRow[]
  readonly notes: readonly string[]
}

type Tree = Readonly<Record<string, unknown>>

const valueAt = (input: ConfigInput, key: string): unknown =>
  key.split('.').reduce<unknown>((at, part) => (at as Tree | undefined)?.[part], input)

/** Base, then the file, then `set`. */
function configOf(
  model: ForeignModel,
  { base = {}, set = [], inflate = false }: Omit<ImportOptions, 'out'>,
): Config {
  const { config: said, unsaid } = model
  const wanted = set.reduce(withOverride, base)
  expectChannels(model, wanted, inflate)
  const { channels, ...dimensions } = said.model ?? {}
  const isOther = inflate && (wanted.data?.bands != null || wanted.model?.channels !== undefined)
  const merged: ConfigInput = {
    ...base,
    data: { ...base.data, ...(!isOther && said.data) },
    model: { ...base.model, ...dimensions, ...(!isOther && channels !== undefined && { channels }) },
    decoder: { ...base.decoder, ...said.decoder },
    mask: { ...base.mask, ...said.mask },
    target: { ...base.target, ...said.target },
  }
  const input = set.reduce(withOverride, merged)
  const open = [...new Set(unsaid)].filter((key) => valueAt(input, key) === undefined)
  if (open.length > 0)
    throw new SherdError(
      'USAGE',
      `The file does not say ${open.join(' and ')}, and its shapes do not show it: give ${open.map((key) => `--set ${key}=…`).join(' ')}, or a preset.`,
    )
  const config = resolveConfig(input)
  expectUseful(config, set)
  return config
}

/** The grid by the configured sizes, for a file that does not show its own. */
function gridSet(
  { set = [] }: Pick<ImportOptions, 'set'>,
  patchSide: (size: [number, number]) => Grid | null,
): Grid | null {
  const input = set.filter((each) => each.startsWith('model.imageSize=')).reduce(withOverride, {})
  const size = input.model?.imageSize
  return size === undefined ? null : patchSide(typeof size === 'number' ? [size, size] : size)
}

function rowsOf(config: Config, { hasDecoder, classifier }: ForeignModel): ParameterRow[] {
  const shape = backboneOf(config)
  const classes = classifier?.classes.length ?? 0
  const encoder = classifier
    ? classifierRows({ backbone: shape, classes, head: classifier.head })
    : backboneRows(shape)
  if (!hasDecoder) return encoder
  const widths = pixelWidths({ shape, groups: groupsOf(shape) })
  return [...encoder, ...transformerRows(autoencoderOf(config)), ...headRows(widths, config.decoder.width)]
}

interface Fitted {
  readonly row: ParameterRow
  readonly read: (() => Promise<Float32Array>) | null
  readonly report: ImportRow
}

/** Learned positions, resampled to the configured grid. */
function fitPositions(
  row: ParameterRow,
  { positions, layout }: ForeignModel,
  { to, by }: Omit<GridChange, 'from'>,
): Fitted {
  const { grid: from, table } = positions
  const isSame = from.h === to.h && from.w === to.w
  const why = isSame ? '' : `${by} from ${from.h} × ${from.w} to ${to.h} × ${to.w} places`
  return {
    row,
    read: async () => resampleNumbers(table, row.shape[1]!, { from, to, by }),
    report: {
      name: row.name,
      status: isSame ? 'loaded' : 'reshaped',
      why,
      from: [layouts[layout].positions],
    },
  }
}

function matched(
  row: ParameterRow,
  found: ForeignParameter | undefined,
  change: ChannelChange | null,
): Fitted {
  const { name, shape } = row
  const shown = `[${shape.join(', ')}]`
  if (!found) return { row, read: null, report: { name, status: 'missing', from: [], why: shown } }
  const from = found.from.length === 1 && found.from[0] === name ? [] : found.from
  const made = change && inflated(row, found, change)
  if (made) return { row, read: made.read, report: { name, status: 'reshaped', from, why: made.why } }
  if (found.shape.join() === shape.join())
    return { row, read: found.read, report: { name, status: 'loaded', from, why: '' } }
  throw new SherdError('CHECKPOINT', `${name} is [${found.shape.join(', ')}] in the file, expected ${shown}.`)
}

/** Note for a computed table of another grid. */
function recomputedNote({ layout, positions }: ForeignModel, name: string, to: Grid): string {
  const { h, w } = positions.grid
  const { positions: own, decoderPositions } = layouts[layout]
  const isComputed = name === decoderPositions || (name === own && positions.kind === 'fixed')
  return isComputed && (h !== to.h || w !== to.w) ? `; recomputed for ${to.h} × ${to.w} places` : ''
}

/** Throws `CHECKPOINT` listing missing and unexpected parameters that are not allowed. */
function expectAllowed(rows: readonly ImportRow[], allow: NonNullable<ImportOptions['allow']>): void {
  const lists = (['missing', 'unexpected'] as const).flatMap((status) => {
    const names = rows.filter((row) => row.status === status).map(({ name }) => name)
    const more = names.length > 8 ? ', …' : ''
    return names.length === 0 || allow.includes(status)
      ? []
      : [`  ${status} (${names.length}): ${names.slice(0, 8).join(', ')}${more}`]
  })
  if (lists.length === 0) return
  const kinds = lists.map((line) => line.trim().split(' ')[0]!)
  throw new SherdError(
    'CHECKPOINT',
    [
      'The weights do not fit the model:',
      ...lists,
      `  --allow ${kinds.join(',')} takes the rest${kinds.includes('unexpected') ? ', without what these parameters compute' : ''}.`,
    ].join('\n'),
  )
}

/** `change`: set if the file has other channels. */
function statisticsFor(
  config: Config,
  { facts, config: known }: ForeignModel,
  { given, change }: { readonly given: ChannelStatistics | null; readonly change: ChannelChange | null },
) {
  const { channels } = sampleSize(config)
  const isOfBands = config.data.kind === 'rasters'
  // Statistics of photographs do not apply to bands in other units.
  const isOfThese = change === null && (!isOfBands || known.data?.bands !== undefined)
  const said = given ?? (isOfThese ? facts.statistics : null)
  if (said && said.mean.length !== channels)
    throw new SherdError(
      'USAGE',
      `Its images have ${channels} channels, but the statistics are of ${said.mean.length}.`,
    )
  if (said) return { statistics: said, notes: [] }
  if (isOfBands || (channels !== 3 && channels !== 1))
    throw new SherdError(
      'USAGE',
      `The file does not say what images of ${isOfBands ? 'these bands' : `${channels} channels`} are normalised by: give --statistics FILE, a JSON object of mean and std.`,
    )
  const what = change ? 'images of these channels' : 'images'
  const note = `the file does not say what ${what} were normalised by: taken as ImageNet's mean and deviation`
  return { statistics: usualStatistics(config), notes: [note] }
}

async function valuesOf(fitted: readonly Fitted[], seed: number): Promise<Map<string, StoredArray>> {
  const missing = fitted.filter(({ read }) => read === null).map(({ row }) => row)
  // LibTorch is needed only for random initial values.
  const fresh: Parameters =
    missing.length > 0 ? initialParameters(missing, { seed, device: 'cpu' }) : new Map()
  const values = new Map<string, StoredArray>()
  for (const { row, read } of fitted) {
    const data = read ? await read() : toFloats(fresh.get(row.name)!)
    expectFiniteArray(row.name, data)
    values.set(row.name, { dtype: 'float32', shape: row.shape, data })
  }
  for (const each of fresh.values()) each.dispose()
  return values
}

/** What an import would make, before any value is read. */
export interface ImportPlan extends Omit<Imported, 'path' | 'classes'> {
  readonly classifier: ForeignModel['classifier']
  readonly fitted: readonly Fitted[]
}

/** Plans an import and hands it to `body` while the file is open. Throws `CHECKPOINT`, `CONFIG` or `USAGE`. */
export async function planImport<T>(
  options: Omit<ImportOptions, 'out'>,
  body: (plan: ImportPlan) => T | Promise<T>,
): Promise<T> {
  const { take = null, prefix = null, grid: givenGrid = null } = options
  const weights = await openForeign(options.from, { take })
  try {
    if (weights.metadata.sherd !== undefined)
      throw new SherdError('USAGE', `${weights.path} is a file of sherd: every command takes it as it is.`)
    const model = await readForeign(weights, {
      ...{ prefix, grid: givenGrid },
      gridOf: (patchSize) => gridSet(options, (size) => gridIfWhole(size, patchSize)),
    })
    const config = configOf(model, options)
    const dimensions = dimensionsOf(config)
    const isLearned = config.model.positions === 'learned'
    if (!isLearned && model.positions.kind === 'learned')
      throw new SherdError(
        'USAGE',
        `Its positions are learned (they differ from sines and cosines by ${model.positions.difference.toFixed(4)}): leave model.positions out.`,
      )
    const grid = gridOfModel(dimensions)
    const change = options.inflate ? channelChange(model, config) : null
    const given = options.statistics ?? null
    const { statistics, notes } = statisticsFor(config, model, { given, change })
    const fitted = rowsOf(config, model).map((row) =>
      row.name === 'pos_embed'
        ? fitPositions(row, model, { to: grid, by: config.model.resampling })
        : matched(row, model.parameters.get(row.name), change),
    )
    const used = new Set(fitted.map(({ row }) => row.name))
    const unexpected = [
      ...model.unexpected,
      ...[...model.parameters].filter(([name]) => !used.has(name)).flatMap(([, { from }]) => from),
    ]
    const rows: ImportRow[] = [
      ...fitted.map(({ report }) => report),
      ...unexpected.map((name): ImportRow => ({ name, status: 'unexpected', from: [], why: '' })),
      ...model.dropped.map(
        ({ name, why }): ImportRow => ({
          ...{ name, status: 'left out', from: [], why: why + recomputedNote(model, name, grid) },
        }),
      ),
    ]
    expectAllowed(rows, options.allow ?? [])
    return await body({
      ...{ layout: model.layout, config, statistics, classifier: model.classifier, fitted, rows },
      notes: [...model.notes, ...notes],
    })
  } finally {
    await weights.close()
  }
}

/** Throws `CHECKPOINT`, `CONFIG` or `USAGE`, and then writes nothing. */
export async function importWeights(options: ImportOptions): Promise<Imported> {
  const path = resolve(options.out)
  if (!path.endsWith('.safetensors'))
    throw new SherdError('USAGE', `--out: expected a name that ends in .safetensors, got ${options.out}`)
  return planImport(options, async ({ fitted, classifier, ...plan }) => {
    const { config, statistics } = plan
    const values = await valuesOf(fitted, config.train.seed)
    makeFolder(dirname(path))
    writeWeights(path, values, weightsMetadata({ config, statistics, ...(classifier && { classifier }) }))
    return { path, ...plan, classes: classifier?.classes ?? null }
  })
}

function gridIfWhole(size: [number, number], patchSize: PatchSize): Grid | null {
  return size.every((side, axis) => side % patchSize[axis]! === 0) ? gridOf(size, patchSize) : null
}
