/**
 * Which patches are hidden. A design is an order of all patches, from the one that is seen first to the one that is hidden first, so
 * that counts are exact and a higher ratio only hides more.
 */
import { draws } from '../../src/random/draws.ts'
import { type Grid, tokenCount } from '../../src/token/grid.ts'
import { bayerRank, type MaskKind, shapedOrder } from '../../src/token/mask-kinds.ts'
import { type MaskOrder, maskOrder } from '../../src/token/mask-order.ts'

const byRank = (tokens: number, rank: (patch: number) => number): number[] => {
  const ranks = Float64Array.from({ length: tokens }, (_, patch) => rank(patch))
  return Array.from(ranks.keys()).sort((a, b) => ranks[a]! - ranks[b]!) // stable: of equal ranks the lower number
}

/** Patches far from a point first: what is hidden is a square around it. */
function awayFrom(grid: Grid, row: number, column: number): number[] {
  return byRank(tokenCount(grid), (patch) => {
    const y = Math.abs(Math.floor(patch / grid.w) - row)
    const x = Math.abs((patch % grid.w) - column)
    return -Math.max(x, y) - (x + y) / 1e4 // squares; corners of a square before its sides
  })
}

/** A half is a chequerboard, a quarter every other patch of every other row. */
const dithered = (grid: Grid): number[] =>
  byRank(tokenCount(grid), (patch) => bayerRank(Math.floor(patch / grid.w), patch % grid.w, grid))

/** The order of the first image of `sherd reconstruct` with this seed. It is the same for every ratio. */
function random(grid: Grid, seed: number): number[] {
  const { kept, hidden } = maskOrder(tokenCount(grid), 0.5, { seed, epoch: 0, index: 0 })
  return [...kept, ...hidden]
}

function block(grid: Grid, seed: number): number[] {
  const { below } = draws({ seed, stream: 'playground/block', epoch: 0, index: 0 })
  return awayFrom(grid, below(grid.h), below(grid.w))
}

const CELL = 2 // patches

/** Cells of several patches in random order, as of `mask.kind=coarse`. */
function cells(grid: Grid, seed: number): number[] {
  const across = Math.ceil(grid.w / CELL)
  const { permutation } = draws({ seed, stream: 'playground/cells', epoch: 0, index: 0 })
  const order = permutation(across * Math.ceil(grid.h / CELL))
  return byRank(
    tokenCount(grid),
    (patch) => order[Math.floor(patch / grid.w / CELL) * across + Math.floor((patch % grid.w) / CELL)]!,
  )
}

/** The union of I-JEPA's blocks first, as of the first image of a run with this seed. It is the same for every ratio. */
function blocksOfOneSize(grid: Grid, seed: number): number[] {
  const { kept, hidden } = shapedOrder(grid, { kind: 'multi-block' }, 0.5, { seed, epoch: 0, index: 0 })
  return [...kept, ...hidden]
}

const fromBorder = (grid: Grid): number[] => awayFrom(grid, (grid.h - 1) / 2, (grid.w - 1) / 2)

interface Design {
  readonly label: string
  /** The value of mask.kind that it is like. */
  readonly kind?: MaskKind
  /** Whether another seed gives another mask. */
  readonly seeded: boolean
  /** Null: the patches that are painted decide. */
  readonly order: ((grid: Grid, seed: number) => readonly number[]) | null
}

export const designs = {
  random: { label: 'Random', kind: 'random', seeded: true, order: random },
  block: { label: 'A block', kind: 'block', seeded: true, order: block },
  'multi-block': { label: 'Even blocks', kind: 'multi-block', seeded: true, order: blocksOfOneSize },
  cells: { label: 'Coarse cells', kind: 'coarse', seeded: true, order: cells },
  grid: { label: 'A regular grid', kind: 'grid', seeded: false, order: dithered },
  centre: { label: 'The centre', kind: 'centre', seeded: false, order: fromBorder },
  periphery: {
    label: 'The border',
    kind: 'periphery',
    seeded: false,
    order: (grid) => fromBorder(grid).reverse(),
  },
  painted: { label: 'What I paint', seeded: false, order: null },
  unpainted: { label: 'What I leave', seeded: false, order: null },
} satisfies Record<string, Design>

export type DesignName = keyof typeof designs
export const designNames = Object.keys(designs) as DesignName[]
export const isPainted = (design: DesignName): boolean => designs[design].order === null

export interface MaskSettings {
  readonly design: DesignName
  /** Share of patches that a design hides, in [0, 1). */
  readonly ratio: number
  readonly seed: number
  /** Painted patches, ascending. Only painted designs read them. */
  readonly marks: readonly number[]
}

/** Kept and hidden patches; one of them may be empty. */
export function maskFor(grid: Grid, { design, ratio, seed, marks }: MaskSettings): MaskOrder {
  const tokens = tokenCount(grid)
  const { order } = designs[design] as Design
  if (!order) {
    const painted = new Set(marks)
    const [inside, outside] = [[] as number[], [] as number[]]
    for (let patch = 0; patch < tokens; patch++) (painted.has(patch) ? inside : outside).push(patch)
    return design === 'painted' ? { kept: outside, hidden: inside } : { kept: inside, hidden: outside }
  }
  const all = order(grid, seed)
  const kept = Math.max(1, Math.floor(tokens * (1 - ratio))) // as sherd counts, but never nothing
  return { kept: all.slice(0, kept), hidden: all.slice(kept) }
}

/** [N] 1 where a patch is hidden. */
export function hiddenFlags({ kept, hidden }: MaskOrder): Uint8Array {
  const flags = new Uint8Array(kept.length + hidden.length)
  for (const patch of hidden) flags[patch] = 1
  return flags
}
