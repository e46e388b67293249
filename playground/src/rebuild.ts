/** From a prediction to a picture and its numbers, by the rules of docs/picture.md. */
import {
  type Masked,
  normalizedPatches,
  patchErrors,
  patchesToImage,
  patchQuality,
  rebuiltPatches,
  type StatisticsUsed,
} from '../../src/target/patch-statistics.ts'
import type { Quality } from '../../src/target/reconstruction-quality.ts'
import type { ModelFacts } from './model-facts.ts'

export interface Rebuilt extends Quality {
  readonly statistics: StatisticsUsed
  /** [C, H, W] in [0, 1], visible patches as they are. */
  readonly image: Float32Array
  /** [N] root mean square error of each hidden patch in levels of 255, as it is shown; NaN of visible ones. */
  readonly levels: Float32Array
  /** [N] mean squared error of each hidden patch in the target's space; NaN of visible ones. */
  readonly losses: Float32Array
  /** The mean of `losses`: what training minimises. */
  readonly loss: number
}

/** `statistics`: what is asked for; a model of raw pixels needs none. */
export function rebuild(
  bytes: Uint8Array,
  { prediction, hidden }: Pick<Masked, 'prediction' | 'hidden'>,
  facts: ModelFacts,
  asked: 'neighbours' | 'true',
): Rebuilt {
  const patches = normalizedPatches(bytes, facts, facts.statistics)
  const masked = { patches, prediction, hidden, grid: facts.grid }
  const statistics = facts.normalizeTarget ? asked : 'raw'
  const whole = rebuiltPatches(masked, statistics)
  const losses = patchErrors(masked, facts.normalizeTarget)
  const counted = losses.filter((loss) => !Number.isNaN(loss))
  return {
    statistics,
    image: patchesToImage(whole, facts, facts.statistics),
    levels: shownErrors(patches, whole, hidden, facts),
    losses,
    loss: counted.reduce((sum, loss) => sum + loss, 0) / counted.length,
    ...patchQuality(patches, whole, hidden, facts.statistics),
  }
}

/** Values are clipped to [0, 1], as they are shown. */
function shownErrors(
  truth: Float32Array,
  rebuilt: Float32Array,
  hidden: ArrayLike<number>,
  { channels, statistics: { mean, std } }: ModelFacts,
): Float32Array {
  const width = truth.length / hidden.length
  const unit = (x: number, c: number) => Math.min(1, Math.max(0, x * std[c]! + mean[c]!))
  return Float32Array.from({ length: hidden.length }, (_, n) => {
    if (hidden[n] !== 1) return Number.NaN
    let sum = 0
    for (let i = 0; i < width; i++) {
      const at = n * width + i
      sum += (unit(truth[at]!, i % channels) - unit(rebuilt[at]!, i % channels)) ** 2
    }
    return 255 * Math.sqrt(sum / width)
  })
}
