/**
 * Learned positions of one grid for another. Computed positions are not resampled but computed again. Programs differ in how they
 * resample: on random tables by half of the table's own spread, so weights need the convention that they were trained with.
 */
import { SherdError } from '../errors.ts'
import { withoutAutocast } from '../tensor/context.ts'
import { cat, matmul, narrow, reshape, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { geometricWeights } from './geometric-offsets.ts'
import { type Grid, tokenCount } from './grid.ts'

export interface Resampling {
  /**
   * The kernel: a polynomial of the distance for each unit of it, constant first, which is 0 where it ends. So many numbers at each side
   * of the source point count, before stretching.
   */
  readonly kernel: readonly (readonly number[])[]
  /** Added to the number of new places where the scale is computed, as DINO does against rounding. */
  readonly offset: number
  /** Whether the kernel is stretched when a side gets shorter, and weights sum to 1 instead of repeating the edge. */
  readonly antialias: boolean
}

/** Keys 1981. */
const cubic = (a: number) => [
  [1, 0, -(a + 3), a + 2],
  [-4 * a, 8 * a, -5 * a, a],
]
const linear = [[1, -1]]

function kernelAt(kernel: Resampling['kernel'], distance: number): number {
  const x = Math.abs(distance)
  return (kernel[Math.floor(x)] ?? []).reduceRight((sum, factor) => sum * x + factor, 0)
}

/** The conventions by name, and who uses them. */
export const resamplings = {
  /** transformers: ViT, ViTMAE, DINOv2, CLIP, SigLIP */
  cubic: { kernel: cubic(-0.75), offset: 0, antialias: false },
  /** The authors of DINO, iBOT, and DINOv2 without registers. */
  'cubic-offset': { kernel: cubic(-0.75), offset: 0.1, antialias: false },
  /** timm, open_clip, and DINOv2 with registers. */
  'cubic-antialias': { kernel: cubic(-0.5), offset: 0, antialias: true },
  /** transformers: SigLIP2 */
  'linear-antialias': { kernel: linear, offset: 0, antialias: true },
  /** transformers: BEiT's tables of relative positions. */
  linear: { kernel: linear, offset: 0, antialias: false },
} as const satisfies Record<string, Resampling>

export type ResamplingName = keyof typeof resamplings
export const resamplingNames = Object.keys(resamplings) as ResamplingName[]

/** Of tables of relative positions: by transformers, and by timm. */
export const offsetResamplingNames = ['linear', 'geometric'] as const
export type OffsetResamplingName = (typeof offsetResamplingNames)[number]

const weightsBy = (from: number, to: number, by: ResamplingName | OffsetResamplingName) =>
  by === 'geometric' ? geometricWeights(from, to) : sideWeights(from, to, resamplings[by])

/** How much of each old place along a side is in each new one: [to, from], row by row. */
export function sideWeights(
  from: number,
  to: number,
  { kernel, offset, antialias }: Resampling,
): Float64Array {
  const reach = kernel.length
  const weights = new Float64Array(to * from)
  const scale = from / (to + offset)
  for (let i = 0; i < to; i++) {
    const row = weights.subarray(i * from, (i + 1) * from)
    const centre = (i + 0.5) * scale - 0.5
    if (antialias) {
      const stretch = Math.max(scale, 1)
      const [first, end] = [-reach, reach].map((side) => Math.floor(centre + side * stretch + 1)) as [
        number,
        number,
      ]
      for (let j = Math.max(0, first); j < Math.min(from, end); j++)
        row[j] = kernelAt(kernel, (j - centre) / stretch)
      const sum = row.reduce((a, b) => a + b, 0)
      for (const [j, weight] of row.entries()) row[j] = weight / sum
      continue
    }
    for (let j = Math.floor(centre) - reach + 1; j <= Math.floor(centre) + reach; j++)
      row[Math.min(from - 1, Math.max(0, j))]! += kernelAt(kernel, centre - j)
  }
  return weights
}

export interface GridChange<Name = ResamplingName | OffsetResamplingName> {
  readonly from: Grid
  readonly to: Grid
  readonly by: Name
}

const isSame = ({ from, to }: Pick<GridChange, 'from' | 'to'>) => from.h === to.h && from.w === to.w

/**
 * The table [prefix + N, D] of grid `from` as one of grid `to`, in float32 and with a gradient. Rows before the grid's are of tokens that
 * have no place, and stay as they are.
 */
export function resamplePositions(table: Tensor, change: GridChange): Tensor {
  const { from, to, by } = change
  if (isSame(change)) return table
  const [rows, D] = expectShape(table, ['rows', 'D'], 'resamplePositions: table')
  const prefix = rows - tokenCount(from)
  if (prefix < 0)
    throw new SherdError(
      'SHAPE',
      `resamplePositions: a table of ${rows} rows has no grid of ${from.h} × ${from.w} places`,
    )
  const weights = (a: number, b: number) =>
    toDevice(tensor(Float32Array.from(weightsBy(a, b, by)), [b, a]), table.device)
  // A product with bfloat16 weights would move every position.
  return withoutAutocast(table.device, () =>
    scope(() => {
      const whole = toDtype(table, 'float32')
      const places = reshape(narrow(whole, 0, prefix, rows - prefix), [from.h, from.w * D])
      const ofRows = reshape(matmul(weights(from.h, to.h), places), [to.h, from.w, D])
      const made = reshape(matmul(weights(from.w, to.w), ofRows), [to.h * to.w, D])
      return prefix === 0 ? made : cat([narrow(whole, 0, 0, prefix), made], 0)
    }),
  )
}

/** The same of numbers [N, width] without LibTorch. */
export function resampleNumbers(table: Float32Array, width: number, change: GridChange): Float32Array {
  const { from, to, by } = change
  if (isSame(change)) return table
  const rows = weightsBy(from.h, to.h, by)
  const columns = weightsBy(from.w, to.w, by)
  const result = new Float32Array(tokenCount(to) * width)
  for (let i = 0; i < to.h; i++)
    for (let j = 0; j < to.w; j++)
      for (let k = 0; k < width; k++) {
        let sum = 0
        for (let r = 0; r < from.h; r++)
          if (rows[i * from.h + r] !== 0)
            for (let c = 0; c < from.w; c++)
              sum += rows[i * from.h + r]! * columns[j * from.w + c]! * table[(r * from.w + c) * width + k]!
        result[(i * to.w + j) * width + k] = sum
      }
  return result
}
