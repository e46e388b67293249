/** The predictions of groups as those of bands: each value goes to the band that was declared for it. */
import type { EncoderDimensions } from '../model/dimensions.ts'
import type { BandGroup } from '../model/stem/patch-embedding.ts'
import { cat, indexSelect, reshape, toDevice, toDtype, zeros } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { patchArea } from '../token/grid.ts'

/** [B, places, P·P·|g|] of each group → [B, places, P·P·C]; zeros for a band that no group has. */
export function inBandOrder(
  parts: readonly Tensor[],
  groups: readonly BandGroup[],
  { patchSize, channels }: Pick<EncoderDimensions, 'patchSize' | 'channels'>,
): Tensor {
  const pixels = patchArea(patchSize)
  return scope(() => {
    const [B, L] = parts[0]!.shape as readonly [number, number]
    const { device } = parts[0]!
    const split = parts.map((part, g) =>
      reshape(toDtype(part, 'float32'), [B, L, pixels, groups[g]!.bands.length]),
    )
    const declared = groups.flatMap(({ bands }) => bands)
    if (declared.length === channels && declared.every((band, i) => band === i))
      return reshape(split.length === 1 ? split[0]! : cat(split, 3), [B, L, pixels * channels])
    const missing = Array.from({ length: channels }, (_, band) => band).filter(
      (band) => !declared.includes(band),
    )
    const rest = missing.length > 0 ? [zeros([B, L, pixels, missing.length], { device })] : []
    const places = [...declared, ...missing]
    const order = Array.from({ length: channels }, (_, band) => BigInt(places.indexOf(band)))
    const which = toDevice(fromArray(BigInt64Array.from(order), [channels], 'int64'), device)
    return reshape(indexSelect(cat([...split, ...rest], 3), 3, which), [B, L, pixels * channels])
  })
}
