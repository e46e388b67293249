/**
 * A masked autoencoder as a graph from pixels and a mask to the prediction of every patch, traced from the objective that trains it.
 * The mask is two lists of token indices, so that its ratio is free and hidden pixels do not reach the encoder.
 */
import { SherdError } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { MaskedObjective } from '../objective/masked.ts'
import type { Graph } from '../onnx/graph.ts'
import { sizeName } from '../onnx/symbolic-sizes.ts'
import { narrow, reshape } from '../tensor/ops.ts'
import { record, type Tape } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { layoutTokens } from '../token/layout.ts'
import { planFromIndices } from '../token/mask.ts'
import { generalTape } from './general-tape.ts'
import {
  blankPixels,
  checkRecordable,
  type ExportedEncoder,
  inputName,
  viewOfPixels,
} from './pixels-input.ts'
import { needsPositions } from './positions-input.ts'
import { translate } from './translate.ts'

export interface Autoencoder {
  readonly objective: MaskedObjective
  /** The same objective with `embed: 'all'`, whose shapes do not depend on which tokens are kept. */
  readonly recorded: MaskedObjective
  /** Of encoder and decoder. */
  readonly parameters: Parameters
}

/** For any batch size and number of kept tokens. Throws `VALUE` for models that cannot be exported. */
export function autoencoderGraph(encoder: ExportedEncoder, autoencoder: Autoencoder): Graph {
  checkRecordable(encoder)
  if (encoder.channels)
    throw new SherdError('VALUE', 'An autoencoder is exported with all of its bands: leave --bands out.')
  if (needsPositions(encoder.shape))
    throw new SherdError(
      'VALUE',
      `The autoencoder of a model with dates (model.timeFields ${encoder.shape.time!.fields.join(', ')}) cannot be exported, since its positions differ between samples.`,
    )
  const N = layoutTokens(layoutOf(encoder.shape))
  if (N < 4) throw new SherdError('VALUE', `A model of ${N} tokens has too few of them to be recorded.`)
  const tape = generalTape({ batch: [2, 3, 5], kept: [1, 2, 3] }, ({ batch, kept }) =>
    recordAutoencoder(encoder, autoencoder, N, { batch: batch!, kept: kept! }),
  )
  return translate('autoencoder', tape, { sizeNames: { [sizeName({ '1': N, kept: -1 })]: 'hidden' } })
}

function recordAutoencoder(
  encoder: ExportedEncoder,
  { recorded, parameters }: Autoencoder,
  N: number,
  { batch: B, kept: K }: { batch: number; kept: number },
): Tape {
  return scope(() => {
    const pixels = blankPixels(encoder, B)
    const order = reshape(
      fromArray(
        BigInt64Array.from({ length: B * N }, (_, i) => BigInt(i % N)),
        [B * N],
        'int64',
      ),
      [B, N],
    )
    const inputs = {
      [inputName]: pixels,
      kept: narrow(order, 1, 0, K),
      hidden: narrow(order, 1, K, N - K),
    } satisfies Record<string, Tensor>
    return record({ inputs, named: parameters }, () => {
      const plan = planFromIndices(inputs.kept!, inputs.hidden!)
      const { prediction } = recorded.predict(weightsOf(parameters), viewOfPixels(encoder, pixels), plan)
      return { prediction }
    })
  })
}
