/** The exported files that are served: found, checked, and each opened in a thread of its own. */
import { existsSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import type { Config } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { INPUT_KEY } from '../export/metadata.ts'
import { readMetadata } from '../export/onnx-file.ts'
import { openSessionThread, type ThreadedSession } from '../infer/session-thread.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { readWeightsMetadata } from '../run/weights-metadata.ts'

/** What an export folder may hold: the stem of a file is also its kind. */
export const graphNames = ['encoder', 'classifier', 'autoencoder', 'segmenter'] as const
export type GraphName = (typeof graphNames)[number]

export const precisionNames = ['fp32', 'fp16', 'int8'] as const
export type PrecisionName = (typeof precisionNames)[number]

/** What a file says of itself. */
export interface ModelFile {
  readonly graph: GraphName
  readonly path: string
  readonly bytes: number
  readonly precision: string
  readonly step: number | null
  readonly config: Config
  readonly statistics: ChannelStatistics
  readonly classes: readonly string[] | null
  /** Its outputs by name, in words. */
  readonly outputs: Readonly<Record<string, string>>
}

export interface ServedModel extends ModelFile {
  readonly session: ThreadedSession
}

const inputSchema = z.object({ bands: z.array(z.string()).nullable() })
const outputsSchema = z.record(z.string(), z.string())
const classesSchema = z.array(z.string()).min(1)

/** Reads what a file of `sherd export onnx` says of itself. Throws `CHECKPOINT` for any other, `VALUE` for models of bands. */
export function describeModel(path: string): ModelFile {
  const metadata = readMetadata(path)
  const format = metadata['sherd.format']
  const graph = graphNames.find((name) => format === `sherd-${name}/1`)
  if (!graph)
    throw new SherdError(
      'CHECKPOINT',
      `${path} cannot be served: expected a file of "sherd export onnx" (sherd-encoder/1 …), got ${format ?? 'one without metadata of sherd'}.`,
    )
  const origin = readWeightsMetadata(path, metadata)
  if (!origin) throw new SherdError('CHECKPOINT', `${path} has lost the configuration of its model.`)
  const { config, statistics } = origin
  const parsed = <T>(key: string, schema: z.ZodType<T>, otherwise: string): T => {
    try {
      return schema.parse(JSON.parse(metadata[key] ?? otherwise))
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
      throw new SherdError('CHECKPOINT', `${path}: its metadata "${key}" cannot be understood: ${why}`)
    }
  }
  const { bands } = parsed(INPUT_KEY, inputSchema, 'null')
  if (bands || config.model.frames > 1)
    throw new SherdError(
      'VALUE',
      `${path} is a model of rasters (${bands?.join(', ')}), and the server takes photographs: use "sherd embed" with it.`,
    )
  const step = metadata['sherd.step']
  return {
    ...{ graph, path: resolve(path), bytes: statSync(path).size, config, statistics },
    ...{ precision: metadata['sherd.precision'] ?? 'fp32', step: step === undefined ? null : Number(step) },
    classes: metadata['sherd.classes'] === undefined ? null : parsed('sherd.classes', classesSchema, '[]'),
    outputs: parsed('sherd.outputs', outputsSchema, '{}'),
  }
}

const suffixes: Record<PrecisionName, string> = { fp32: '', fp16: '-fp16', int8: '-int8' }

/**
 * The files that `path` offers: itself, or those of an export folder, of each graph the first precision of `wanted` that is there.
 * Throws `USAGE` with the command to type when there is none.
 */
export function findModels(path: string, wanted: readonly PrecisionName[] = precisionNames): ModelFile[] {
  if (!existsSync(path))
    throw new SherdError(
      'USAGE',
      `${path} does not exist: expected a folder of "sherd export onnx", or a file of it.`,
    )
  if (statSync(path).isFile()) {
    if (/\.(safetensors|pth|pt)$/i.test(path)) throw notExported(path)
    return [describeModel(path)]
  }
  const files = graphNames.flatMap((graph) => {
    const found = wanted
      .map((precision) => join(path, `${graph}${suffixes[precision]}.onnx`))
      .find((file) => existsSync(file))
    return found === undefined ? [] : [describeModel(found)]
  })
  if (files.length === 0) throw notExported(path)
  return files
}

function notExported(path: string): SherdError {
  const isWeights =
    statSync(path).isFile() ||
    existsSync(join(path, 'run.json')) ||
    existsSync(join(path, 'model.safetensors'))
  return new SherdError(
    'USAGE',
    isWeights
      ? `${path} holds a model that is not exported. Type:\n  sherd export onnx --model ${path} --out ${basename(resolve(path))}-onnx\n  sherd serve --model ${basename(resolve(path))}-onnx`
      : `${path} has none of ${graphNames.map((name) => `${name}.onnx`).join(', ')}: expected a folder of "sherd export onnx".`,
  )
}

/** Opens the files. When one cannot be opened, none stays open. */
export async function openModels(
  files: readonly ModelFile[],
  { threads }: { readonly threads: number },
): Promise<ServedModel[]> {
  const opened = await Promise.allSettled(
    files.map(async (file) => ({
      ...file,
      session: await openSessionThread(file.path, { threads, spin: false }),
    })),
  )
  const failed = opened.find(({ status }) => status === 'rejected')
  const models = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  if (failed?.status === 'rejected') {
    await Promise.all(models.map(({ session }) => session.close()))
    throw failed.reason
  }
  return models
}
