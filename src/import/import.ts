/**
 * Converts weights of other programs into a file for `--init`, `evaluate` and `embed`. Missing, unexpected or misshapen parameters are
 * errors unless allowed.
 */
import { dirname, resolve } from 'node:path'
import { expectFiniteArray, type StoredArray } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { givenStatistics, sampleSize, usualStatistics } from '../config/assemble.ts'
import { autoencoderOf, backboneOf, decodedConfig, dimensionsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { pause, SherdError } from '../errors.ts'
import { makeFolder } from '../files/write-whole.ts'
import { localModel } from '../hub/locate.ts'
import { groupsOf } from '../model/backbone-shape.ts'
import { classifierRows, type EncoderNorm, normedRows } from '../model/classifier.ts'
import { headRows } from '../model/decoder/heads.ts'
import { transformerRows } from '../model/decoder/transformer.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { outputRows } from '../model/own-output.ts'
import { initialParameters, type ParameterRow, type Parameters } from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { pixelWidths } from '../target/band-target.ts'
import { toFloats } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { type Fitted, fitPositions, type ImportRow, matched, recomputedNote } from './fit-parameters.ts'
import { openForeign } from './foreign.ts'
import { type ForeignModel, readForeign } from './foreign-model.ts'
import { type ChannelChange, channelChange } from './import-channels.ts'
import { type ConfigOptions, configOf, gridIfWhole, gridSet } from './import-config.ts'
import type { Family } from './layouts/facts.ts'
import type { LayoutName } from './layouts.ts'
import { type Difference, expectFitting } from './misfit.ts'
import { type Taken, takenOf } from './taken.ts'

export interface ImportOptions extends ConfigOptions {
  /** A file, a folder with one and its `config.json`, or `hf:owner/name`. */
  readonly from: string
  /** The `.safetensors` file to write. */
  readonly out: string
  /** Tolerated differences: `missing` parameters are initialised randomly, `unexpected` ones ignored. */
  readonly allow?: readonly Difference[]
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

function rowsOf(config: Config, { hasDecoder, classifier, norm }: ForeignModel): ParameterRow[] {
  const shape = backboneOf(config)
  const classes = classifier?.classes.length ?? 0
  const encoder = classifier
    ? classifierRows({ backbone: shape, classes, head: classifier.head })
    : normedRows(shape, norm)
  const own = [...encoder, ...outputRows(shape.dimensions)]
  if (!hasDecoder) return own
  const widths = pixelWidths({ shape, groups: groupsOf(shape) })
  const autoencoder = autoencoderOf(decodedConfig(config))
  return [...own, ...transformerRows(autoencoder), ...headRows(widths, autoencoder.decoder.width)]
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
  const { path: from } = await localModel(options.from)
  const weights = await openForeign(from, { take })
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
