/** Opens an encoder from a run, one of its checkpoints, or a file of weights. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { damageOf } from '../checkpoint/checkpoint.ts'
import { openRun, type RunFacts, trustedWeights } from '../checkpoint/run-folder.ts'
import { readSafetensors, readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { encoderPrefix, readWeightsMetadata, type WeightsOrigin } from '../checkpoint/weights-metadata.ts'
import { openData, rasterOptions, usualStatistics } from '../config/assemble.ts'
import type { ReadingLimits, Reads } from '../config/reading.ts'
import { backboneOf, bandGroupsOf, bandsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { refuseForeign, refuseForeignNames } from '../import/not-imported.ts'
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
  under,
} from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { ImageSource } from '../source/open.ts'
import { canonicalBand } from '../source/raster/band-names.ts'
import { setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'
import type { FrozenEncoder } from './frozen-encoder.ts'

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
}

export interface EncoderRequest {
  /** A run, a checkpoint in it, or a `.safetensors` file; `random` for random weights. */
  readonly model: string
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
}

export interface FoundWeights extends WeightsOrigin {
  /** The file, or null for random weights. */
  readonly weights: string | null
  readonly step: number | null
  readonly warnings?: readonly string[]
  /** Of their run. */
  readonly facts?: RunFacts
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

function findFile(path: string, config: Config | undefined, statistics?: ChannelStatistics): FoundWeights {
  refuseForeign(path)
  const header = readSafetensorsHeader(path)
  const { metadata } = header
  const stored = readWeightsMetadata(path, metadata)
  if (stored) {
    expectNone(config, path)
    const step = Number(metadata.step ?? Number.NaN)
    return { ...stored, weights: path, step: Number.isSafeInteger(step) ? step : null }
  }
  refuseForeignNames(path, header)
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
  return { config, statistics: statistics ?? usualStatistics(config), weights: path, step: null }
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
export function expectFit(weights: string, config: Config): void {
  const { entries: all, metadata } = readSafetensorsHeader(weights)
  const entries = under(all, encoderPrefix(metadata))
  const rows = normedRows(
    backboneOf(config),
    encoderNorm((name) => entries.has(name)),
  )
  try {
    expectRows(rows, entries, { allowMore: true })
  } catch (error) {
    throw new SherdError('CHECKPOINT', `${weights}: ${messageOf(error)}`, { cause: error })
  }
}

/** Locates weights and their configuration, without reading tensors. Throws `RUN`, `USAGE` or `CHECKPOINT`. */
export function findWeights(request: Pick<EncoderRequest, 'model' | 'config' | 'statistics'>): FoundWeights {
  const found = locateWeights(request)
  if (found.weights) expectFit(found.weights, found.config)
  return found
}

function locateWeights({
  model,
  config,
  statistics,
}: Pick<EncoderRequest, 'model' | 'config' | 'statistics'>): FoundWeights {
  if (model === 'random') {
    if (!config)
      throw new SherdError('USAGE', 'A random encoder needs --preset NAME, which says what the model is.')
    return { config, statistics: statistics ?? usualStatistics(config), weights: null, step: 0 }
  }
  const path = resolve(model)
  if (!existsSync(path))
    throw new SherdError(
      'RUN',
      `${path} does not exist: expected the folder of a run, of a checkpoint, or a .safetensors file of weights.`,
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
    if (!run) return findFile(weights, config, statistics)
    const { config: own, facts } = openRun(run)
    expectNone(config, checkpoint)
    return { config: own, facts, statistics: facts.statistics, weights, step: stepOf(checkpoint) }
  }
  if (isFile) return findFile(path, config, statistics)
  refuseForeign(path)
  const { config: own, facts } = openRun(path)
  expectNone(config, path)
  const { checkpoint: latest, warnings } = trustedWeights(path)
  const found = { statistics: facts.statistics, weights: join(latest.path, 'model.safetensors') }
  return { config: own, facts, ...found, step: latest.step, warnings }
}

/** Opens a folder with the encoder's bands. */
export const openFor = (
  { config, bands }: Pick<OpenedEncoder, 'config' | 'bands'>,
  dir: string,
): Promise<ImageSource> => openData(config, dir, rasterOptions(config, bands ?? bandsOf(config)))

interface Part {
  /** Complete groups. */
  readonly groups: readonly number[]
  /** Their bands, and the channels of these. */
  readonly bands: readonly string[]
  readonly channels: readonly number[]
}

/** The part of a model that some of its bands can use. Throws `USAGE` if there is none, or for an unknown band. */
function partOf(config: Config, bands: readonly string[]): Part {
  const known = bandsOf(config) ?? []
  const groups = bandGroupsOf(config)
  const there = new Set(bands.map(canonicalBand))
  const unknown = bands.find((band) => !known.some((each) => canonicalBand(each) === canonicalBand(band)))
  if (unknown !== undefined || !groups)
    throw new SherdError(
      'USAGE',
      groups
        ? `The model knows no band "${unknown}": it has ${known.join(', ')}.`
        : 'Only a model with groups of bands can do with some of them; this one needs all of its channels.',
    )
  const whole = groups.flatMap((group, g) =>
    group.every((band) => there.has(canonicalBand(band))) ? [g] : [],
  )
  if (whole.length === 0)
    throw new SherdError(
      'USAGE',
      `No group of the model has all of its bands among ${bands.join(', ')}: its groups are ${groups.map((group) => group.join('+')).join(', ')}.`,
    )
  const channels = whole
    .flatMap((g) => groups[g]!)
    .map((band) => known.findIndex((each) => canonicalBand(each) === canonicalBand(band)))
  return { groups: whole, channels, bands: channels.map((channel) => known[channel]!) }
}

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
export const openEncoder = (request: EncoderRequest): OpenedEncoder =>
  openFound(request, findWeights(request), encoderAlone)

/** Opens located weights with the given parameters. */
export function openFound(
  request: Omit<EncoderRequest, 'config' | 'statistics'>,
  { config, statistics, weights, step, warnings = [] }: FoundWeights,
  wanting: Wanting,
): OpenedEncoder {
  const machine = planMachine({
    ...{ ...config.train, device: request.device ?? 'auto', workers: config.data.workers },
    precision: request.precision ?? 'fp32',
  })
  setThreads(machine.threads)
  const { device, precision } = machine
  const shape = backboneOf(config)
  const part = request.bands ? partOf(config, request.bands) : null
  const only = part?.groups ?? null
  const { parameters, norm } = weights
    ? scope(() => {
        const { tensors: all, metadata } = readSafetensors(weights)
        const tensors = under(all, encoderPrefix(metadata))
        const { rows, norm } = wanting(shape, (name) => tensors.has(name), only)
        const wanted = new Set(rows.map(({ name }) => name))
        const stored = new Map([...tensors].filter(([name]) => wanted.has(name)))
        return { norm, parameters: loadParameters(rows, stored, device) }
      })
    : randomParameters(
        wanting(shape, () => false, only),
        { seed: request.seed ?? config.train.seed, device },
      )
  return {
    ...{ config, reading: request.reading, machine, shape, dimensions: shape.dimensions },
    ...{ only, channels: part?.channels ?? null, bands: part?.bands ?? null },
    ...{ parameters, norm, statistics, device, precision },
    origin: { path: weights ? resolve(request.model) : 'random', step, precision: precisionNames[precision] },
    warnings,
  }
}

const randomParameters = ({ rows, norm }: WantedParameters, how: { seed: number; device: Device }) => ({
  norm,
  parameters: initialParameters(rows, how),
})
