/** The smallest model in which every dimension is another number, for the tests of everything above it. */
import type {
  AutoencoderDimensions,
  DecoderDimensions,
  EncoderDimensions,
} from '../../src/model/dimensions.ts'
import { type EncodeOptions, encodeTokens } from '../../src/model/encoder.ts'
import { initialParameters, type Parameters, type Weights, within } from '../../src/model/parameters.ts'
import { embedPatches } from '../../src/model/stem/patch-embedding.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import type { MaskedObjective } from '../../src/objective/masked.ts'
import { callInPlace } from '../../src/tensor/call.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { take } from '../../src/token/take.ts'
import { product, wave } from '../tolerance.ts'

export const tiny: EncoderDimensions = {
  imageSize: [6, 10], // 3 × 5 patches
  patchSize: [2, 2],
  channels: 3,
  width: 24,
  depth: 2,
  heads: 3,
  mlpRatio: 4,
  layerNormEpsilon: 1e-6,
}

export const tinyDecoder: DecoderDimensions = { width: 16, depth: 1, heads: 2, groupWidth: 4, timeWidth: 4 }

export const tinySizes: AutoencoderDimensions = { encoder: tiny, decoder: tinyDecoder }

export const tinyMae = (options: Partial<MaeOptions> = {}): MaskedObjective =>
  mae({
    ...{ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, device: 'cpu' },
    ...options,
  })

/** Parameters without the zeros and ones of a fresh model, so that nothing hides behind them. */
export function stirredParameters(objective: Pick<MaskedObjective, 'rows'>, seed = 1): Parameters {
  const parameters = initialParameters(objective.rows, { seed, device: 'cpu' })
  noGrad(() =>
    scope(() => {
      for (const [i, x] of [...parameters.values()].entries())
        callInPlace('add_.Tensor', x, tensor(wave(product(x.shape), i), x.shape), 0.1)
    }),
  )
  return parameters
}

/** The tokens of patches [B, N, P·P·C] that the encoder gives, of those `kept` or of all. */
export function encodePatches(
  { patches, kept, positions }: { patches: Tensor; kept: Tensor | null; positions: Tensor },
  weights: Weights,
  d: EncoderDimensions = tiny,
  options: EncodeOptions = {},
): Tensor {
  const embedded = () => ({
    x: embedPatches(kept ? take(patches, kept) : patches, within(weights, 'patch_embed')),
    ...{ positions, kept },
  })
  return encodeTokens(embedded, weights, d, options).sequence
}

/** B images of the tiny model: [B, 3, 6, 10]. */
export const tinyImages = (B: number, seed = 0) => tensor(wave(B * 180, seed), [B, 3, 6, 10])
