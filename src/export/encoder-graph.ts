/**
 * An encoder as a graph from pixels to tokens, recorded from the code that computes them everywhere else: normalising, patches,
 * positions, blocks, pooling. Nothing of the network is written a second time here.
 */
import { SherdError } from '../errors.ts'
import { type FrozenEncoder, readImages } from '../evaluate/features.ts'
import { openBackbone } from '../model/backbone.ts'
import { weightsOf } from '../model/parameters.ts'
import { normalizeBytes, normalizeValues } from '../prepare/normalize.ts'
import { narrow, permute, reshape } from '../tensor/ops.ts'
import { record } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { pool } from '../token/pool.ts'
import { generalTape, type Recording } from './general-tape.ts'
import type { Graph } from './graph.ts'
import { translate } from './translate.ts'

/** What the graph is told of its input. */
export interface EncoderInput {
  /** The values are those of the files: bytes 0 … 255, or a raster's units with NaN where there is no data. */
  readonly values: 'bytes' | 'units'
  /** Without the batch: [C, H, W], or [T, C, H, W] of several frames. */
  readonly shape: readonly number[]
}

/** The one input, and the outputs cls [B, D], mean [B, D], patches [B, N, D]. */
export const inputName = 'pixels'
export const outputNames = ['cls', 'mean', 'patches'] as const

/** `rasters`: whether its samples are rasters, as its configuration says. */
export type ExportedEncoder = FrozenEncoder & { readonly rasters: boolean }

export function encoderInput({ shape, channels, rasters }: ExportedEncoder): EncoderInput {
  const { dimensions, frames } = shape
  const image = [channels?.length ?? dimensions.channels, ...dimensions.imageSize]
  return { values: rasters ? 'units' : 'bytes', shape: frames === 1 ? image : [frames, ...image] }
}

/** Throws `VALUE` for models whose positions depend on what pixels do not tell. */
function checkExportable({ shape, device }: ExportedEncoder): void {
  if (shape.time && shape.time.fields.length > 0)
    throw new SherdError(
      'VALUE',
      `A model that is told dates (model.time ${shape.time.fields.join(', ')}) has other positions for each sample, and is not exported yet.`,
    )
  if (device !== 'cpu')
    throw new SherdError('VALUE', `An encoder is recorded on the CPU, and this one is on ${device}`)
}

const BATCHES = [2, 3] as const

/** The graph, for batches of every size. Throws `VALUE` for what cannot be exported. */
export function encoderGraph(encoder: ExportedEncoder): Graph {
  checkExportable(encoder)
  const [first, second] = BATCHES.map((batch) => recordEncoder(encoder, batch)) as [Recording, Recording]
  return translate('encoder', generalTape(first, second))
}

function recordEncoder(encoder: ExportedEncoder, batch: number): Recording {
  const { shape, parameters, only = null } = encoder
  const { frames } = shape
  const backbone = openBackbone(shape, 'cpu')
  const { shape: sample } = encoderInput(encoder)
  const [C, H, W] = sample.slice(-3) as [number, number, number]
  return scope(() => {
    const values = new Float32Array(batch * sample.reduce((a, b) => a * b, 1))
    if (encoder.rasters) values[0] = Number.NaN // so that the way of missing data is taken
    const pixels = tensor(values, [batch, ...sample])
    const normalized = (x: Tensor) =>
      readImages(encoder, (own) => {
        if (!encoder.rasters) return permute(normalizeBytes(permute(x, [0, 2, 3, 1]), own), [0, 3, 1, 2])
        const known = normalizeValues(reshape(x, [batch, frames, C, H, W]), own)
        return { ...known, times: null, resolution: null }
      })
    const tape = record({ inputs: { [inputName]: pixels }, named: parameters }, () => {
      const { tokens, present } = backbone.encodeAll(normalized(pixels), weightsOf(parameters), { only })
      const patches = narrow(tokens, 1, 1, tokens.shape[1]! - 1)
      return { cls: pool.cls(tokens), mean: pool.mean(tokens, present), patches }
    })
    return { tape, batch }
  })
}
