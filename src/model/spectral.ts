/**
 * The parts of a masked autoencoder for spectral groups that differ from the plain one (SatMAE, Cong et al. 2022, section 3.2): a
 * patch embedding and an output head for each group. Encoder and decoder blocks are the same.
 */
import { indexSelect, narrow, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { joinRoutes, type Route, routeByGroup, type SpectralGroups } from '../token/spectral.ts'
import { applyLinear, linearRows } from './block.ts'
import { decoderRowsWith } from './decoder.ts'
import type { Dimensions } from './dimensions.ts'
import { embedPatches, embedRows, encoderRowsWith } from './encoder.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** Names as in the released checkpoints: `patch_embed.0.proj.weight` …, `decoder_pred.0.weight` …. */
export const spectralEncoderRows = (d: Dimensions, groups: SpectralGroups): ParameterRow[] =>
  encoderRowsWith(
    groups.flatMap((bands, g) => embedRows(`patch_embed.${g}`, bands.length, d)),
    d,
  )

export const spectralDecoderRows = (d: Dimensions, groups: SpectralGroups): ParameterRow[] =>
  decoderRowsWith(
    groups.flatMap((bands, g) =>
      linearRows(`decoder_pred.${g}`, d.decoderWidth, d.patchSize * d.patchSize * bands.length),
    ),
    d,
  )

const pick = (patches: Tensor, { places }: Route): Tensor => {
  const [B, L, width] = patches.shape as readonly [number, number, number]
  return indexSelect(reshape(patches, [B * L, width]), 0, places)
}

/**
 * The embedded tokens [B, K, D] of `kept` [B, K], from the patches of each group [B, L, P·P·|g|]. Patches are picked before they
 * are embedded, so hidden pixels cannot reach the encoder.
 */
export function embedGroups(patches: readonly Tensor[], kept: Tensor, weights: Weights): Tensor {
  const [B, L] = patches[0]!.shape as readonly [number, number]
  const K = kept.shape[1]!
  return scope(() => {
    const routes = routeByGroup(kept, { groups: patches.length, locations: L })
    const parts = routes.map((route, g) =>
      embedPatches(pick(patches[g]!, route), within(within(weights, 'patch_embed'), String(g))),
    )
    return joinRoutes(parts, routes, [B, K])
  })
}

/** One group's tokens, as their head has predicted them, and what they should have been. */
export interface GroupPrediction {
  /** [n_g, P·P·|g|] */
  readonly predicted: Tensor
  readonly target: Tensor
}

/** The predictions of decoder features [B, M, E] of the tokens `which` [B, M], group by group, beside the same tokens of `targets`. */
export function predictGroups(
  features: Tensor,
  which: Tensor,
  targets: readonly Tensor[],
  weights: Weights,
): readonly GroupPrediction[] {
  const [B, M, E] = features.shape as readonly [number, number, number]
  const locations = targets[0]!.shape[1]!
  return scope(() => {
    const flat = reshape(features, [B * M, E])
    return routeByGroup(which, { groups: targets.length, locations }).map((route, g) => ({
      predicted: applyLinear(indexSelect(flat, 0, route.rows), headOf(weights, g)),
      target: pick(targets[g]!, route),
    }))
  })
}

const headOf = (weights: Weights, g: number): Weights => within(within(weights, 'decoder_pred'), String(g))

/** The prediction [B, L, P·P·|g|] of each group at every location, from features [B, G · L, E] in the order of the tokens. */
export function predictAllGroups(features: Tensor, groups: number, weights: Weights): readonly Tensor[] {
  const locations = features.shape[1]! / groups
  return Array.from({ length: groups }, (_, g) =>
    applyLinear(narrow(features, 1, g * locations, locations), headOf(weights, g)),
  )
}
