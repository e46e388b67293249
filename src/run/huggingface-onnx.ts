/**
 * `onnx/` of a folder for Hugging Face, under the names that transformers.js asks for. Each file has shown that it computes what
 * LibTorch does, before it gets its name. Recording needs LibTorch, the rest of the folder does not.
 */
import { rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { backboneOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { checkGraph } from '../export/check-graph.ts'
import {
  type HuggingfaceModel,
  type HuggingfaceOutput,
  huggingfaceForward,
  huggingfaceGraph,
} from '../export/huggingface-graph.ts'
import { onnxParts, writeParts } from '../export/onnx-file.ts'
import { type Agreement, type ExportPrecision, precisions } from '../export/precision.ts'
import { openSession } from '../infer/session.ts'
import { planMachine } from '../machine/plan.ts'
import { backboneRows } from '../model/backbone.ts'
import { classifierRows } from '../model/classifier.ts'
import { loadParameters } from '../model/parameters.ts'
import { draws } from '../random/draws.ts'
import { noGrad, setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, toFloats } from '../tensor/tensor.ts'
import { whole } from './export-onnx.ts'
import { type ExportedModel, sherdVersion } from './exported-model.ts'
import { makeFolder } from './folder.ts'
import { largestDifference, smallestCosine } from './prove-onnx.ts'

/** transformers.js' names of precisions; a new one is one row. */
const files = {
  fp32: { file: 'model.onnx', precision: 'fp32' },
  fp16: { file: 'model_fp16.onnx', precision: 'fp16' },
  q8: { file: 'model_quantized.onnx', precision: 'int8' },
} as const satisfies Record<string, { readonly file: string; readonly precision: ExportPrecision }>

export type HuggingfaceDtype = keyof typeof files
export const huggingfaceDtypes = Object.keys(files) as readonly HuggingfaceDtype[]

/** A file, and how near it is to LibTorch on random pixels. */
export interface HuggingfaceOnnx extends Agreement {
  readonly file: string
  readonly dtype: HuggingfaceDtype
  readonly bytes: number
}

/**
 * What `config.json` tells transformers.js: in a browser it asks for q8 by itself, elsewhere for fp32. Where one of them is not there,
 * what is there is named.
 */
export function preferredDtype(dtypes: readonly HuggingfaceDtype[]): Record<string, unknown> {
  const [first] = dtypes
  if (first === undefined || (dtypes.includes('fp32') && dtypes.includes('q8'))) return {}
  return { 'transformers.js_config': { dtype: dtypes.includes('fp32') ? 'fp32' : first } }
}

/** Takes away what an earlier export left: it would be of other weights. */
export function removeOnnx(dir: string): void {
  for (const { file } of Object.values(files)) rmSync(join(resolve(dir), 'onnx', file), { force: true })
}

function loaded({ config, arrays, classifier }: ExportedModel, output: HuggingfaceOutput): HuggingfaceModel {
  const { threads } = planMachine({ ...config.train, device: 'cpu', workers: config.data.workers })
  setThreads(threads)
  const shape = backboneOf(config)
  const rows =
    output === 'logits'
      ? classifierRows({ backbone: shape, classes: classifier!.classes.length, head: 'cls' })
      : backboneRows(shape)
  const parameters = scope(() => {
    const wanted = rows.flatMap(({ name }) => {
      const array = arrays.get(name)
      return array ? [[name, fromArray(array.data, array.shape, 'float32')] as const] : []
    })
    return loadParameters(rows, new Map(wanted), 'cpu')
  })
  return { shape, parameters, output }
}

const RANDOM_BATCHES = [1, 2, 5]

/** On pixels that are normal, as normalised ones are. */
async function agreement(path: string, model: HuggingfaceModel): Promise<Agreement> {
  const { channels, imageSize } = model.shape.dimensions
  const forward = huggingfaceForward(model)
  const session = await openSession(path, { threads: 1 })
  const worst = { largest: 0, cosine: 1 }
  try {
    for (const B of RANDOM_BATCHES) {
      const shape = [B, channels, ...imageSize]
      const { normal } = draws({ seed: 0, stream: 'export/pixels', epoch: 0, index: B })
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, normal)
      const made = (await session.run({ values, shape }, [model.output]))[model.output]
      const expected = noGrad(() => scope(() => toFloats(forward(fromArray(values, shape, 'float32')))))
      worst.largest = Math.max(worst.largest, largestDifference(made.values, expected))
      worst.cosine = Math.min(worst.cosine, smallestCosine(made.values, expected, made.shape.at(-1)!))
    }
    return worst
  } finally {
    await session.close()
  }
}

export interface HuggingfaceOnnxOptions {
  /** The folder of the model; the files go to `onnx/` in it. */
  readonly out: string
  readonly dtypes: readonly HuggingfaceDtype[]
  readonly output: HuggingfaceOutput
}

/** Throws `ENGINE_MISSING` or `ENGINE_BUILD` without LibTorch, `VALUE` when a file does not agree with it; then that file is not there. */
export async function writeOnnx(
  model: ExportedModel,
  { out, dtypes, output }: HuggingfaceOnnxOptions,
): Promise<HuggingfaceOnnx[]> {
  const known = loaded(model, output)
  try {
    const graph = huggingfaceGraph(known)
    const folder = join(resolve(out), 'onnx')
    makeFolder(folder)
    const written: HuggingfaceOnnx[] = []
    for (const dtype of dtypes) {
      const { file, precision } = files[dtype]
      const { convert, mostDifference, leastCosine } = precisions[precision]
      const converted = convert(graph)
      checkGraph(converted)
      const version = sherdVersion()
      const metadata = {
        'sherd.format': 'sherd-huggingface/1',
        'sherd.version': version,
        'sherd.precision': precision,
      }
      const path = join(folder, file)
      const near = await whole(path, async (draft) => {
        writeParts(draft, onnxParts(converted, metadata, version))
        const found = await agreement(draft, known)
        if (found.largest <= mostDifference && found.cosine >= leastCosine) return found
        throw new SherdError(
          'VALUE',
          `onnx/${file} does not agree with LibTorch: the largest difference is ${found.largest.toExponential(2)} (at most ${mostDifference}), ` +
            `the smallest cosine ${found.cosine.toFixed(5)} (at least ${leastCosine}). No file was written.`,
        )
      })
      written.push({ file: path, dtype, bytes: statSync(path).size, ...near })
    }
    return written
  } finally {
    for (const each of known.parameters.values()) each.dispose()
  }
}
