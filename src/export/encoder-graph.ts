/**
 * An encoder as a graph from pixels to tokens, recorded from the code that computes them everywhere else: normalising, patches,
 * positions, blocks, pooling. Nothing of the network is written a second time here.
 */
import { encodeImages, pooledOf } from '../evaluate/features.ts'
import { withClsAttention } from '../model/attention-rows.ts'
import { openBackbone } from '../model/backbone.ts'
import { narrow } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
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
  const { shape, parameters } = encoder
  const backbone = openBackbone(shape, 'cpu')
  return scope(() => {
    const pixels = blankPixels(encoder, batch)
    return record({ inputs: { [inputName]: pixels }, named: parameters }, () => {
      const encode = (more = {}) => encodeImages(encoder, backbone, imagesOf(encoder, pixels), more)
      const { made, ...maps } = attention ? withClsAttention(encode) : { made: encode() }
      const patches = narrow(made.tokens, 1, 1, made.tokens.shape[1]! - 1)
      return { ...pooledOf(encoder, made), patches, ...maps }
    })
  })
}
