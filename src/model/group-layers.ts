/**
 * The parts of a masked autoencoder that know of bands (SatMAE, Cong et al. 2022, section 3.2): a patch embedding for each
 * group of bands. Its blocks are the same, and a plain image is one group of all channels.
 */
import { cat, indexSelect, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { joinRoutes, type Route, routeByGroup, type SpectralGroups } from '../token/spectral-groups.ts'
import { take } from '../token/take.ts'
import type { EncoderDimensions } from './dimensions.ts'
import { embedPatches, embedRows, encoderRowsWith } from './encoder.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

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

export const groupedEncoderRows = (d: EncoderDimensions, groups: readonly BandGroup[]): ParameterRow[] =>
  encoderRowsWith(
    groups.flatMap(({ embed, bands }) => embedRows(embed, bands.length, d)),
    d,
  )

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
): Tensor {
  const embed = (x: Tensor, g: number) => embedPatches(x, within(weights, groups[g]!.embed))
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
