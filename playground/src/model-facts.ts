/** What the page must know of an exported model, from the metadata of its file; and why it cannot show some. */
import { migrate } from '../../src/config/migrations.ts'
import { messageOf, SherdError } from '../../src/errors.ts'
import { type Metadata, metadataIn } from '../../src/onnx/read-metadata.ts'
import type { PixelRules } from '../../src/prepare/decode/resize.ts'
import type { Fitting } from '../../src/prepare/fit.ts'
import type { ChannelStatistics } from '../../src/prepare/normalize.ts'
import type { Size } from '../../src/source/box.ts'
import { type Grid, gridOf, type PatchSize, sidesOf } from '../../src/token/grid.ts'
import type { Preparing } from './prepare-pixels.ts'

export type GraphKind = 'autoencoder' | 'encoder'

export interface ModelFacts {
  readonly kind: GraphKind
  /** Such as `ViT-tiny/6`. */
  readonly name: string
  /** In pixels. */
  readonly size: { readonly width: number; readonly height: number }
  readonly patchSize: PatchSize
  readonly channels: 1 | 3
  readonly preparing: Preparing
  readonly grid: Grid
  /** Of pixels in [0, 1]. */
  readonly statistics: ChannelStatistics
  /** Whether patches are predicted without their own mean and deviation; false where none are predicted. */
  readonly normalizeTarget: boolean
  /** What it has learned to predict, in words. */
  readonly learned: string
  /** The share of patches that was hidden in training; null: none were. */
  readonly ratio: number | null
  readonly step: number | null
  readonly precision: string
  /** Whose attention its file gives: that of the class token, or the mean of the patches where there is none; null: none. */
  readonly attending: 'cls' | 'patches' | null
  /** Whether it gives that of attention pooling, too. */
  readonly hasPooling: boolean
}

const kinds: Readonly<Record<string, GraphKind>> = {
  'sherd-autoencoder/1': 'autoencoder',
  'sherd-encoder/1': 'encoder',
}

/** Of the configuration, what is read here. Files of sherd hold all of it. */
interface StoredModel {
  readonly config: {
    readonly data: { readonly kind: string } & Partial<Omit<Fitting, 'isExact'>> &
      Pick<PixelRules, 'interpolation' | 'fill'>
    readonly model: {
      readonly size: string
      readonly imageSize: readonly [number, number]
      readonly patchSize: number | PatchSize
      readonly channels: number
      readonly frames?: number
    }
    readonly objective: string
    /** Not of every objective; nor is every target of pixels. */
    readonly mask?: { readonly ratio: number }
    readonly target?: {
      readonly kind?: string
      readonly normalize?: boolean
      readonly statistics?: string
    }
  }
  readonly statistics: ChannelStatistics
}

function parse<T>(name: string, key: string, text: string | undefined): T {
  try {
    const value: unknown = JSON.parse(text ?? '')
    if (typeof value === 'object' && value !== null) return value as T
  } catch {}
  throw new SherdError('CHECKPOINT', `${name} has lost its metadata "${key}": export the model again.`)
}

/** The configuration as this version writes it. */
function currentOf(name: string, stored: unknown): StoredModel['config'] {
  try {
    return migrate(stored) as StoredModel['config']
  } catch (cause) {
    throw new SherdError('CHECKPOINT', `${name}: ${messageOf(cause)}.`, { cause })
  }
}

/** Reads the metadata of a whole file. `asked`: the size of the images, where the file takes any. Throws `CHECKPOINT` for what is not of `sherd export onnx`, `VALUE` for what cannot be shown. */
export function factsOfFile(name: string, bytes: Uint8Array, asked?: Size): ModelFacts {
  let metadata: Metadata
  try {
    metadata = metadataIn((at, length) => bytes.subarray(at, at + length), bytes.length)
  } catch (cause) {
    throw new SherdError(
      'CHECKPOINT',
      `${name} is no ONNX file: expected an autoencoder.onnx or encoder.onnx of "sherd export onnx".`,
      { cause },
    )
  }
  return factsOf(name, metadata, asked)
}

/** As `factsOfFile`, of metadata that was read. */
export function factsOf(name: string, metadata: Metadata, asked?: Size): ModelFacts {
  const format = metadata['sherd.format'] ?? ''
  const kind = kinds[format]
  if (!kind) throw new SherdError('CHECKPOINT', refusedFormat(name, format))
  const { config: stored, statistics } = parse<StoredModel>(name, 'sherd', metadata.sherd)
  const config = currentOf(name, stored)
  const { data, model, target = {}, objective } = config
  const { channels } = model
  const { frames = 1 } = model
  if (config.data.kind !== 'images')
    throw new SherdError(
      'VALUE',
      `${name} takes rasters of ${channels} bands${frames > 1 ? ` and ${frames} dates` : ''}, and a browser shows photographs: ` +
        'expected a model of RGB or grey images. "sherd reconstruct" draws what this one rebuilds.',
    )
  if (channels !== 1 && channels !== 3)
    throw new SherdError('VALUE', `${name} takes ${channels} channels: expected 3 (RGB) or 1 (grey).`)
  if (target.normalize && target.statistics === 'band')
    throw new SherdError(
      'VALUE',
      `${name} was trained on targets that are normalised band by band (target.statistics band): expected group.`,
    )
  const isOfAnySize = asked && parse<{ grid?: unknown }>(name, 'sherd.input', metadata['sherd.input']).grid
  const [height, width] = isOfAnySize ? [asked.height, asked.width] : model.imageSize
  // Absent in files of earlier versions.
  const { resize = 'box', inputSize = null, cropShare = 1, cutRule = 'before' } = data
  const { interpolation = 'bicubic', fill } = data
  const fitting = { resize, inputSize, cropShare, cutRule, isExact: false } // the page shows bytes
  const outputs = parse<Record<string, string>>(name, 'sherd.outputs', metadata['sherd.outputs'])
  const step = metadata['sherd.step']
  return {
    ...{ kind, size: { width, height }, channels, statistics, patchSize: sidesOf(model.patchSize) },
    name: `ViT-${model.size}/${[model.patchSize].flat().join('x')}`,
    preparing: { fitting, rules: { interpolation, ...(fill && { fill }) } },
    grid: gridOf([height, width], sidesOf(model.patchSize)),
    ...{ normalizeTarget: target.normalize ?? false, ratio: config.mask?.ratio ?? null },
    learned: learnedInWords(objective, target),
    step: step === undefined ? null : Number(step),
    precision: metadata['sherd.precision'] ?? 'fp32',
    attending: 'attention' in outputs ? ('cls' in outputs ? 'cls' : 'patches') : null,
    hasPooling: 'poolingAttention' in outputs,
  }
}

/** By the kind of target; a target of another kind is called by its name, and an objective without one by its own. */
const learnedInWords = (
  objective: string,
  { kind, normalize }: NonNullable<StoredModel['config']['target']>,
): string => {
  if (kind === 'pixels') return normalize ? 'normalised patches' : 'pixels'
  return kind ?? `by objective ${objective}`
}

function refusedFormat(name: string, format: string): string {
  if (format === '')
    return `${name} says nothing of itself: expected a file of "sherd export onnx", got an ONNX file of another program.`
  const what = `expected sherd-autoencoder/1 (rebuilds) or sherd-encoder/1 (attention), got ${format}`
  return `${name} cannot be shown here: ${what}. Export it with --graphs autoencoder encoder --attention.`
}

/** Whether two files are of one model, as far as a picture depends on it. */
export const isSameModel = (a: ModelFacts, b: ModelFacts): boolean =>
  a.size.width === b.size.width &&
  a.size.height === b.size.height &&
  a.patchSize.join() === b.patchSize.join() &&
  a.channels === b.channels &&
  a.step === b.step
