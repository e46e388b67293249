/**
 * The table of mask kinds (`mask.kind`), as plain numbers, without a tensor. A kind gives every place of the grid a level. Places of low levels
 * are seen, and equal levels are parted by the random noise of the sample: so every kind hides an exact count in any grid.
 */
import { SherdError } from '../errors.ts'
import { type Address, type Draws, draws } from '../random/draws.ts'
import { blocks } from './block-mask.ts'
import { type Grid, type PatchSize, tokenCount } from './grid.ts'
import type { SampleAddresses } from './mask.ts'
import { keptCount, type MaskOrder, orderOf } from './mask-order.ts'
import { type MultiBlockShape, multiBlockOf, multiBlockSizes } from './multi-block.ts'

/** What kinds read. */
export interface MaskShape {
  readonly kind: MaskKind
  /** Rows and columns of patches of a cell, of `coarse`. */
  readonly cell?: PatchSize
  /** Patches of the smallest block, of `block`; by default a fifth of those hidden. */
  readonly minBlock?: number | null
  /** Blocks of `multi-block`. */
  readonly blocks?: number
}

/** Of `multi-block`; by default those of I-JEPA. */
export const usualBlocks: MultiBlockShape = {
  ...{ targets: 4, targetScale: [0.15, 0.2], targetAspect: [0.75, 1.5] },
  ...{ contexts: 1, contextScale: [0.85, 1], contextAspect: [1, 1], minKeep: 0 },
}

interface Given extends Omit<MaskShape, 'kind'> {
  readonly grid: Grid
  /** Patches to hide. */
  readonly hidden: number
}

/** Levels [L] of one sample, whole numbers. */
type Levels = (draw: Draws) => ArrayLike<number>

interface MaskKindRow {
  /** For model cards, after "75 % of the patches hidden". */
  readonly inWords: string
  /** Null: noise alone decides. */
  readonly levels: ((given: Given) => Levels) | null
}

/** The same levels for every sample, in the order of a number of each place. */
const fixed =
  (numberAt: (row: number, column: number, grid: Grid) => number) =>
  ({ grid }: Given): Levels => {
    const numbers = Array.from({ length: tokenCount(grid) }, (_, n) =>
      numberAt(Math.floor(n / grid.w), n % grid.w, grid),
    )
    const ascending = [...new Set(numbers)].sort((a, b) => a - b)
    const levelOf = new Map(ascending.map((number, level) => [number, level]))
    const all = numbers.map((number) => levelOf.get(number)!)
    return () => all
  }

/** Distance from the centre of the grid: equal on the sides of a rectangle of the grid's own shape. */
const fromCentre = (row: number, column: number, { h, w }: Grid): number =>
  Math.max(Math.abs(2 * row - (h - 1)) * w, Math.abs(2 * column - (w - 1)) * h)

/**
 * Bayer's order (1973): a half of it is a chequerboard, a quarter every other patch of every other row, a sixteenth every fourth; the lowest
 * bits of row and column decide first. Shares between are spread evenly.
 */
export function bayerRank(row: number, column: number, { h, w }: Grid): number {
  let rank = 0 // up to 4^16 in a grid of one row
  for (let bit = 0; 1 << bit < Math.max(h, w); bit++)
    rank = 4 * rank + 2 * (((column ^ row) >> bit) & 1) + ((row >> bit) & 1)
  return rank
}

/**
 * The union of the blocks that I-JEPA predicts is hidden first; their size is drawn for each sample. A count beyond it is made up of other
 * patches, and one below it leaves some of the union seen.
 */
const inBlocks =
  ({ grid, blocks = usualBlocks.targets }: Given): Levels =>
  (draw) => {
    const shape = { ...usualBlocks, targets: blocks }
    const { targets } = multiBlockOf(grid, shape, { sizes: multiBlockSizes(grid, shape, draw) }, draw)
    const level = new Uint8Array(tokenCount(grid))
    for (const target of targets) for (const n of target) level[n] = 1
    return level
  }

/** Cells in random order, each hidden as a whole, and the last one as far as the count goes. */
function inCells({ grid, cell = [1, 1] }: Given): Levels {
  const across = Math.ceil(grid.w / cell[1])
  const cells = across * Math.ceil(grid.h / cell[0])
  if (cells < 2)
    throw new SherdError(
      'VALUE',
      `mask.cell covers all ${grid.h} × ${grid.w} patches: at least two cells are needed, take a smaller one`,
    )
  const cellOf = Int32Array.from(
    { length: tokenCount(grid) },
    (_, n) => Math.floor(n / grid.w / cell[0]) * across + Math.floor((n % grid.w) / cell[1]),
  )
  return (draw) => {
    const order = draw.permutation(cells)
    return cellOf.map((number) => order[number]!)
  }
}

/** The first is the default. */
export const maskKinds = {
  random: { inWords: '', levels: null },
  block: {
    inWords: ' in blocks',
    levels:
      ({ grid, hidden, minBlock }) =>
      (draw) =>
        blocks(grid, hidden, minBlock ?? Math.max(1, Math.round(hidden / 5)), draw),
  },
  grid: { inWords: ' on a regular grid', levels: fixed(bayerRank) },
  coarse: { inWords: ' in cells', levels: inCells },
  'multi-block': { inWords: ' in blocks of one size', levels: inBlocks },
  centre: { inWords: ' in the centre', levels: fixed((...place) => -fromCentre(...place)) },
  periphery: { inWords: ' around the centre', levels: fixed(fromCentre) },
} as const satisfies Record<string, MaskKindRow>

export type MaskKind = keyof typeof maskKinds
export const maskKindNames = Object.keys(maskKinds) as [MaskKind, ...MaskKind[]]

/** Whether the kind hides an exact share of every mask that is drawn; `random` may draw one for all groups and frames together. */
export const isShaped = ({ kind }: MaskShape): boolean => maskKinds[kind].levels !== null

/**
 * Makes noise in [0, 1) [B, masks · L] that of a kind, in place: the lowest ⌊L · (1 − ratio)⌋ of each mask are seen. The draws of sample b are
 * those of (seed, `mask/KIND`, epoch b, index b), mask after mask.
 */
export function addLevels(
  noise: Float32Array,
  { kind, ...shape }: MaskShape,
  { grid, ratio, seed, samples }: { grid: Grid; ratio: number; seed: number; samples: SampleAddresses },
): void {
  const L = tokenCount(grid)
  const row: MaskKindRow = maskKinds[kind]
  const levels = row.levels?.({ ...shape, grid, hidden: L - keptCount(L, ratio) })
  if (!levels) return
  const { epochs, indices } = samples
  const own = noise.length / indices.length
  for (let b = 0; b < indices.length; b++) {
    const draw = draws({ seed, stream: `mask/${kind}`, epoch: epochs[b]!, index: indices[b]! })
    for (let start = b * own; start < (b + 1) * own; start += L) {
      const level = levels(draw)
      // Halved, so that float32 rounds none up to the next level.
      for (let n = 0; n < L; n++) noise[start + n] = level[n]! + noise[start + n]! / 2
    }
  }
}

/** The mask of one image, where a sample is one frame of one group: the row of an objective's plan that belongs to the address. */
export function shapedOrder(
  grid: Grid,
  shape: MaskShape,
  ratio: number,
  { seed, epoch, index }: Omit<Address, 'stream'>,
): MaskOrder {
  const noise = draws({ seed, epoch, index, stream: 'mask' }).fill(new Float32Array(tokenCount(grid)))
  addLevels(noise, shape, { grid, ratio, seed, samples: { epochs: [epoch], indices: [index] } })
  return orderOf(noise, ratio)
}
