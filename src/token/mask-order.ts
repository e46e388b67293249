/** Random masks as plain numbers, without a tensor: the order in which a model sees the patches. Browsers and servers use it as it is. */
import { SherdError } from '../errors.ts'
import { type Address, draws } from '../random/draws.ts'

/** K = ⌊N · (1 − ratio)⌋, in double precision like the reference. Both K and N − K must be at least 1. */
export function keptCount(tokens: number, ratio: number, key = 'mask.ratio'): number {
  const kept = Math.floor(tokens * (1 - ratio))
  if (!(kept >= 1 && kept < tokens)) {
    throw new SherdError(
      'VALUE',
      `${key} ${ratio} of ${tokens} patches keeps ${kept}: at least one patch must be kept and one hidden`,
    )
  }
  return kept
}

/** One row of a mask plan. */
export interface MaskOrder {
  /** [K] */
  readonly kept: readonly number[]
  /** [N − K] */
  readonly hidden: readonly number[]
}

/** The row of `planFromNoise(maskNoise(tokens, …), keptCount(tokens, ratio))` that belongs to the address. */
export function maskOrder(tokens: number, ratio: number, address: Omit<Address, 'stream'>): MaskOrder {
  return orderOf(draws({ ...address, stream: 'mask' }).fill(new Float32Array(tokens)), ratio)
}

/** The row of `planFromNoise(noise, keptCount(…))`. */
export function orderOf(noise: Float32Array, ratio: number): MaskOrder {
  const kept = keptCount(noise.length, ratio)
  const order = Array.from(noise.keys()).sort((a, b) => noise[a]! - noise[b]!) // stable: of equal noise the lower number
  return { kept: order.slice(0, kept), hidden: order.slice(kept) }
}
