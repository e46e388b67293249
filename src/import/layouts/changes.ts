/** How parameters of ours are made of another program's, and theirs of ours again: what stands in a row of names beside the names. */
import type { FloatArray } from '../../checkpoint/arrays.ts'
import { SherdError } from '../../errors.ts'
import type { Shape } from '../../tensor/tensor.ts'

export interface Change {
  /** Shapes of ours; null where theirs do not fit together. */
  readonly shapes: (theirs: readonly Shape[]) => readonly Shape[] | null
  readonly read: (theirs: readonly FloatArray[]) => readonly Float32Array[]
  /** Null: no file of this layout is written. */
  readonly write: ((ours: readonly FloatArray[]) => readonly FloatArray[]) | null
}

const total = (shares: readonly number[]) => shares.reduce((a, b) => a + b, 0)

/** The rows of all arrays, one behind the other, cut into shares. */
function cut(arrays: readonly FloatArray[], shares: readonly number[]): FloatArray[] {
  const whole = new Float32Array(total(arrays.map(({ data }) => data.length)))
  let at = 0
  for (const { data } of arrays) {
    whole.set(data, at)
    at += data.length
  }
  const rows = total(arrays.map(({ shape }) => shape[0]!))
  const [, ...rest] = arrays[0]!.shape
  const unit = [whole.length, rows].map((all) => all / total(shares)) as [number, number]
  let from = 0
  return shares.map((share) => {
    const start = from
    from += share * unit[0]
    return { shape: [share * unit[1], ...rest], data: whole.slice(start, from) }
  })
}

/** The same rows in the same order, divided among other parameters: `[q; k; v]` and three of them. */
export const stacked = (ours: readonly number[], theirs: readonly number[]): Change => ({
  shapes: (shapes) => {
    const [first = [], ...others] = shapes
    const unit = (first[0] ?? 0) / theirs[0]!
    const fits = (shape: Shape, part: number) =>
      shape[0] === unit * theirs[part]! && shape.slice(1).join() === first.slice(1).join()
    const isWhole = Number.isInteger((unit * total(theirs)) / total(ours))
    if (!isWhole || !others.every((shape, i) => fits(shape, i + 1))) return null
    return ours.map((share) => [(share * unit * total(theirs)) / total(ours), ...first.slice(1)])
  },
  read: (arrays) => cut(arrays, ours).map(({ data }) => data),
  write: (arrays) => cut(arrays, theirs),
})

/** Nothing but the name. */
export const renamed: Change = {
  shapes: (shapes) => shapes,
  read: (arrays) => arrays.map(({ data }) => data),
  write: (arrays) => arrays,
}

const one = (
  shape: (theirs: Shape) => Shape | null,
  read: (theirs: FloatArray) => Float32Array,
  write: (ours: FloatArray) => FloatArray,
): Change => ({
  shapes: ([theirs]) => {
    const ours = shape(theirs!)
    return ours && [ours]
  },
  read: ([theirs]) => [read(theirs!)],
  write: ([ours]) => [write(ours!)],
})

/** A token [D] there, [1, 1, D] here. */
export const bareToken = one(
  (shape) => (shape.length === 1 ? [1, 1, ...shape] : null),
  ({ data }) => data,
  ({ shape, data }) => ({ shape: shape.slice(2), data }),
)

const flipped = ({ shape: [rows, columns], data }: FloatArray): FloatArray => {
  const made = new Float32Array(data.length)
  for (let i = 0; i < rows!; i++)
    for (let j = 0; j < columns!; j++) made[j * rows! + i] = data[i * columns! + j]!
  return { shape: [columns!, rows!], data: made }
}

/** A matrix that is multiplied from the other side there. */
export const transposed = one(
  (shape) => (shape.length === 2 ? [shape[1]!, shape[0]!] : null),
  (theirs) => flipped(theirs).data,
  flipped,
)

const COLOURS = 3

/** A linear map of patches [D, h·w·C], channel last, there; a convolution [D, C, h, w] here. Patches are squares of three colours. */
export const asConvolution = one(
  ([width, inner, ...more]) => {
    const side = Math.sqrt((inner ?? 0) / COLOURS)
    return more.length === 0 && side >= 1 && Number.isInteger(side) ? [width!, COLOURS, side, side] : null
  },
  ({ shape: [width, inner], data }) => moved(data, width!, [inner! / COLOURS, COLOURS]),
  ({ shape: [width, channels, h, w], data }) => ({
    shape: [width!, channels! * h! * w!],
    data: moved(data, width!, [channels!, h! * w!]),
  }),
)

/** Each of `count` matrices transposed. */
function moved(data: Float32Array, count: number, [rows, columns]: readonly [number, number]): Float32Array {
  const made = new Float32Array(data.length)
  for (let n = 0; n < count; n++) {
    const at = n * rows * columns
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) made[at + j * rows + i] = data[at + i * columns + j]!
  }
  return made
}

/** Biases [q; k; v] and a mask that hides those of the keys (DINOv3): here those of queries and values. */
export const maskedBias: Change = {
  shapes: ([bias, mask]) => {
    const third = (bias![0] ?? 0) / 3
    return bias!.join() === mask!.join() && bias!.length === 1 && Number.isInteger(third)
      ? [[third], [third]]
      : null
  },
  read: ([bias, mask]) => {
    const seen = bias!.data.map((value, i) => (mask!.data[i] === 0 ? 0 : value * mask!.data[i]!)) // hidden ones may be NaN
    const third = seen.length / 3
    if (seen.subarray(third, 2 * third).some((value) => value !== 0))
      throw new SherdError('CHECKPOINT', 'its attn.qkv.bias_mask leaves keys a bias, which DINOv3 has not')
    return [seen.slice(0, third), seen.slice(2 * third)]
  },
  write: null,
}
