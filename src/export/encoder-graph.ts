/**
 * An encoder as a graph from pixels to tokens, traced from the code of training and evaluation: normalisation, patches, positions,
 * blocks, pooling.
 */

import { SherdError } from '../errors.ts'
import { clsAttention, clsAttentionTaps } from '../model/attention-rows.ts'
import { openBackbone } from '../model/backbone.ts'
import type { Graph } from '../onnx/graph.ts'
import { zeros } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
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
  /** Whether the attention of cls is an output. */
  readonly attention?: boolean | undefined
  /** Images of any height and width that are multiples of the patch; by default of the model's size. */
  readonly dynamicGrid?: DynamicGrid | null | undefined
}

/**
 * The encoder's vectors (`vectorWidths`), patches [B, N, D], and on request the attention of cls [B, L, A, P + N].
 */
export const encoderOutputs = (
  encoder: ExportedEncoder,
  { attention = false }: EncoderGraphOptions = {},
): readonly string[] => [
  ...[...Object.keys(vectorWidths(encoder)), 'patches'],
  ...(attention ? ['attention'] : []),
]

/** For any batch size. Throws `VALUE` for models that cannot be exported. */
export function encoderGraph(encoder: ExportedEncoder, options: EncoderGraphOptions = {}): Graph {
  checkRecordable(encoder)
  checkPositions(encoder)
  const { dynamicGrid } = options
  if (options.attention && !vectorWidths(encoder).cls)
    throw new SherdError(
      'VALUE',
      'This encoder has no cls token, whose attention could be shown: leave --attention out.',
    )
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
      const taps = attention ? clsAttentionTaps(encoder.dimensions.depth) : []
      const made = encodeImages(encoder, backbone, viewOfPixels(encoder, pixels), {
        ...{ positions, attention: extended, taps },
      })
      const maps = attention ? { attention: clsAttention(made.taps) } : {}
      return { ...vectorsOf(encoder, made), patches: patchesOf(made), ...maps }
    })
  })
}
