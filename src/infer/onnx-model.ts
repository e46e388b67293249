/** Opens exported files: metadata and a session of ONNX Runtime. Needs no LibTorch. */
import { resolve } from 'node:path'
import { z } from 'zod'
import { readWeightsMetadata, type SegmenterFacts } from '../checkpoint/weights-metadata.ts'
import type { ReadingLimits, Reads } from '../config/reading.ts'
import { messageOf, SherdError } from '../errors.ts'
import { formats, type GraphName, graphNames, graphOfFormat, isOfTokenizer } from '../export/formats.ts'
import {
  CLASSES_KEY,
  FORMAT_KEY,
  INPUT_KEY,
  INPUTS_KEY,
  OUTPUTS_KEY,
  PRECISION_KEY,
} from '../export/metadata.ts'
import { coreCount } from '../machine/hardware.ts'
import { readMetadata } from '../onnx/onnx-file.ts'
import { openSession, type Session } from '../onnx/session.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { PatchSize } from '../token/grid.ts'
import { type ImageSize, sizedConfig } from '../weights/image-size.ts'
import type { EncoderRequest, ModelOrigin } from '../weights/open-encoder.ts'
import { type CheckedModel, checkedSession } from './checked-session.ts'

export interface OnnxModel extends Reads {
  readonly graph: GraphName
  readonly session: Session
  /** Normalisation in the graph. */
  readonly statistics: ChannelStatistics
  /** Of the pixels, without the batch: [C, H, W], or [T, C, H, W] for several frames. */
  readonly shape: readonly number[]
  /** The bands of its input; null for images. */
  readonly bands: readonly string[] | null
  /** In the order of the logits; null without a head. */
  readonly classes: readonly string[] | null
  readonly isMultiLabel?: boolean | undefined
  /** Of a segmenter: its classes and their values in masks. */
  readonly segmenter: SegmenterFacts | null
  /** Metres per pixel of its positions; null if they do not depend on it. */
  readonly resolution: number | null
  /** For graphs of dynamic size: the patch, and the largest side; else null. */
  readonly grid: { readonly multipleOf: number | PatchSize; readonly most: number } | null
  /** Names of the inputs besides pixels, and of the outputs. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly precision: string
  readonly origin: ModelOrigin
}

export interface OnnxOptions {
  /** Per operator; by default all cores. */
  readonly threads?: number
  /** Default: in this thread. */
  readonly open?: typeof openSession
  /** Overrides the configuration. */
  readonly reading?: ReadingLimits
  /** Of a graph of any size; by default the model's. */
  readonly imageSize?: ImageSize | undefined
}

const positive = z.number().int().positive()
const inputSchema = z.object({
  shape: z.array(z.number().int().positive()),
  bands: z.array(z.string()).nullable(),
  resolution: z.number().positive().nullable(),
  grid: z
    .object({ multipleOf: z.union([positive, z.tuple([positive, positive])]), most: positive })
    .nullable()
    .default(null),
})
const classesSchema = z.array(z.string()).min(1).nullable()
const meaningsSchema = z.record(z.string(), z.string())

/** Exported files have a fixed precision and run on the CPU. Throws `USAGE` for other requests. */
export function expectPlainRequest({ device, precision }: Partial<EncoderRequest>): void {
  if (device === 'cuda') throw new SherdError('USAGE', 'An ONNX file runs on the CPU: leave --device out.')
  if (precision !== undefined)
    throw new SherdError(
      'USAGE',
      'An ONNX file computes in the precision that it was exported in: leave --precision out, or export one with "sherd export onnx --precision".',
    )
}

async function checkedOrClosed(session: Session, model: CheckedModel): Promise<Session> {
  try {
    return checkedSession(session, model)
  } catch (error) {
    await session.close()
    throw error
  }
}

type Sized = Pick<OnnxModel, 'config' | 'shape' | 'grid'>

/** For images of another size. Throws `USAGE` for one that the graph does not take. */
function atSize(
  path: string,
  { config, shape, grid }: Sized,
  size: ImageSize,
): Pick<Sized, 'config' | 'shape'> {
  const own = shape.slice(-2)
  if (own.join() === size.join()) return { config, shape }
  if (!grid)
    throw new SherdError(
      'USAGE',
      `${path} takes images of ${own.join(' × ')} pixels alone: leave --image-size out, or give it to "sherd export onnx"; with --dynamic-grid that exports a graph of any size.`,
    )
  if (Math.max(...size) > grid.most)
    throw new SherdError(
      'USAGE',
      `--image-size ${size.join('x')}: ${path} takes sides of at most ${grid.most} pixels; "sherd export onnx --dynamic-grid N" makes it for N.`,
    )
  return { config: sizedConfig(config, size), shape: [...shape.slice(0, -2), ...size] }
}

/** Throws `CHECKPOINT` for a file that is not one of `sherd export onnx`, and `USAGE` for a size that it does not take. */
export async function openOnnxModel(
  path: string,
  { threads = coreCount(), open = openSession, reading, imageSize }: OnnxOptions = {},
): Promise<OnnxModel> {
  const metadata = readMetadata(path)
  const format = metadata[FORMAT_KEY]
  const graph = graphOfFormat(format)
  if (!graph)
    throw new SherdError(
      'CHECKPOINT',
      `${path} does not say how images are read for it: expected a file of "sherd export onnx" (${graphNames.map((name) => formats[name].format).join(', ')}), got ${format ?? 'one without metadata of sherd'}.`,
    )
  if (isOfTokenizer(graph))
    throw new SherdError(
      'USAGE',
      `${path} is the ${graph} graph of a tokenizer, which gives no features or classes: run it with ONNX Runtime.`,
    )
  const origin = readWeightsMetadata(path, metadata)
  if (!origin) throw new SherdError('CHECKPOINT', `${path} has lost the configuration of its model.`)
  const parsed = <T>(key: string, schema: z.ZodType<T>): T => {
    try {
      return schema.parse(JSON.parse(metadata[key] ?? 'null'))
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
      throw new SherdError('CHECKPOINT', `${path}: its metadata "${key}" cannot be understood: ${why}`, {
        cause: error,
      })
    }
  }
  const input = parsed(INPUT_KEY, inputSchema)
  const step = metadata['sherd.step']
  const precision = metadata[PRECISION_KEY] ?? 'fp32'
  const classes = parsed(CLASSES_KEY, classesSchema)
  const checked = { path, graph, config: origin.config, shape: input.shape, classes: classes?.length ?? 0 }
  const own = { ...input, config: origin.config }
  const sized = { ...own, ...(imageSize && atSize(path, own, imageSize)) }
  const session = await open(path, { threads })
  return {
    ...{ graph, ...sized, reading, statistics: origin.statistics },
    classes,
    isMultiLabel: origin.classifier?.isMultiLabel,
    segmenter: origin.segmenter ?? null,
    inputs: INPUTS_KEY in metadata ? Object.keys(parsed(INPUTS_KEY, meaningsSchema)) : [],
    outputs: Object.keys(parsed(OUTPUTS_KEY, meaningsSchema)),
    precision,
    origin: { path: resolve(path), step: step === undefined ? null : Number(step), precision },
    session: await checkedOrClosed(session, checked),
  }
}
