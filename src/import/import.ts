/**
 * Converts weights of other programs into a file for `--init`, `evaluate` and `embed`. Missing, unexpected or misshapen parameters are
 * errors unless allowed. Over 300 lines: the plan of an import and its parts are read as one.
 */
import { dirname, resolve } from 'node:path'
import { expectFiniteArray, type StoredArray } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { givenStatistics, sampleSize, usualStatistics } from '../config/assemble.ts'
import { withOverride } from '../config/overrides.ts'
import { autoencoderOf, backboneOf, dimensionsOf, resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { expectUseful } from '../config/useless.ts'
import { pause, SherdError } from '../errors.ts'
import { makeFolder } from '../files/write-whole.ts'
import { groupsOf } from '../model/backbone-shape.ts'
import { classifierRows, type EncoderNorm, normedRows } from '../model/classifier.ts'
import { headRows } from '../model/decoder/heads.ts'
import { transformerRows } from '../model/decoder/transformer.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { outputRows } from '../model/own-output.ts'
import { initialParameters, type ParameterRow, type Parameters } from '../model/parameters.ts'
import { rotaryPeriods } from '../model/rotary-position.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { pixelWidths } from '../target/band-target.ts'
import { toFloats } from '../tensor/tensor.ts'
import { type Grid, gridOf, type PatchSize } from '../token/grid.ts'
import { openForeign } from './foreign.ts'
import { type ForeignModel, readForeign } from './foreign-model.ts'
import { type ChannelChange, channelChange, expectChannels, inflated } from './import-channels.ts'
import type { Family } from './layouts/facts.ts'
import { type Layout, type LayoutName, layouts } from './layouts.ts'
import { type Difference, expectFitting } from './misfit.ts'
import { type Taken, takenOf } from './taken.ts'
import { shapeText } from './translate-names.ts'

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
  readonly allow?: readonly Difference[]
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
  /** Parameters that are read. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Imported {
  readonly path: string
  readonly layout: LayoutName
  readonly family: Family
  readonly taken: Taken
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
  const { config: said, open, places, rotaryBase, preparation } = model
  const wanted = set.reduce(withOverride, base)
  expectChannels(model, wanted, inflate)
  const { channels, ...dimensions } = said.model ?? {}
  const isOther = inflate && (wanted.data?.bands != null || wanted.model?.channels !== undefined)
  const merged: ConfigInput = {
    ...base,
    data: {
      ...base.data,
      ...((wanted.data?.bands ?? said.data?.bands ?? null) === null && preparation),
      ...(!isOther && said.data),
    },
    model: { ...base.model, ...dimensions, ...(!isOther && channels !== undefined && { channels }) },
    decoder: { ...base.decoder, ...said.decoder },
    mask: { ...base.mask, ...said.mask },
    target: { ...base.target, ...said.target },
  }
  const given = set.reduce(withOverride, merged)
  const { width = 0, heads, imageSize = 0, patchSize = 1 } = given.model ?? {}
  const grid = gridIfWhole(pairOf(imageSize), pairOf(patchSize))
  const isOwnSize = grid === null || (grid.h === places.grid.h && grid.w === places.grid.w)
  const isStored = places.table !== null || (given.model?.relativePositions ?? null) !== null
  const input: ConfigInput = {
    ...given,
    model: {
      ...given.model,
      ...(isStored && !isOwnSize && { positionGrid: [places.grid.h, places.grid.w] as [number, number] }),
      ...(rotaryBase !== null &&
        heads !== undefined && { rotaryPeriods: rotaryPeriods(width / heads, rotaryBase) }),
    },
  }
  const byUser = set.reduce(withOverride, base)
  const unsaid = open.filter(({ key, atOwnSize }) => {
    if (valueAt(byUser, key) !== undefined) return false
    return atOwnSize === undefined ? valueAt(given, key) === undefined || isGuess(key) : !isOwnSize
  })
  const keys = [...new Set(unsaid.map(({ key }) => key))]
  if (keys.length > 0) throw new SherdError('USAGE', unsaidText(keys, open))
  const config = resolveConfig(input)
  expectUseful(config, set)
  return config
}

/** Keys whose value in what the file says is no statement of the file. */
const isGuess = (key: string) => key === 'model.activation' || key === 'model.layerNormEpsilon'

const pairOf = (size: number | readonly number[]): [number, number] =>
  typeof size === 'number' ? [size, size] : [size[0]!, size[1]!]

function unsaidText(keys: readonly string[], open: ForeignModel['open']): string {
  const choices = keys.flatMap((key) => {
    const options = open.find((each) => each.key === key)?.options ?? []
    return options.length === 0 ? [] : [` ${key} may be ${options.join(', ')}.`]
  })
  return `The file does not say ${keys.join(' and ')}, and its shapes do not show it: give ${keys.map((key) => `--set ${key}=…`).join(' ')}, or, where it is imported, --preset NAME.${choices.join('')}`
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

function rowsOf(config: Config, { hasDecoder, classifier, norm }: ForeignModel): ParameterRow[] {
  const shape = backboneOf(config)
  const classes = classifier?.classes.length ?? 0
  const encoder = classifier
    ? classifierRows({ backbone: shape, classes, head: classifier.head })
    : normedRows(shape, norm)
  const own = [...encoder, ...outputRows(shape.dimensions)]
  if (!hasDecoder) return own
  const widths = pixelWidths({ shape, groups: groupsOf(shape) })
  return [...own, ...transformerRows(autoencoderOf(config)), ...headRows(widths, config.decoder.width)]
}

interface Fitted {
  readonly row: ParameterRow
  readonly read: (() => Promise<Float32Array>) | null
  readonly report: ImportRow
}

/** Learned positions, as they are stored. */
function fitPositions(row: ParameterRow, { places, layout }: ForeignModel): Fitted {
  const { table, grid, cls } = places
  const from = layouts[layout].positions!.name
  const why = `${grid.h} × ${grid.w} places${cls ? '; the row of cls added to cls_token' : ''}`
  return {
    row,
    read: async () => table!,
    report: { name: row.name, status: 'loaded', why, from: from === row.name ? [] : [from] },
  }
}

interface Matched {
  readonly fitted: Fitted
  /** Why the shapes differ. */
  readonly misshapen: string | null
}

function matched(row: ParameterRow, model: ForeignModel, change: ChannelChange | null): Matched {
  const { name, shape } = row
  const found = model.parameters.get(name)
  const missing: Fitted = {
    ...{ row, read: null },
    report: { name, status: 'missing', from: model.theirNames(name), why: shapeText(shape) },
  }
  if (!found) return { fitted: missing, misshapen: null }
  const from = found.from.length === 1 && found.from[0] === name ? [] : found.from
  const made = change && inflated(row, found, change)
  if (made)
    return {
      fitted: { row, read: made.read, report: { name, status: 'reshaped', from, why: made.why } },
      misshapen: null,
    }
  const fitted = { row, read: found.read, report: { name, status: 'loaded' as const, from, why: '' } }
  if (found.shape.join() === shape.join()) return { fitted, misshapen: null }
  const other = found.from.length > 0 ? found.from.map((each) => model.prefix + each).join(', ') : name
  return {
    fitted,
    misshapen: `${other} ${found.from.length > 1 ? 'together ' : ''}${shapeText(found.shape)}, expected ${shapeText(shape)}`,
  }
}

/** Note for a computed table of another grid. */
function recomputedNote({ layout, places }: ForeignModel, name: string, to: Grid): string {
  const { h, w } = places.grid
  const { positions: own, decoderPositions }: Layout = layouts[layout]
  const isComputed = name === decoderPositions || (name === own?.name && places.table === null)
  return isComputed && (h !== to.h || w !== to.w) ? `; recomputed for ${to.h} × ${to.w} places` : ''
}

/** `change`: set if the file has other channels. */
function statisticsFor(
  config: Config,
  { statistics: ofFile, config: known }: ForeignModel,
  { given, change }: { readonly given: ChannelStatistics | null; readonly change: ChannelChange | null },
) {
  const { channels } = sampleSize(config)
  const isOfBands = config.data.kind === 'rasters'
  // Statistics of photographs do not apply to bands in other units.
  const isOfThese = change === null && (!isOfBands || known.data?.bands !== undefined)
  const said = given ?? givenStatistics(config) ?? (isOfThese ? ofFile : null)
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
  const note = `the file does not say what ${what} were normalised by: taken as ImageNet's mean and deviation; others are given by --set data.mean=… --set data.std=…`
  return { statistics: usualStatistics(config), notes: [note] }
}

async function valuesOf(
  fitted: readonly Fitted[],
  { seed, onProgress, signal }: Pick<ImportOptions, 'onProgress' | 'signal'> & { readonly seed: number },
): Promise<Map<string, StoredArray>> {
  const missing = fitted.filter(({ read }) => read === null).map(({ row }) => row)
  // LibTorch is needed only for random initial values.
  const fresh: Parameters =
    missing.length > 0 ? initialParameters(missing, { seed, device: 'cpu' }) : new Map()
  const values = new Map<string, StoredArray>()
  for (const { row, read } of fitted) {
    const data = read ? await read() : toFloats(fresh.get(row.name)!)
    expectFiniteArray(row.name, data)
    values.set(row.name, { dtype: 'float32', shape: row.shape, data })
    onProgress?.(values.size, fitted.length)
    await pause(signal, { done: values.size, of: fitted.length, unit: 'parameters', continues: false })
  }
  for (const each of fresh.values()) each.dispose()
  return values
}

/** What an import would make, before any value is read. */
export interface ImportPlan extends Omit<Imported, 'path' | 'classes'> {
  readonly classifier: ForeignModel['classifier']
  /** That hold the weights. */
  readonly files: readonly string[]
  readonly fitted: readonly Fitted[]
  readonly norm: EncoderNorm
  /** Their tensors that no part of the model is made of, such as the mask token and the head of codes of BEiT. */
  readonly unused: ForeignModel['unused']
}

/** Many tensors that are left out for one reason are one row. */
const MOST_ROWS = 8

function leftOut(model: ForeignModel, grid: Grid): ImportRow[] {
  const rows = model.dropped.map(
    ({ name, why, isKept }): ImportRow => ({
      ...{ name, status: isKept ? 'loaded' : 'left out', from: [] },
      why: why + recomputedNote(model, name, grid),
    }),
  )
  const reasons = [...new Set(rows.map(({ why }) => why))]
  return reasons.flatMap((why) => {
    const same = rows.filter((row) => row.why === why)
    if (same.length <= MOST_ROWS) return same
    return [{ ...same[0]!, name: `${same[0]!.name}, …`, why: `${same.length} tensors: ${why}` }]
  })
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
    if (config.model.positions === 'fixed' && model.places.table)
      throw new SherdError(
        'USAGE',
        `Its positions are learned (they differ from sines and cosines by ${model.places.difference.toFixed(4)}): leave model.positions out.`,
      )
    const grid = gridOfModel(dimensions)
    const change = options.inflate ? channelChange(model, config) : null
    const given = options.statistics ?? null
    const { statistics, notes } = statisticsFor(config, model, { given, change })
    const matches = rowsOf(config, model).map((row) =>
      row.name === 'pos_embed' && model.places.table
        ? { fitted: fitPositions(row, model), misshapen: null }
        : matched(row, model, change),
    )
    const fitted = matches.map((each) => each.fitted)
    const used = new Set(fitted.map(({ row }) => row.name))
    const unexpected = [
      ...model.unexpected,
      ...[...model.parameters].filter(([name]) => !used.has(name)).flatMap(([, { from }]) => from),
    ].map((name) => model.prefix + name)
    expectFitting(
      {
        missing: [...new Set(fitted.flatMap(({ read, report }) => (read ? [] : report.from)))],
        unexpected: [...new Set(unexpected)],
        misshapen: [
          ...model.misshapen.map((name) => model.prefix + name),
          ...matches.flatMap(({ misshapen }) => misshapen ?? []),
        ],
      },
      options.allow,
    )
    const rows: ImportRow[] = [
      ...fitted.map(({ report }) => report),
      ...unexpected.map((name): ImportRow => ({ name, status: 'unexpected', from: [], why: '' })),
      ...leftOut(model, grid),
    ]
    return await body({
      ...{ layout: model.layout, family: model.family, norm: model.norm, unused: model.unused },
      ...{ config, statistics, classifier: model.classifier, fitted, rows },
      taken: takenOf(
        weights,
        model,
        fitted.flatMap(({ row, read }) => (read ? [row.name] : [])),
      ),
      files: weights.files,
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
  return planImport(options, async ({ fitted, classifier, norm: _, unused: __, files: ___, ...plan }) => {
    const { config, statistics } = plan
    const values = await valuesOf(fitted, { ...options, seed: config.train.seed })
    makeFolder(dirname(path))
    writeWeights(path, values, weightsMetadata({ config, statistics, ...(classifier && { classifier }) }))
    return { path, ...plan, classes: classifier?.classes ?? null }
  })
}

function gridIfWhole(size: [number, number], patchSize: PatchSize): Grid | null {
  return size.every((side, axis) => side % patchSize[axis]! === 0) ? gridOf(size, patchSize) : null
}
