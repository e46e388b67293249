/**
 * Patches of all bands with what their groups know of them: what is hidden, and by which mean and deviation they were normalised.
 * Tensors are on the CPU.
 */
import { type BackboneShape, groupsOf, type layoutOf } from '../model/backbone-shape.ts'
import type { BandGroup } from '../model/stem/patch-embedding.ts'
import { type BandStatistics, bandMoments } from '../target/band-pixels.ts'
import { guessFromNeighbours } from '../target/visible-neighbours.ts'
import { add, cat, expand, indexSelect, mul, ones, permute, reshape, sub } from '../tensor/ops.ts'
import { fromArray, type Tensor, tensor, toFloats } from '../tensor/tensor.ts'
import { patchArea } from '../token/grid.ts'
import { patchifyGroups, patchifyValid } from '../token/patchify.ts'

/** Images cut into patches, all bands and group by group. */
export interface Cut {
  readonly groups: readonly BandGroup[]
  readonly pixels: number
  /** [B, places, P·P, C], all bands. */
  readonly truth: Tensor
  /** Of each group, [B, places, P·P·|g|]. */
  readonly patches: readonly Tensor[]
  /** [B, places, P·P, 1], 1 where there is data. */
  readonly valid: Tensor | null
}

/** pixels [B, T, C, H, W], valid [B, T, H, W]. */
export function cutPatches(shape: BackboneShape, pixels: Tensor, valid: Tensor | null): Cut {
  const { dimensions: d } = shape
  const groups = groupsOf(shape)
  const all = [...Array(d.channels).keys()]
  const [truth, ...patches] = patchifyGroups(
    pixels,
    [all, ...groups.map(({ bands }) => bands)],
    d.patchSize,
  ) as [Tensor, ...Tensor[]]
  const [B, places] = truth.shape as readonly [number, number, number]
  const area = patchArea(d.patchSize)
  return {
    ...{ groups, patches, pixels: area },
    truth: reshape(truth, [B, places, area, d.channels]),
    valid: valid && reshape(patchifyValid(valid, d.patchSize), [B, places, area, 1]),
  }
}

/** Puts what each group has, [B, places, 1, 1] or [B, places, 1, |g|], to its bands: [B, places, 1, C]; `otherwise` for the rest. */
function toBands(
  parts: readonly Tensor[],
  groups: readonly BandGroup[],
  channels: number,
  otherwise: number,
): Tensor {
  const [B, places] = parts[0]!.shape as readonly [number, number]
  const whole = parts.map((part, g) => expand(part, [B, places, 1, groups[g]!.bands.length]))
  const declared = groups.flatMap(({ bands }) => bands)
  const rest = [...Array(channels).keys()].filter((band) => !declared.includes(band))
  const filled = rest.length > 0 ? [mul(ones([B, places, 1, rest.length]), otherwise)] : []
  const order = [...declared, ...rest]
  const which = BigInt64Array.from({ length: channels }, (_, band) => BigInt(order.indexOf(band)))
  return indexSelect(cat([...whole, ...filled], 3), 3, fromArray(which, [channels], 'int64'))
}

/** 1 where a band is hidden. One that no group has is never seen. */
export function hiddenBands(
  mask: Tensor,
  groups: readonly BandGroup[],
  channels: number,
  places: number,
): Tensor {
  const B = mask.shape[0]!
  const byGroup = reshape(mask, [B, groups.length, places])
  const parts = groups.map((_, g) =>
    reshape(indexSelect(byGroup, 1, fromArray(BigInt64Array.of(BigInt(g)), [1], 'int64')), [B, places, 1, 1]),
  )
  return toBands(parts, groups, channels, 1)
}

/** [C] 1 for bands that a group has. */
export const groupedBands = (groups: readonly BandGroup[], channels: number): Tensor =>
  tensor(
    Array.from({ length: channels }, (_, c) => (groups.some(({ bands }) => bands.includes(c)) ? 1 : 0)),
    [channels],
  )

export interface Moments {
  /** Both [B, places, 1, C]. */
  readonly mean: Tensor
  readonly deviation: Tensor
}

/** By what each band's patches were normalised, at every place; from the bands that `hidden` [B, places, 1, C] leaves to be seen. */
export function momentsByBand(
  { groups, patches, pixels, truth, valid }: Cut,
  statistics: BandStatistics,
  hidden?: Tensor,
): Moments {
  const [B, places, , C] = truth.shape as readonly [number, number, number, number]
  const n = B * places
  const made = patches.map((own) =>
    bandMoments(
      {
        own: reshape(own, [n, own.shape[2]!]),
        every: () => reshape(truth, [n, pixels * C]),
        valid: valid && reshape(valid, [n, pixels]),
        pixels,
        ...(hidden && { seen: expand(reshape(sub(mul(hidden, -1), -1), [n, 1, C]), [n, pixels, C]) }),
      },
      statistics,
    ),
  )
  const spread = (x: Tensor) => reshape(x, [B, places, 1, x.shape[2]!])
  return {
    mean: toBands(
      made.map(({ mean }) => spread(mean)),
      groups,
      C,
      0,
    ),
    deviation: toBands(
      made.map(({ deviation }) => spread(deviation)),
      groups,
      C,
      1,
    ),
  }
}

/** The moments with those of hidden patches guessed from visible ones. */
export function guessed(
  { mean, deviation }: Moments,
  hidden: Tensor,
  { grid, frames }: ReturnType<typeof layoutOf>,
): Moments {
  const [B, places, , C] = mean.shape as readonly [number, number, number, number]
  const byBand = (x: Tensor) => toFloats(permute(reshape(x, [B, places, C]), [0, 2, 1])) // [B, C, places]
  const visible = byBand(hidden).map((x) => 1 - x)
  const guess = (x: Tensor, otherwise: number) => {
    const values = byBand(x)
    for (let row = 0; row < B * C; row++) {
      const [from, to] = [row * places, (row + 1) * places]
      guessFromNeighbours(
        values.subarray(from, to),
        { grid, frames, visible: visible.subarray(from, to) },
        otherwise,
      )
    }
    return reshape(permute(tensor(values, [B, C, places]), [0, 2, 1]), [B, places, 1, C])
  }
  return { mean: guess(mean, 0), deviation: guess(deviation, 1) }
}

export const withMoments = (x: Tensor, { mean, deviation }: Moments) => add(mul(x, deviation), mean)
