/** Opens an encoder from a run, one of its checkpoints, or a file of weights. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { damageOf } from '../checkpoint/checkpoint.ts'
import { openRun, trustedWeights } from '../checkpoint/run-folder.ts'
import { readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { readWeightsMetadata } from '../checkpoint/weights-metadata.ts'
import { fittingOf, openData, rasterOptions, usualStatistics } from '../config/assemble.ts'
import { assignedKeys } from '../config/overrides.ts'
import type { ReadingLimits, Reads } from '../config/reading.ts'
import { backboneOf, bandsOf } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { readOfModel } from '../config/tables.ts'
import { messageOf, SherdError } from '../errors.ts'
import { restriction } from '../hub/licences.ts'
import { localModel } from '../hub/locate.ts'
import { hubAdvice, isHubName } from '../hub/name.ts'
import type { Family } from '../import/layouts/facts.ts'
import { hasForeignNames, isForeign } from '../import/not-imported.ts'
import {
  type MachinePlan,
  type MachineRequest,
  type PrecisionName,
  planMachine,
  precisionNames,
} from '../machine/plan.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import { type EncoderNorm, normedRows } from '../model/classifier.ts'
import { outputRows } from '../model/own-output.ts'
import {
  expectRows,
  initialParameters,
  loadParameters,
  type ParameterRow,
  type Parameters,
} from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { publishedNamed } from '../published/encoders.ts'
import type { ImageSource } from '../source/open.ts'
import { setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray } from '../tensor/tensor.ts'
import { adapterFolder, baseOf, readAdapter, withAdapter } from './adapter-folder.ts'
import { type FoundWeights, findForeign, identityOf, randomWeights, readingOf } from './found-weights.ts'
import type { FrozenEncoder } from './frozen-encoder.ts'
import { type ImageSize, sizedConfig } from './image-size.ts'
import { mergedWeights } from './merge-adapters.ts'
import { partOf } from './part-of-bands.ts'

export type { FoundWeights } from './found-weights.ts'

/** Identifies a model in files and reports. */
export interface ModelOrigin {
  readonly path: string
  readonly step: number | null
  /** `fp32` or `bf16`; for an exported file, its own. */
  readonly precision: string
}

export interface OpenedEncoder extends FrozenEncoder, Reads {
  readonly machine: MachinePlan
  /** The samples' bands; null for all. */
  readonly bands: readonly string[] | null
  /** For reports. */
  readonly origin: ModelOrigin
  /** Damaged checkpoints that were skipped. */
  readonly warnings: readonly string[]
  /** How a model of another program was read. */
  readonly notes?: readonly string[]
  /** What kind of published encoder it is; undefined for a model of sherd. */
  readonly family?: Family
  /** Of its weights, if they were found in files. */
  readonly found?: Pick<FoundWeights, 'files' | 'layout' | 'preparation'>
}

export interface EncoderRequest {
  /**
   * A run, a checkpoint in it, a `.safetensors` file, a file or folder of another program, `hf:owner/name` for one of the Hugging Face hub, or
   * `random` for random weights.
   */
  readonly model: string
  /** What counts where the files of another program leave it open. */
  readonly base?: ConfigInput | undefined
  /** `key=value` over what the files of another program say. */
  readonly set?: readonly string[] | undefined
  /** For weights without a configuration, and for `random`. */
  readonly config?: Config
  /** Default `auto`. */
  readonly device?: MachineRequest['device'] | undefined
  /** Default `fp32`, whatever the model was trained in: bfloat16 costs features their third digit. */
  readonly precision?: PrecisionName | undefined
  /** Of a random encoder. */
  readonly seed?: number
  /** Normalisation, if the weights do not state it. */
  readonly statistics?: ChannelStatistics
  /** The samples' bands, if not all: only complete groups are encoded. */
  readonly bands?: readonly string[] | null
  /** Overrides the configuration. */
  readonly reading?: ReadingLimits
  /** Of the images, where it is not that of the model. */
  readonly imageSize?: ImageSize | undefined
}

const stepOf = (folder: string) => Number(basename(folder).match(/^step-(\d+)$/)?.[1] ?? Number.NaN)

/** The run around a checkpoint, if any. */
const runAround = (checkpoint: string) => {
  const dir = dirname(dirname(checkpoint))
  return existsSync(join(dir, 'run.json')) ? dir : null
}

/** Throws `USAGE` for a configuration that would be ignored. */
function expectNone(config: Config | undefined, path: string): void {
  if (config)
    throw new SherdError(
      'USAGE',
      `${path} says itself what the model is: leave the preset (--preset, --set) out.`,
    )
}

function findFile(
  path: string,
  { config, statistics, set }: Pick<EncoderRequest, 'config' | 'statistics' | 'set'>,
): FoundWeights | null {
  if (isForeign(path)) return null
  const header = readSafetensorsHeader(path)
  const { metadata } = header
  const reading = readingOf(path, header)
  const stored = readWeightsMetadata(path, metadata)
  if (stored) {
    expectNone(config, path)
    expectNoneSet(set, path)
    const step = Number(metadata.step ?? Number.NaN)
    return { ...stored, ...reading, step: Number.isSafeInteger(step) ? step : null }
  }
  if (hasForeignNames(header)) return null
  if (!config)
    throw new SherdError(
      'USAGE',
      `${path} does not say what the model is: give the preset that it was made with, --preset NAME.`,
    )
  if (config.data.statistics === 'dataset' && !statistics)
    throw new SherdError(
      'USAGE',
      `${path} does not say what its images were normalised by, and this preset takes the statistics of its own data. If ImageNet's are right, add --set data.statistics=imagenet.`,
    )
  return { config, statistics: statistics ?? usualStatistics(config), ...reading, step: null }
}

/** Throws `USAGE` for keys that would be ignored. */
function expectNoneSet(set: readonly string[] | undefined, path: string): void {
  const [key] = assignedKeys(set ?? [])
  if (key !== undefined)
    throw new SherdError(
      'USAGE',
      `--set ${key} would change nothing: it overrides a preset, or what the files of another program say, and ${path} is of sherd.`,
    )
}

/** Exported graphs are not weights. */
function refuseGraphs(path: string, isFile: boolean): void {
  if (isFile && /\.onnx$/i.test(path))
    throw new SherdError(
      'USAGE',
      `${path} is an exported graph, and this needs weights: give the run, or the .safetensors file, that it was made of.`,
    )
  if (isFile || existsSync(join(path, 'config.json'))) return
  const graphs = readdirSync(path).filter((name) => name.endsWith('.onnx'))
  if (graphs.length > 0)
    throw new SherdError(
      'USAGE',
      `${path} is a folder of exported graphs: give one of its files (${graphs.join(', ')}) where .onnx is taken, else the run that they were made of.`,
    )
}

/** Compares the configuration with the shapes of the weights. Throws `CHECKPOINT`. */
export function expectFit({
  files,
  stored,
  config,
}: Pick<FoundWeights, 'files' | 'stored' | 'config'>): void {
  if (readOfModel(config.objective))
    throw new SherdError(
      'USAGE',
      `${files[0]} has learned by objective ${config.objective}, whose encoder is convolutional: it gives codes of patches (sherd tokenize, sherd export onnx), and no features.`,
    )
  const rows = normedRows(
    backboneOf(config),
    encoderNorm((name) => stored.has(name)),
  )
  try {
    expectRows(rows, stored, { allowMore: true })
  } catch (error) {
    throw new SherdError('CHECKPOINT', `${files[0]}: ${messageOf(error)}`, { cause: error })
  }
}

type WeightsRequest = Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'base' | 'set' | 'imageSize'>

/**
 * Locates weights and their configuration, without reading tensors; those of the hub are downloaded first. Throws `RUN`, `USAGE` or
 * `CHECKPOINT`, and `HUB` as `localModel`. `expect`: what they must have.
 */
export async function findWeights(
  given: WeightsRequest,
  expect: (found: FoundWeights) => void = expectFit,
): Promise<FoundWeights> {
  const { path, hub } = isHubName(given.model)
    ? await localModel(given.model)
    : { path: given.model, hub: undefined }
  const request = { ...given, model: path }
  const folder = path !== 'random' && existsSync(path) && adapterFolder(path)
  if (folder) {
    const adapter = readAdapter(folder)
    return withAdapter(await findWeights({ ...request, model: baseOf(adapter) }), adapter)
  }
  const isFolder = hub !== undefined && statSync(path).isDirectory()
  const located = (isFolder ? null : locateWeights(request)) ?? (await findForeign(request))
  const found = mergedWeights(hub === undefined ? located : ofHub(located, hub))
  if (found.files.length > 0) expect(found)
  if (!request.imageSize) return found
  const config = sizedConfig(found.config, request.imageSize)
  if (config === found.config) return found
  const [height, width] = request.imageSize
  const keptShapes = fittingOf(found.config)?.budget
  const note = `all images are squashed to ${height} × ${width} pixels, as was asked for (--image-size)`
  const notes = [...(found.notes ?? []), ...(keptShapes ? [note] : [])]
  return { ...found, config, imageSize: request.imageSize, notes }
}

/** Of the hub, with what its authors restrict. */
function ofHub(found: FoundWeights, hub: string): FoundWeights {
  const restricted = restriction(hub)
  return { ...found, hub, ...(restricted !== undefined && { notes: [...(found.notes ?? []), restricted] }) }
}

/** Null for a model of another program. */
function locateWeights(request: WeightsRequest): FoundWeights | null {
  const { model, config, statistics, set } = request
  if (model === 'random') {
    if (!config)
      throw new SherdError('USAGE', 'A random encoder needs --preset NAME, which says what the model is.')
    return { config, statistics: statistics ?? usualStatistics(config), ...randomWeights, step: 0 }
  }
  const path = resolve(model)
  if (!existsSync(path))
    throw new SherdError(
      'RUN',
      `${path} does not exist: expected the folder of a run, of a checkpoint, or a .safetensors file of weights, a folder or file of a published encoder, or hf:owner/name.${hubAdvice(publishedNamed(model)?.hub ?? model)}`,
    )
  const isFile = statSync(path).isFile()
  refuseGraphs(path, isFile)
  const checkpoint = isFile ? dirname(path) : path
  const weights = join(checkpoint, 'model.safetensors')
  if (!Number.isNaN(stepOf(checkpoint)) && existsSync(weights) && (!isFile || path === weights)) {
    const damage = existsSync(join(checkpoint, 'state.json'))
      ? damageOf(checkpoint, ['model.safetensors'])
      : null
    if (damage) throw new SherdError('CHECKPOINT', `${checkpoint} is damaged: ${damage}. Take another one.`)
    const run = runAround(checkpoint)
    if (!run) return findFile(weights, request)
    const { config: own, facts } = openRun(run)
    expectNone(config, checkpoint)
    expectNoneSet(set, checkpoint)
    const reading = readingOf(weights, readSafetensorsHeader(weights))
    return { config: own, facts, statistics: facts.statistics, ...reading, step: stepOf(checkpoint) }
  }
  if (isFile) return findFile(path, request)
  if (isForeign(path)) return null
  const { config: own, facts } = openRun(path)
  expectNone(config, path)
  expectNoneSet(set, path)
  const { checkpoint: latest, warnings } = trustedWeights(path)
  const file = join(latest.path, 'model.safetensors')
  const reading = readingOf(file, readSafetensorsHeader(file))
  return { config: own, facts, statistics: facts.statistics, ...reading, step: latest.step, warnings }
}

/** Opens a folder with the encoder's bands. */
export const openFor = (
  { config, bands }: Pick<OpenedEncoder, 'config' | 'bands'>,
  dir: string,
): Promise<ImageSource> => openData(config, dir, rasterOptions(config, bands ?? bandsOf(config)))

/** The parameters to read from a file. */
export interface WantedParameters {
  readonly rows: readonly ParameterRow[]
  readonly norm: EncoderNorm
}
/** `only`: groups of bands; null for all. */
export type Wanting = (
  shape: BackboneShape,
  has: (name: string) => boolean,
  only: readonly number[] | null,
) => WantedParameters

/** `fc_norm` for classifiers of the mean, which have no other norm. */
export const encoderNorm = (has: (name: string) => boolean): EncoderNorm =>
  has('fc_norm.weight') && !has('norm.weight') ? 'fc_norm' : 'norm'

const encoderAlone: Wanting = (shape, has) => {
  const norm = encoderNorm(has)
  // A classifier that was made of the encoder has left them.
  const own = outputRows(shape.dimensions).filter(({ name }) => has(name))
  return { norm, rows: [...normedRows(shape, norm), ...own] }
}

/**
 * Opens an encoder, ignoring weights of a decoder or head. Throws `RUN` or `USAGE` if there is nothing to open, `CHECKPOINT` if the weights
 * do not fit.
 */
export const openEncoder = async (request: EncoderRequest): Promise<OpenedEncoder> =>
  openFound(request, await findWeights(request), encoderAlone)

/** Opens located weights with the given parameters. */
export async function openFound(
  request: Omit<EncoderRequest, 'config' | 'statistics'>,
  found: FoundWeights,
  wanting: Wanting,
): Promise<OpenedEncoder> {
  const { config, statistics, files, stored, load, step, layout, preparation } = found
  const { warnings = [], notes = [], family } = found
  const machine = planMachine({
    ...{ ...config.train, device: request.device ?? 'auto', workers: config.data.workers },
    precision: request.precision ?? 'fp32',
  })
  setThreads(machine.threads)
  const { device, precision } = machine
  const shape = backboneOf(config)
  const part = request.bands ? partOf(config, request.bands) : null
  const only = part?.groups ?? null
  const isRandom = files.length === 0
  // Random weights have all that the configuration says, its own output, too.
  const has = isRandom
    ? (name: string) => outputRows(shape.dimensions).some((row) => row.name === name)
    : (name: string) => stored.has(name)
  const { rows, norm } = wanting(shape, has, only)
  const seed = request.seed ?? config.train.seed
  const parameters = isRandom
    ? initialParameters(rows, { seed, device })
    : await loadRows(rows, { load }, device)
  return {
    ...{ config, reading: request.reading, machine, shape, dimensions: shape.dimensions },
    ...{ only, channels: part?.channels ?? null, bands: part?.bands ?? null },
    ...{ parameters, norm, statistics, device, precision },
    origin: {
      path: identityOf(found, request.model),
      step,
      precision: precisionNames[precision],
    },
    ...{ warnings, notes, found: { files, ...(layout && { layout }), ...(preparation && { preparation }) } },
    ...(family !== undefined && { family }),
  }
}

/** The parameters of found weights. Throws `CHECKPOINT` and `NON_FINITE`. */
export async function loadRows(
  rows: readonly ParameterRow[],
  { load }: Pick<FoundWeights, 'load'>,
  device: Device,
): Promise<Parameters> {
  const wanted = new Set(rows.map(({ name }) => name))
  const arrays = await load((name) => wanted.has(name))
  return scope(() => {
    const made = [...arrays].map(
      ([name, { data, shape, dtype }]) => [name, fromArray(data, shape, dtype)] as const,
    )
    return loadParameters(rows, new Map(made), device)
  })
}
