/**
 * The patch embedding: a linear map of each patch, one for each group of bands (SatMAE, Cong et al. 2022, section 3.2). A plain image is
 * one group of all channels.
 */
import { linear } from '../../tensor/fused.ts'
import { cat, indexSelect, permute, linear as plainLinear, reshape } from '../../tensor/ops.ts'
import { scope } from '../../tensor/scope.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { joinRoutes, type Route, routeByGroup, type SpectralGroups } from '../../token/spectral-groups.ts'
import { take } from '../../token/take.ts'
import type { EncoderDimensions } from '../dimensions.ts'
import { type ParameterRow, type Weights, within } from '../parameters.ts'

/** Bands that share a token, and the names of what is theirs. */
export interface BandGroup {
  readonly bands: readonly number[]
  readonly embed: string
  readonly head: string
}

/** Names as in the released checkpoints: `patch_embed`, `decoder_pred` for one group of all channels, else with the group's number. */
export const bandGroups = (groups: SpectralGroups | null, channels: number): readonly BandGroup[] =>
  groups === null
    ? [{ bands: [...Array(channels).keys()], embed: 'patch_embed', head: 'decoder_pred' }]
    : groups.map((bands, g) => ({ bands, embed: `patch_embed.${g}`, head: `decoder_pred.${g}` }))

/** The rows of a patch embedding `name` of `channels` bands. */
export function embedRows(
  name: string,
  channels: number,
  { width, patchSize, variant }: Pick<EncoderDimensions, 'width' | 'patchSize' | 'variant'>,
): ParameterRow[] {
  const bias: ParameterRow = { name: `${name}.proj.bias`, shape: [width], initial: 'zeros' }
  return [
    { name: `${name}.proj.weight`, shape: [width, channels, ...patchSize], initial: 'xavier' },
    ...(variant?.patchBias === false ? [] : [bias]),
  ]
}

/** patches […, P·P·C] → […, D]. The reference's convolution, whose stride is the patch, as the linear map that it is. */
export function embedPatches(patches: Tensor, weights: Weights, hasBias = true): Tensor {
  const kernel = weights('proj.weight') // [D, C, h, w]
  const [D, C, h, w] = kernel.shape as readonly [number, number, number, number]
  const matrix = reshape(permute(kernel, [0, 2, 3, 1]), [D, h * w * C]) // channel last, like a patch
  return hasBias
    ? linear(patches, { weight: matrix, bias: weights('proj.bias') })
    : plainLinear(patches, matrix)
}

/** The rows of x [B, places, …] that a route takes: [n, …]. */
export const pick = (x: Tensor, { places }: Route): Tensor => {
  const [B, P, width] = x.shape as readonly [number, number, number]
  return indexSelect(reshape(x, [B * P, width]), 0, places)
}

/**
 * The embedded tokens [B, K, D] of `kept` [B, K], from the patches of each group [B, places, P·P·|g|]; of all tokens when it is
 * null. Patches are picked before they are embedded, so hidden pixels cannot reach the encoder.
 */
export function embedGroups(
  patches: readonly Tensor[],
  kept: Tensor | null,
  groups: readonly BandGroup[],
  weights: Weights,
  hasBias = true,
): Tensor {
  const embed = (x: Tensor, g: number) => embedPatches(x, within(weights, groups[g]!.embed), hasBias)
  return scope(() => {
    if (!kept) return patches.length === 1 ? embed(patches[0]!, 0) : cat(patches.map(embed), 1)
    if (patches.length === 1) return embed(take(patches[0]!, kept), 0)
    const [B, K] = kept.shape as readonly [number, number]
    const routes = routeByGroup(kept, { groups: groups.length, places: patches[0]!.shape[1]! })
    return joinRoutes(
      routes.map((route, g) => embed(pick(patches[g]!, route), g)),
      routes,
      [B, K],
    )
  })
}
