/** Finds, checks and opens the exported files to serve, each in its own thread. */
import { existsSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { invariant, SherdError } from '../errors.ts'
import { formats, graphNames, isOfTokenizer } from '../export/formats.ts'
import { type ExportPrecision, precisions } from '../export/precision.ts'
import { quoted } from '../files/shell.ts'
import { isHubName } from '../hub/name.ts'
import { refuseForeign } from '../import/not-imported.ts'
import { type OnnxModel, openOnnxModel } from '../infer/onnx-model.ts'
import { openSessionThread, type ThreadedSession } from '../onnx/session-thread.ts'
import type { ImageSize } from '../weights/image-size.ts'
import { tryOut } from './trial.ts'

export interface ServedModel extends OnnxModel {
  readonly path: string
  readonly bytes: number
  /** Settles when its thread has ended: with an error if `close` was not called. */
  readonly ended: Promise<SherdError | null>
  close(patience?: number): Promise<void>
}

/** Graphs that answer with something of an image. */
const served = graphNames.filter((graph) => !isOfTokenizer(graph))

/**
 * The file at `path`, or those of an export folder: of each graph, the first of the precisions that exists. Throws `USAGE` with the
 * command to run if there are none.
 */
export function findModels(
  path: string,
  wanted: readonly ExportPrecision[] = Object.keys(precisions) as ExportPrecision[],
): string[] {
  if (isHubName(path)) throw exportFirst(path)
  if (!existsSync(path))
    throw new SherdError(
      'USAGE',
      `${path} does not exist: expected a folder of "sherd export onnx", or a file of it.`,
    )
  if (statSync(path).isFile()) {
    refuseForeign(path)
    if (/\.safetensors$/i.test(path)) throw notExported(path)
    return [path]
  }
  const files = served.flatMap((graph) => {
    const found = wanted
      .map((precision) => join(path, `${formats[graph].stem}${precisions[precision].suffix}.onnx`))
      .find((file) => existsSync(file))
    return found === undefined ? [] : [found]
  })
  if (files.length === 0) {
    refuseForeign(path)
    throw notExported(path)
  }
  return files
}

function notExported(path: string): SherdError {
  const weights = ['run.json', 'model.safetensors'].some((name) => existsSync(join(path, name)))
  const names = served.map((graph) => `${formats[graph].stem}.onnx`)
  if (!weights && !statSync(path).isFile())
    return new SherdError(
      'USAGE',
      `${path} has none of ${names.join(', ')}: expected a folder of "sherd export onnx".`,
    )
  return exportFirst(path)
}

function exportFirst(path: string): SherdError {
  const out = `${basename(resolve(path)).replace(/\.[a-z]+$/i, '')}-onnx`
  return new SherdError(
    'USAGE',
    `${path} holds a model that is not exported. Type:\n  sherd export onnx --model ${quoted(path)} --out ${quoted(out)} --graphs encoder autoencoder\n  sherd serve --model ${quoted(out)}`,
  )
}

export interface OpeningOptions {
  readonly threads: number
  /** Time limit of a graph's first run, in ms. */
  readonly patience: number
  /** Where it is not the models': all their graphs must be of any size. */
  readonly imageSize?: ImageSize | undefined
}

/** Opens a file and runs it once. Throws `CHECKPOINT` if it is not from `sherd export onnx` or its outputs differ from its metadata, `VALUE` for models that do not take photographs. */
async function openModel(
  path: string,
  { threads, patience, imageSize }: OpeningOptions,
): Promise<ServedModel> {
  let thread: ThreadedSession | undefined
  const model = await openOnnxModel(path, {
    ...{ threads, imageSize },
    async open(file, options) {
      thread = await openSessionThread(file, { ...options, spin: false })
      return thread
    },
  })
  invariant(thread, 'a model was opened without a session')
  const { ended, close } = thread
  if (!model.bands && model.shape.length === 3) {
    try {
      await tryOut(model, patience)
    } catch (error) {
      await close()
      throw error
    }
    return { ...model, path, bytes: statSync(path).size, ended, close }
  }
  await model.session.close()
  throw new SherdError(
    'VALUE',
    `${path} is a model of rasters (${model.bands?.join(', ') ?? 'of several frames'}), and the server takes photographs: use "sherd embed" with it.`,
  )
}

/** Opens all files, or none. */
export async function openModels(paths: readonly string[], options: OpeningOptions): Promise<ServedModel[]> {
  const opened = await Promise.allSettled(paths.map((path) => openModel(path, options)))
  const models = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const failed = opened.find((each) => each.status === 'rejected')
  if (!failed) return models
  await Promise.all(models.map((model) => model.close()))
  throw failed.reason
}
