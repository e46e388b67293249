/** Writes ONNX files; each is compared with LibTorch before it gets its final name. */

import { renameSync, rmSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type ClassifierFacts, type SegmenterFacts, weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { fittingOf } from '../config/assemble.ts'
import { atOneSize, bandsOf } from '../config/resolve.ts'
import { pause, SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { claimed } from '../files/claim.ts'
import type { Made } from '../files/made.ts'
import { makeFolder } from '../files/write-whole.ts'
import { checkGraph } from '../onnx/check-graph.ts'
import { onnxParts, writeParts } from '../onnx/onnx-file.ts'
import { sherdVersion } from '../package-root.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { formats, type GraphName } from './formats.ts'
import { type GraphOptions, graphs, type ModelParts } from './graphs.ts'
import { exportMetadata } from './metadata.ts'
import { inputName } from './pixels-input.ts'
import { type Bounds, type ExportPrecision, type PrecisionRow, precisions } from './precision.ts'
import {
  imageProof,
  type Proof,
  type ProofSamples,
  type ProofWatch,
  proveOnnx,
  randomProof,
} from './prove-onnx.ts'

/** An encoder with the other parts that the graphs need. */
export type OpenedModel = OpenedEncoder &
  Omit<ModelParts, keyof OpenedEncoder | 'rasters'> & {
    readonly classifier?: ClassifierFacts | undefined
    readonly segmenter?: SegmenterFacts | undefined
  }

interface Kind {
  readonly model: OpenedModel & { readonly precision: 'float32'; readonly rasters: boolean }
  readonly options: GraphOptions
}

/**
 * The model for graphs that can be of any size, and for those that cannot. They are the same, unless images keep their shape: then the first
 * take all sizes within the budget, and for the second all images are squashed.
 */
function kindsOf(model: Kind['model'], options: GraphOptions): Record<'anySize' | 'oneSize', Kind> {
  const budget = fittingOf(model.config)?.budget
  const usual = { model, options }
  if (!budget) return { anySize: usual, oneSize: usual }
  const most = Math.max(options.dynamicGrid?.most ?? 0, budget.most * Math.max(...budget.patch))
  return {
    anySize: { model, options: { ...options, dynamicGrid: { most } } },
    oneSize: { model: { ...model, config: atOneSize(model.config) }, options },
  }
}

export interface ExportOptions extends GraphOptions {
  /** On the CPU. */
  readonly model: OpenedModel
  readonly out: string
  /** Default: the encoder. */
  readonly graphs?: readonly GraphName[]
  readonly precisions: readonly ExportPrecision[]
  /** A folder of images for the comparison, besides random ones. */
  readonly images?: string | undefined
  /** What files in less than float32 must keep, instead of the bounds of their precision. */
  readonly bars?: Partial<Pick<Bounds, 'leastCosine' | 'leastOverlap'>> | undefined
  /** What the model is: with it each file is claimed (files/claim.ts), so that those that are there are not made again. */
  readonly made?: Pick<Made, 'options' | 'inputs'>
  readonly overwrite?: boolean | undefined
  /** Called for a file that the same request had made. */
  readonly onThere?: (file: string) => void
  /** Called before what takes long and is not counted. */
  readonly onPhase?: (doing: string) => void
  /** Progress of comparing a file, or of reading the images for it. */
  readonly onProgress?: (file: string | null) => ProofWatch['onProgress']
  readonly signal?: AbortSignal
}

export interface Exported extends Proof {
  readonly file: string
  readonly graph: GraphName
  readonly precision: ExportPrecision
  readonly bytes: number
}

/** Metadata of a graph's head. */
const headFacts = ({ classifier, segmenter }: OpenedModel, graph: GraphName) => ({
  ...(graph === 'classifier' && { classifier }),
  ...(graph === 'segmenter' && { segmenter }),
})

/** The names of the input's bands; null for images. */
const bandsSeen = ({ config, bands }: OpenedEncoder) => bands ?? bandsOf(config)

/**
 * Writes each graph in each precision, and yields each file once it has passed the comparison. Throws `VALUE` for a model that cannot
 * be exported or a file that does not agree.
 */
export async function* exportOnnx({
  model: opened,
  out,
  graphs: names = ['encoder'],
  precisions: wanted,
  images,
  bars = {},
  made: of,
  overwrite,
  onThere,
  onPhase,
  onProgress,
  signal,
  ...options
}: ExportOptions): AsyncGenerator<Exported> {
  const model = { ...opened, precision: 'float32' as const, rasters: opened.config.data.kind === 'rasters' }
  if (model.statistics.mean.length !== model.dimensions.channels)
    throw new SherdError(
      'USAGE',
      'What the bands are normalised by is in no file here: give --images, a folder of rasters to measure it on.',
    )
  const kinds = kindsOf(model, options)
  const version = sherdVersion()
  const read = new Map<object, ProofSamples>()
  let written = 0
  const standing = () => ({
    ...{ done: written, of: names.length * wanted.length, unit: 'files' },
    continues: of !== undefined,
  })
  const rounded = wanted.find((precision) => precision !== 'fp32')
  for (const graph of names) {
    const row = graphs[graph]
    if (row.isExact && rounded)
      throw new SherdError(
        'USAGE',
        `The graph "${graph}" is written in fp32 alone, since rounded vectors would have other codes: leave ${rounded} out.`,
      )
    onPhase?.(`recording the ${graph}`)
    await pause(signal, standing())
    const kind = kinds[row.isOfAnySize ? 'anySize' : 'oneSize']
    const { model: own, options } = kind
    const { config, statistics } = own
    const recorded = row.graph(own, options)
    const head = headFacts(model, graph)
    await pause(signal, standing())
    makeFolder(out)
    if (images !== undefined && !read.has(kind))
      read.set(
        kind,
        await imageProof(own, images, { onProgress: onProgress?.(null), signal, standing: standing() }),
      )
    const real = read.get(kind)
    const samples = [randomProof(own, row.sizes(own, options)), ...(real ? [real] : [])]
    for (const precision of wanted) {
      const { suffix, convert, ...usual }: PrecisionRow = precisions[precision]
      const bounds = precision === 'fp32' ? usual : { ...usual, ...bars }
      onPhase?.(`writing the ${graph} in ${precision}`)
      await pause(signal, standing())
      const converted = convert(recorded)
      checkGraph(converted)
      const metadata = exportMetadata({
        ...{ version, graph, precision, input: row.input(own, options), bands: bandsSeen(model) },
        weights: weightsMetadata({ config, statistics, ...head }),
        classes: (head.classifier ?? head.segmenter)?.classes ?? null,
        resolution: model.shape.referenceResolution,
        ...{ step: model.origin.step, outputs: converted.outputs.map(({ name }) => name) },
        inputs: converted.inputs.map(({ name }) => name).filter((name) => name !== inputName),
      })
      const path = resolve(out, `${formats[graph].stem}${suffix}.onnx`)
      const make = async (draft: string) => {
        await pause(signal, standing())
        writeParts(draft, onnxParts(converted, metadata, version))
        const watch = { onProgress: onProgress?.(path), signal, standing: standing() }
        const proof = await proveOnnx(draft, { graph, model: own, options, samples }, watch)
        checkProof(proof, bounds, `${precision} graph of the ${graph}`)
        return { graph, precision, bytes: statSync(draft).size, ...proof }
      }
      if (!of) {
        const file = await whole(path, make)
        written++
        yield { file: path, ...file }
        continue
      }
      const made = {
        command: 'export onnx',
        options: { ...of.options, ...options, ...(precision !== 'fp32' && bars), graph, precision },
        inputs: of.inputs,
      }
      const { result, wasThere } = await claimed<Omit<Exported, 'file'>>(
        { out: path, kind: 'file', made, overwrite },
        (draft) => make(draft.fileFor()),
      )
      written++
      if (wasThere) onThere?.(path)
      yield { file: path, ...result }
    }
  }
}

/** Renames the draft to `path` if `make` succeeds; else removes it. */
export async function whole<T>(path: string, make: (draft: string) => Promise<T>): Promise<T> {
  const draft = `${path}.writing`
  try {
    const result = await make(draft)
    renameSync(draft, path)
    return result
  } catch (error) {
    rmSync(draft, { force: true })
    throw cannotWrite(path, error)
  }
}

/** Throws `VALUE` if a graph is outside the tolerance of its precision. */
export function checkProof({ comparisons }: Proof, bounds: Bounds, what: string): void {
  const { mostDifference, leastCosine, leastOverlap } = bounds
  for (const { samples, largest, cosine, features = {} } of comparisons) {
    if (!(largest <= mostDifference && cosine >= leastCosine))
      throw new SherdError(
        'VALUE',
        `The ${what} does not agree with LibTorch on ${samples === 'random' ? 'random samples' : 'the images'}: ` +
          `the largest difference is ${largest.toExponential(2)} (at most ${mostDifference}), the smallest cosine ${cosine.toFixed(5)} (at least ${leastCosine}). ` +
          'No file was written.',
      )
    for (const [name, { overlap }] of Object.entries(features))
      if (overlap !== null && !(overlap >= leastOverlap))
        throw new SherdError(
          'VALUE',
          `The ${what} changes which images are near: of the ten nearest by "${name}", ${(100 * overlap).toFixed(1)} % stay (at least ${100 * leastOverlap} %). ` +
            'No file was written. Take a more exact precision, or set another bar (--least-overlap).',
        )
  }
}
