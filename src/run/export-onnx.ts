/** An encoder as ONNX files, each of which has shown that it computes the same before it gets its name. */
import { readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'
import { checkGraph } from '../export/check-graph.ts'
import { encoderGraph, encoderInput } from '../export/encoder-graph.ts'
import { exportMetadata } from '../export/metadata.ts'
import { onnxParts, writeParts } from '../export/onnx-file.ts'
import { type ExportPrecision, type PrecisionRow, precisions } from '../export/precision.ts'
import { packageRoot } from '../package-root.ts'
import type { OpenedEncoder } from './encoder.ts'
import { makeFolder } from './folder.ts'
import { type Proof, type ProofSamples, proofSamples, proveOnnx } from './prove-onnx.ts'
import { weightsMetadata } from './weights-metadata.ts'

export interface ExportOptions {
  /** On the CPU. */
  readonly encoder: OpenedEncoder
  readonly out: string
  readonly precisions: readonly ExportPrecision[]
  /** A folder of real images to compare with, besides random ones. */
  readonly images?: string | undefined
}

export interface Exported extends Proof {
  readonly file: string
  readonly precision: ExportPrecision
  readonly bytes: number
}

/** The names of a model's bands, of those that it is given; null for images. */
const bandsOf = ({ config, bands }: OpenedEncoder) => bands ?? config.data.bands

/** Writes a file for each precision, and gives it when it is proved. Throws `VALUE` for what cannot be exported or does not agree. */
export async function* exportOnnx({
  encoder,
  out,
  images,
  ...options
}: ExportOptions): AsyncGenerator<Exported> {
  const own = { ...encoder, precision: 'float32' as const, rasters: encoder.config.data.bands !== null }
  if (encoder.statistics.mean.length !== encoder.dimensions.channels)
    throw new SherdError(
      'USAGE',
      'What the bands are normalised by is in no file here: give --images, a folder of rasters to measure it on.',
    )
  const graph = encoderGraph(own)
  makeFolder(out)
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string
  }
  const samples = await proofSamples(own, images)
  for (const precision of options.precisions) {
    const { file, convert, ...bounds }: PrecisionRow = precisions[precision]
    const converted = convert(graph)
    checkGraph(converted)
    const metadata = exportMetadata({
      ...{ version, precision, weights: weightsMetadata(encoder), input: encoderInput(own) },
      ...{ bands: bandsOf(encoder), classes: null, resolution: encoder.shape.referenceResolution },
      step: encoder.origin.step,
    })
    const path = resolve(out, file)
    const proof = await whole(path, async (draft) => {
      writeParts(draft, onnxParts(converted, metadata, version))
      return proved(draft, own, samples, { ...bounds, precision })
    })
    yield { file: path, precision, bytes: statSync(path).size, ...proof }
  }
}

/** Gives the file its name when `make` has written and tried it; else there is none. */
export async function whole<T>(path: string, make: (draft: string) => Promise<T>): Promise<T> {
  const draft = `${path}.writing`
  try {
    const result = await make(draft)
    renameSync(draft, path)
    return result
  } catch (error) {
    rmSync(draft, { force: true })
    if (error instanceof SherdError) throw error
    throw new SherdError('RUN', `Cannot write ${path}: ${messageOf(error)}`, { cause: error })
  }
}

async function proved(
  path: string,
  encoder: OpenedEncoder,
  samples: readonly ProofSamples[],
  bounds: Omit<PrecisionRow, 'file' | 'convert'> & { readonly precision: ExportPrecision },
): Promise<Proof> {
  const proof = await proveOnnx(path, encoder, samples)
  const { mostDifference, leastCosine, precision } = bounds
  for (const { samples: kind, largest, cosine } of proof.comparisons)
    if (!(largest <= mostDifference && cosine >= leastCosine))
      throw new SherdError(
        'VALUE',
        `The ${precision} graph does not agree with LibTorch on ${kind === 'random' ? 'random samples' : 'the images'}: ` +
          `the largest difference is ${largest.toExponential(2)} (at most ${mostDifference}), the smallest cosine ${cosine.toFixed(5)} (at least ${leastCosine}). ` +
          'No file was written.',
      )
  return proof
}
