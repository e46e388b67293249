/**
 * What `reconstruct` does with a prediction, for one image and in plain numbers: for servers and browsers, where no LibTorch is.
 * Patches are in row-major order, in a patch row, column, channel. Photographs only: one frame, one group of bands.
 */
import { SherdError } from '../errors.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { type Grid, type PatchSize, patchArea } from '../token/grid.ts'
import type { Quality } from './reconstruction-quality.ts'
import { guessFromNeighbours } from './visible-neighbours.ts'

/**
 * Where mean and deviation of hidden patches come from. `raw`: the model predicts pixels and needs none. `neighbours`: the
 * nearest visible patches. `true`: the hidden patches themselves, which leaks the answer.
 */
export type StatisticsUsed = 'raw' | 'neighbours' | 'true'

/** Throws `VALUE` for statistics that the target does not have. */
export function checkStatistics(wanted: readonly StatisticsUsed[], normalizeTarget: boolean): void {
  const wrong = wanted.find((statistics) => (statistics === 'raw') === normalizeTarget)
  if (wrong === undefined) return
  throw new SherdError(
    'VALUE',
    normalizeTarget
      ? 'reconstruct: a model of normalised targets predicts no raw pixels; ask for "neighbours" or "true" statistics'
      : `reconstruct: a model of raw pixels needs no "${wrong}" statistics; ask for "raw"`,
  )
}

export interface PatchShape {
  readonly grid: Grid
  readonly patchSize: PatchSize
  readonly channels: number
}

/** P·P·C */
const patchWidth = ({ patchSize, channels }: PatchShape) => patchArea(patchSize) * channels

/** Where in an image [H, W, C] each value of its patches [N, P·P·C] lies. */
function patchPlaces(shape: PatchShape): Uint32Array {
  const { grid, channels: C } = shape
  const [P, Q] = shape.patchSize
  const line = grid.w * Q * C
  const places = new Uint32Array(grid.h * grid.w * patchWidth(shape))
  let at = 0
  for (let row = 0; row < grid.h; row++)
    for (let column = 0; column < grid.w; column++)
      for (let y = 0; y < P; y++) {
        const from = (row * P + y) * line + column * Q * C
        for (let x = 0; x < Q * C; x++) places[at++] = from + x
      }
  return places
}

/** Bytes [H, W, C] as patches [N, P·P·C] of what the model sees: (x / 255 − mean) / std. */
export function normalizedPatches(
  bytes: ArrayLike<number>,
  shape: PatchShape,
  { mean, std }: ChannelStatistics,
): Float32Array {
  const { channels } = shape
  return Float32Array.from(patchPlaces(shape), (place) => {
    const channel = place % channels
    return (bytes[place]! / 255 - mean[channel]!) / std[channel]!
  })
}

/** Patches in the model's units as an image [C, H, W] in [0, 1]. */
export function patchesToImage(
  patches: ArrayLike<number>,
  shape: PatchShape,
  { mean, std }: ChannelStatistics,
): Float32Array {
  const { channels } = shape
  const image = new Float32Array(patches.length)
  const area = patches.length / channels
  for (const [i, place] of patchPlaces(shape).entries()) {
    const channel = place % channels
    image[channel * area + Math.floor(place / channels)] = patches[i]! * std[channel]! + mean[channel]!
  }
  return image
}

/** Both [N]. */
export interface PatchMoments {
  readonly mean: Float32Array
  readonly deviation: Float32Array
}

const epsilon = 1e-6 // as of the pixel target

/** By what the target normalises patches [N, width]: their own mean, and the root of their unbiased variance. */
export function patchMoments(patches: Float32Array, count: number): PatchMoments {
  const width = patches.length / count
  const mean = new Float32Array(count)
  const deviation = new Float32Array(count)
  for (let n = 0; n < count; n++) {
    const own = patches.subarray(n * width, (n + 1) * width)
    const average = own.reduce((sum, x) => sum + x, 0) / width
    const squares = own.reduce((sum, x) => sum + (x - average) ** 2, 0)
    mean[n] = average
    deviation[n] = Math.sqrt(squares / (width - 1) + epsilon)
  }
  return { mean, deviation }
}

/** The moments with those of hidden patches (1 in `hidden` [N]) guessed from visible ones. */
export function guessedMoments(
  { mean, deviation }: PatchMoments,
  hidden: ArrayLike<number>,
  grid: Grid,
): PatchMoments {
  const known = { grid, frames: 1, visible: Array.from(hidden, (h) => 1 - h) }
  const guess = (values: Float32Array, otherwise: number) => {
    const guessed = values.slice()
    guessFromNeighbours(guessed, known, otherwise)
    return guessed
  }
  return { mean: guess(mean, 0), deviation: guess(deviation, 1) }
}

export interface Masked {
  /** [N, P·P·C] in the model's units. */
  readonly patches: Float32Array
  /** [N, P·P·C] as the model gives it; visible patches are not read. */
  readonly prediction: Float32Array
  /** [N] 1 where a patch is hidden. */
  readonly hidden: ArrayLike<number>
  readonly grid: Grid
}

/** [N, P·P·C]: visible patches as they are, hidden ones as predicted, with mean and deviation from `statistics`. */
export function rebuiltPatches(
  { patches, prediction, hidden, grid }: Masked,
  statistics: StatisticsUsed,
): Float32Array {
  const count = hidden.length
  const width = patches.length / count
  const own = statistics === 'raw' ? null : patchMoments(patches, count)
  const used = own && statistics === 'neighbours' ? guessedMoments(own, hidden, grid) : own
  return patches.map((truth, i) => {
    const n = Math.floor(i / width)
    if (hidden[n] !== 1) return truth
    return used ? prediction[i]! * used.deviation[n]! + used.mean[n]! : prediction[i]!
  })
}

/**
 * [N] the mean squared error of each hidden patch in the target's own space, whose mean is the loss that training minimises; NaN of
 * visible ones.
 */
export function patchErrors({ patches, prediction, hidden }: Masked, normalizeTarget: boolean): Float32Array {
  const count = hidden.length
  const width = patches.length / count
  const { mean, deviation } = patchMoments(patches, count)
  return Float32Array.from({ length: count }, (_, n) => {
    if (hidden[n] !== 1) return Number.NaN
    let sum = 0
    for (let i = n * width; i < (n + 1) * width; i++) {
      const target = normalizeTarget ? (patches[i]! - mean[n]!) / deviation[n]! : patches[i]!
      sum += (prediction[i]! - target) ** 2
    }
    return sum / width
  })
}

// K1 = 0.01 and K2 = 0.03 of Wang et al. 2004, for a dynamic range of 1, as in reconstruction-quality.ts.
const C1 = 0.01 ** 2
const C2 = 0.03 ** 2

/** PSNR and SSIM on hidden patches, of values clipped to [0, 1]: `hiddenQuality` for one image. Both [N, P·P·C] in the model's units. */
export function patchQuality(
  truth: Float32Array,
  rebuilt: Float32Array,
  hidden: ArrayLike<number>,
  { mean, std }: ChannelStatistics,
): Quality {
  const [N, C] = [hidden.length, mean.length]
  const width = truth.length / N
  const area = width / C
  const unit = (x: number, c: number) => Math.min(1, Math.max(0, x * std[c]! + mean[c]!))
  let [squares, similarity, windows] = [0, 0, 0]
  for (let n = 0; n < N; n++) {
    if (hidden[n] !== 1) continue
    for (let c = 0; c < C; c++) {
      let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0]
      for (let i = n * width + c; i < (n + 1) * width; i += C) {
        const [x, y] = [unit(truth[i]!, c), unit(rebuilt[i]!, c)]
        squares += (x - y) ** 2
        a += x / area
        b += y / area
        aa += (x * x) / area
        bb += (y * y) / area
        ab += (x * y) / area
      }
      const [variances, covariance] = [aa - a * a + (bb - b * b), ab - a * b]
      similarity += ((2 * a * b + C1) * (2 * covariance + C2)) / ((a * a + b * b + C1) * (variances + C2))
      windows++
    }
  }
  return { psnr: -10 * Math.log10(squares / (windows * area)), ssim: similarity / windows }
}
