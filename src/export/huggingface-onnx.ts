/**
 * `onnx/` of a Hugging Face folder, under the names that transformers.js requests. Each file is compared with LibTorch before it gets its
 * final name. Tracing needs LibTorch, the rest of the folder does not.
 */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { backboneOf } from '../config/resolve.ts'
import { pause } from '../errors.ts'
import { brokenSeal, type Seal, sealOf } from '../files/durable.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { planMachine } from '../machine/plan.ts'
import { backboneRows } from '../model/backbone.ts'
import { classifierRows } from '../model/classifier.ts'
import { loadParameters } from '../model/parameters.ts'
import { checkGraph } from '../onnx/check-graph.ts'
import { onnxParts, writeParts } from '../onnx/onnx-file.ts'
import { openSession } from '../onnx/session.ts'
import { sherdVersion } from '../package-root.ts'
import { draws } from '../random/draws.ts'
import { noGrad, setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, toFloats } from '../tensor/tensor.ts'
import { checkProof, whole } from './export-onnx.ts'
import type { ExportedModel } from './exported-model.ts'
import { smallestCosine } from './feature-cost.ts'
import {
  type HuggingfaceModel,
  type HuggingfaceOutput,
  huggingfaceForward,
  huggingfaceGraph,
} from './huggingface-graph.ts'
import { inputSizeOf } from './image-processor.ts'
import { FORMAT_KEY, PRECISION_KEY } from './metadata.ts'
import { type ExportPrecision, type PrecisionRow, precisions } from './precision.ts'
import {
  batchFor,
  differenceOrNaN,
  inTurns,
  type Proof,
  type ProofWatch,
  RANDOM_BATCHES,
  stepper,
} from './prove-onnx.ts'

/** Lets our own commands recognise and refuse these files. */
const FORMAT = 'sherd-huggingface/1'

/** By transformers.js' names of precisions. */
const files = {
  fp32: { file: 'model.onnx', precision: 'fp32' },
  fp16: { file: 'model_fp16.onnx', precision: 'fp16' },
  q8: { file: 'model_quantized.onnx', precision: 'int8' },
} as const satisfies Record<string, { readonly file: string; readonly precision: ExportPrecision }>

export type HuggingfaceDtype = keyof typeof files

export interface HuggingfaceOnnx extends Proof {
  readonly file: string
  readonly dtype: HuggingfaceDtype
  readonly bytes: number
}

/**
 * `config.json` for transformers.js, which by default requests q8 in browsers and fp32 elsewhere: names an existing file if one of these
 * is missing.
 */
export function preferredDtype(dtypes: readonly HuggingfaceDtype[]): Record<string, unknown> {
  const [first] = dtypes
  if (first === undefined || (dtypes.includes('fp32') && dtypes.includes('q8'))) return {}
  return { 'transformers.js_config': { dtype: dtypes.includes('fp32') ? 'fp32' : first } }
}

/** Removes the graphs of an earlier export, which are of other weights. */
export function removeOnnx(dir: string): void {
  for (const { file } of Object.values(files)) rmSync(join(resolve(dir), 'onnx', file), { force: true })
}

function loaded(model: ExportedModel, output: HuggingfaceOutput): HuggingfaceModel {
  const { config, arrays, classifier } = model
  const shape = backboneOf(config)
  const head = classifier?.head ?? 'cls'
  const rows =
    output === 'logits'
      ? classifierRows({ backbone: shape, classes: classifier!.classes.length, head })
      : backboneRows(shape)
  const parameters = scope(() => {
    const wanted = rows.flatMap(({ name }) => {
      const array = arrays.get(name)
      return array ? [[name, fromArray(array.data, array.shape, 'float32')] as const] : []
    })
    return loadParameters(rows, new Map(wanted), 'cpu')
  })
  return { shape, inputSize: inputSizeOf(model), parameters, output, head }
}

/** Compares on normally distributed pixels. */
async function prove(
  path: string,
  model: HuggingfaceModel,
  { threads, ...watch }: ProofWatch & { readonly threads: number },
): Promise<Proof> {
  const step = stepper(RANDOM_BATCHES.length, watch)
  const { channels } = model.shape.dimensions
  const { output, inputSize } = model
  const samples = (B: number) => {
    const shape = [B, channels, ...inputSize]
    const { normal } = draws({ seed: 0, stream: 'export/pixels', epoch: 0, index: B })
    return { values: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, normal), shape }
  }
  const forward = huggingfaceForward(model)
  const compute = ({ values, shape }: ReturnType<typeof samples>) =>
    noGrad(() => scope(() => toFloats(forward(fromArray(values, shape, 'float32')))))
  const session = await openSession(path, { threads })
  try {
    const worst = { largest: 0, cosine: 1 }
    for (const B of RANDOM_BATCHES) {
      const given = samples(B)
      const [made, expected] = [(await session.run(given, [output]))[output], compute(given)]
      worst.largest = Math.max(worst.largest, differenceOrNaN(made.values, expected))
      worst.cosine = Math.min(worst.cosine, smallestCosine(made.values, expected, made.shape.at(-1)!))
      await step()
    }
    const count = RANDOM_BATCHES.reduce((a, b) => a + b)
    const given = samples(batchFor(model))
    const speed = await inTurns(given.shape[0]!, {
      onnx: () => session.run(given, [output]),
      libtorch: async () => {
        compute(given)
        await step()
      },
    })
    return { comparisons: [{ samples: 'random', count, batches: RANDOM_BATCHES, ...worst }], speed }
  } finally {
    await session.close()
  }
}

export interface HuggingfaceOnnxOptions {
  /** The folder of the model; graphs go to its `onnx/`. */
  readonly out: string
  readonly dtypes: readonly HuggingfaceDtype[]
  readonly output: HuggingfaceOutput
}

export interface FolderWatch {
  /** A folder for the proofs of graphs that are done: the same call continues behind these. */
  readonly proofs?: string | undefined
  /** Called before what takes long and is not counted. */
  readonly onPhase?: ((doing: string) => void) | undefined
  /** Progress of comparing a graph. */
  readonly onProgress?: ((file: string) => ProofWatch['onProgress']) | undefined
  readonly signal?: AbortSignal | undefined
}

type Proven = { readonly seal: Seal; readonly proof: Proof }

/** The proof of a graph that is there, as it was written; null if it is not. */
function provenBefore(path: string, record: string | null): Proof | null {
  if (record === null || !existsSync(record)) return null
  const { seal, proof } = JSON.parse(readFileSync(record, 'utf8')) as Proven
  return brokenSeal(path, seal) === null ? proof : null
}

/** Throws `INTERRUPTED`, `ENGINE_MISSING` or `ENGINE_BUILD` without LibTorch, `VALUE` for a file that does not agree with it, which is then removed. */
export async function writeOnnx(
  model: ExportedModel,
  { out, dtypes, output }: HuggingfaceOnnxOptions,
  { proofs, onPhase, onProgress, signal }: FolderWatch = {},
): Promise<HuggingfaceOnnx[]> {
  const written: HuggingfaceOnnx[] = []
  const standing = () => ({
    ...{ done: written.length, of: dtypes.length, unit: 'graphs' },
    continues: proofs !== undefined,
  })
  const { config } = model
  const { threads } = planMachine({ ...config.train, device: 'cpu', workers: config.data.workers })
  setThreads(threads)
  const known = loaded(model, output)
  try {
    onPhase?.('recording the graph')
    await pause(signal, standing())
    const graph = huggingfaceGraph(known)
    const folder = join(resolve(out), 'onnx')
    makeFolder(folder)
    for (const dtype of dtypes) {
      const { file, precision } = files[dtype]
      const path = join(folder, file)
      const record = proofs === undefined ? null : join(proofs, `${dtype}.json`)
      const before = provenBefore(path, record)
      if (before) {
        written.push({ file: path, dtype, bytes: statSync(path).size, ...before })
        continue
      }
      onPhase?.(`writing onnx/${file}`)
      await pause(signal, standing())
      const { convert, ...bounds }: PrecisionRow = precisions[precision]
      const converted = convert(graph)
      checkGraph(converted)
      const version = sherdVersion()
      const metadata = { [FORMAT_KEY]: FORMAT, 'sherd.version': version, [PRECISION_KEY]: precision }
      const proof = await whole(path, async (draft) => {
        writeParts(draft, onnxParts(converted, metadata, version))
        const watch = { onProgress: onProgress?.(path), signal, standing: standing() }
        const made = await prove(draft, known, { threads, ...watch })
        checkProof(made, bounds, `${precision} graph for transformers.js`)
        return made
      })
      if (record !== null) writeWhole(record, JSON.stringify({ seal: sealOf(path), proof } satisfies Proven))
      written.push({ file: path, dtype, bytes: statSync(path).size, ...proof })
    }
    return written
  } finally {
    for (const each of known.parameters.values()) each.dispose()
  }
}
