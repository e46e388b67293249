/**
 * An encoder as a graph from pixels to tokens, recorded from the code that computes them everywhere else: normalising, patches,
 * positions, blocks, pooling. Nothing of the network is written a second time here.
 */
import { withClsAttention } from '../model/attention-rows.ts'
import { openBackbone } from '../model/backbone.ts'
import { weightsOf } from '../model/parameters.ts'
import { narrow } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { pool } from '../token/pool.ts'
import { generalTape } from './general-tape.ts'
import type { Graph } from './graph.ts'
import { blankPixels, checkExportable, type ExportedEncoder, imagesOf, inputName } from './pixels-input.ts'
import { translate } from './translate.ts'

export interface EncoderGraphOptions {
  /** Whether the attention of cls is an output, too. */
  readonly attention?: boolean
}

/** The outputs cls [B, D], mean [B, D], patches [B, N, D], and on request attention [B, L, A, 1 + N]. */
export const encoderOutputs = ({ attention = false }: EncoderGraphOptions = {}): readonly string[] => [
  ...['cls', 'mean', 'patches'],
  ...(attention ? ['attention'] : []),
]

/** The graph, for batches of every size. Throws `VALUE` for what cannot be exported. */
export function encoderGraph(encoder: ExportedEncoder, options: EncoderGraphOptions = {}): Graph {
  checkExportable(encoder)
  const tape = generalTape({ batch: [2, 3, 5] }, ({ batch }) => recordEncoder(encoder, batch!, options))
  return translate('encoder', tape)
}

function recordEncoder(
  encoder: ExportedEncoder,
  batch: number,
  { attention = false }: EncoderGraphOptions,
): Tape {
  const { shape, parameters, only = null } = encoder
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(encoder, batch)
    return record({ inputs: { [inputName]: pixels }, named: parameters }, () => {
      const encode = (more = {}) =>
        backbone.encodeAll(imagesOf(encoder, pixels), weightsOf(parameters), { only, ...more })
      const { made, ...maps } = attention ? withClsAttention(encode) : { made: encode() }
      const { tokens, present } = made
      const patches = narrow(tokens, 1, 1, tokens.shape[1]! - 1)
      return { cls: pool.cls(tokens), mean: pool.mean(tokens, present), patches, ...maps }
    })
  })
}
