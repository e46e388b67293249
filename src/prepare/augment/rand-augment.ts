/**
 * RandAugment (Cubuk et al. 2020) as fine-tuning recipes use it (`rand-m9-mstd0.5-inc1`): two operations drawn out of fifteen, each
 * applied half of the time, with a magnitude from N(9, 0.5) of 10; larger is stronger for all.
 */
import type { Draws } from '../../random/draws.ts'
import { rotate, shearX, shearY, translateX, translateY } from './affine.ts'
import { brightness, contrast, saturation, sharpness } from './blend.ts'
import type { Change, Raster } from './change.ts'
import { autoContrast, equalize, invert, posterize, solarise, solariseAdd } from './value-tables.ts'

export interface RandAugmentOptions {
  /** Operations of one image; 0 for none. */
  readonly operations: number
  /** Mean of the magnitude, 0 to 10. */
  readonly magnitude: number
  /** Its standard deviation. */
  readonly deviation: number
  /** How often an operation that was drawn is applied. */
  readonly probability: number
}

export const randAugmentDefaults: RandAugmentOptions = {
  ...{ operations: 2, magnitude: 9, deviation: 0.5, probability: 0.5 },
}

/** What an operation is at a strength from 0 to 1; `sign` is −1 or 1, for those that have two directions. */
type Operation = (strength: number, sign: number, fill: readonly number[]) => Change

const factor = (strength: number, sign: number) => Math.max(0.1, 1 + 0.9 * strength * sign)

/** All operations by name. */
export const operations = {
  autoContrast: () => autoContrast,
  equalize: () => equalize,
  invert: () => invert,
  rotate: (strength, sign, fill) => rotate(30 * strength * sign, fill),
  posterize: (strength) => posterize(4 - Math.trunc(4 * strength)),
  solarize: (strength) => solarise(256 - Math.min(256, Math.trunc(256 * strength))),
  solarizeAdd: (strength) => solariseAdd(Math.min(128, Math.trunc(110 * strength))),
  colour: (strength, sign) => saturation(factor(strength, sign)),
  contrast: (strength, sign) => contrast(factor(strength, sign)),
  brightness: (strength, sign) => brightness(factor(strength, sign)),
  sharpness: (strength, sign) => sharpness(factor(strength, sign)),
  shearX: (strength, sign, fill) => shearX(0.3 * strength * sign, fill),
  shearY: (strength, sign, fill) => shearY(0.3 * strength * sign, fill),
  translateX: (strength, sign, fill) => translateX(0.45 * strength * sign, fill),
  translateY: (strength, sign, fill) => translateY(0.45 * strength * sign, fill),
} satisfies Record<string, Operation>

const all: readonly Operation[] = Object.values(operations)

/** A standard normal draw (Box & Muller 1958). */
const normal = (draws: Draws) =>
  Math.sqrt(-2 * Math.log(1 - draws.uniform())) * Math.cos(2 * Math.PI * draws.uniform())

/** Changes one image in place, by the draws of its address. `fill` [3] is what comes from outside of the image. */
export function randAugment(
  { pixels, width, height }: Raster,
  options: RandAugmentOptions,
  draws: Draws,
  fill: readonly number[],
): void {
  for (let i = 0; i < options.operations; i++) {
    const operation = all[draws.below(all.length)]!
    const isApplied = draws.uniform() < options.probability
    const magnitude = Math.min(10, Math.max(0, options.magnitude + options.deviation * normal(draws)))
    const sign = draws.uniform() < 0.5 ? -1 : 1
    if (isApplied) pixels.set(operation(magnitude / 10, sign, fill)({ pixels, width, height }))
  }
}
