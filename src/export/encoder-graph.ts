/**
 * An encoder as a graph from pixels to tokens, traced from the code of training and evaluation: normalisation, patches, positions,
 * blocks, pooling.
 */

import { clsAttention, clsAttentionTaps } from '../model/attention-rows.ts'
import { openBackbone } from '../model/backbone.ts'
import { gridOfModel } from '../model/dimensions.ts'
import type { Graph } from '../onnx/graph.ts'
import { sizeName } from '../onnx/symbolic-sizes.ts'
import { zeros } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { patchesOf } from '../token/prefix.ts'
import { encodeImages, pooledOf } from '../weights/frozen-encoder.ts'
import {
  atSize,
  checkDynamic,
  type DynamicGrid,
  gridPositions,
  sideTable,
  sideTensor,
  tableName,
} from './dynamic-grid.ts'
import { generalTape } from './general-tape.ts'
import {
  blankPixels,
  checkRecordable,
  type ExportedEncoder,
  inputName,
  viewOfPixels,
} from './pixels-input.ts'
import { checkPositions, needsPositions, positionsName, positionsShape } from './positions-input.ts'
import { translate } from './translate.ts'

export interface EncoderGraphOptions {
  /** Whether the attention of cls is an output. */
  readonly attention?: boolean | undefined
  /** Images of any height and width that are multiples of the patch; by default of the model's size. */
  readonly dynamicGrid?: DynamicGrid | null | undefined
}

/** cls [B, D], mean [B, D], patches [B, N, D], and on request attention [B, L, A, 1 + N]. */
export const encoderOutputs = ({ attention = false }: EncoderGraphOptions = {}): readonly string[] => [
  ...['cls', 'mean', 'patches'],
  ...(attention ? ['attention'] : []),
]

/** For any batch size. Throws `VALUE` for models that cannot be exported. */
export function encoderGraph(encoder: ExportedEncoder, options: EncoderGraphOptions = {}): Graph {
  checkRecordable(encoder)
  checkPositions(encoder)
  const { dynamicGrid } = options
  const symbols = { batch: [2, 3, 5] } as const
  if (!dynamicGrid) {
    const tape = generalTape(symbols, ({ batch }) => recordEncoder(encoder, batch!, options))
    return translate('encoder', tape)
  }
  checkDynamic(encoder, dynamicGrid)
  const [P, Q] = encoder.dimensions.patchSize
  const places = { rows: [2, 3, 5], columns: [3, 2, 4] } as const
  const tape = generalTape({ ...symbols, ...places }, ({ batch, rows, columns }) =>
    recordEncoder(atSize(encoder, [rows! * P, columns! * Q]), batch!, options),
  )
  const sizeNames = { [sizeName({ rows: P })]: 'height', [sizeName({ columns: Q })]: 'width' }
  return translate('encoder', tape, {
    constants: { [tableName]: sideTable(encoder, dynamicGrid) },
    sizeNames,
  })
}

function recordEncoder(
  encoder: ExportedEncoder,
  batch: number,
  { attention = false, dynamicGrid }: EncoderGraphOptions,
): Tape {
  const { shape, parameters } = encoder
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(encoder, batch)
    const positionInputs = needsPositions(shape)
      ? { [positionsName]: zeros([batch, ...positionsShape(shape)]) }
      : {}
    const side = dynamicGrid && sideTensor(encoder, dynamicGrid)
    return record(
      {
        inputs: { [inputName]: pixels, ...positionInputs, ...(side && { [tableName]: side }) },
        named: parameters,
      },
      () => {
        const positions = side
          ? gridPositions(encoder, side, gridOfModel(encoder.dimensions))
          : positionInputs[positionsName]
        const taps = attention ? clsAttentionTaps(encoder.dimensions.depth) : []
        const made = encodeImages(encoder, backbone, viewOfPixels(encoder, pixels), { positions, taps })
        const maps = attention ? { attention: clsAttention(made.taps) } : {}
        return { ...pooledOf(encoder, made), patches: patchesOf(made), ...maps }
      },
    )
  })
}
