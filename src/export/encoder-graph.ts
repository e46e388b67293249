/**
 * An encoder as a graph from pixels to tokens, traced from the code of training and evaluation: normalisation, patches, positions,
 * blocks, pooling.
 */

import { attentionOfBlocks, attentionTaps } from '../model/attention-rows.ts'
import { openBackbone } from '../model/backbone.ts'
import type { Encoded } from '../model/encoder.ts'
import { hasPooling } from '../model/features.ts'
import { poolingShares } from '../model/own-output.ts'
import { weightsOf } from '../model/parameters.ts'
import type { Graph } from '../onnx/graph.ts'
import { select, zeros } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { patchesOf } from '../token/prefix.ts'
import { encodeImages } from '../weights/frozen-encoder.ts'
import { type DynamicGrid, type PositionTables, positionsFrom, tensorsOf } from './dynamic-grid.ts'
import { vectorsOf, vectorWidths } from './encoder-vectors.ts'
import { gridGraph } from './grid-graph.ts'
import {
  blankPixels,
  checkRecordable,
  type ExportedEncoder,
  inputName,
  viewOfPixels,
} from './pixels-input.ts'
import { checkPositions, needsPositions, positionsName, positionsShape } from './positions-input.ts'

export interface EncoderGraphOptions {
  /** Whether attention is an output: of cls, or of the patches where there is none; and of attention pooling. */
  readonly attention?: boolean | undefined
  /** Images of any height and width that are multiples of the patch; by default of the model's size. */
  readonly dynamicGrid?: DynamicGrid | null | undefined
}

/**
 * The encoder's vectors (`vectorWidths`), patches [B, N, D], and on request attention [B, L, A, P + N] and that of pooling [B, A, P + N].
 */
export const encoderOutputs = (
  encoder: ExportedEncoder,
  { attention = false }: EncoderGraphOptions = {},
): readonly string[] => [
  ...[...Object.keys(vectorWidths(encoder)), 'patches'],
  ...(attention ? ['attention', ...(hasPooling(encoder) ? ['poolingAttention'] : [])] : []),
]

/** The outputs that `attention` asks for, of tokens with `attentionTaps`. */
export const attentionOutputs = (encoder: ExportedEncoder, made: Encoded): Record<string, Tensor> => {
  const { dimensions, parameters } = encoder
  const attention = attentionOfBlocks(made.taps, dimensions)
  if (!hasPooling(encoder)) return { attention }
  const shares = poolingShares(made, weightsOf(parameters), dimensions)
  return { attention, poolingAttention: select(shares, 2, 0) }
}

/** For any batch size. Throws `VALUE` for models that cannot be exported. */
export function encoderGraph(encoder: ExportedEncoder, options: EncoderGraphOptions = {}): Graph {
  checkRecordable(encoder)
  checkPositions(encoder)
  const { dynamicGrid } = options
  return gridGraph('encoder', encoder, {
    dynamicGrid,
    record: (at, tables, batch) => recordEncoder({ encoder: at, tables, options }, batch),
  })
}

interface Recorded {
  readonly encoder: ExportedEncoder
  readonly tables: PositionTables
  readonly options: EncoderGraphOptions
}

function recordEncoder({ encoder, tables, options: { attention = false } }: Recorded, batch: number): Tape {
  const { shape, parameters } = encoder
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(encoder, batch)
    const positionInputs = needsPositions(shape)
      ? { [positionsName]: zeros([batch, ...positionsShape(shape)]) }
      : {}
    const given = tensorsOf(tables)
    return record({ inputs: { [inputName]: pixels, ...positionInputs, ...given }, named: parameters }, () => {
      const { positions = positionInputs[positionsName], attention: extended } = positionsFrom(encoder, given)
      const taps = attention ? attentionTaps(encoder.dimensions) : []
      const made = encodeImages(encoder, backbone, viewOfPixels(encoder, pixels), {
        ...{ positions, attention: extended, taps },
      })
      const maps = attention ? attentionOutputs(encoder, made) : {}
      return { ...vectorsOf(encoder, made), patches: patchesOf(made), ...maps }
    })
  })
}
