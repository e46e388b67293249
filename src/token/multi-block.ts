/**
 * Blocks to predict and blocks to predict them from (I-JEPA, Assran et al. 2023, section 3), as plain numbers. The sizes of blocks are those of a
 * step, their places those of a sample; the context is what its blocks do not share with any target. All contexts of a step have as many
 * patches, and every list is in row-major order.
 */
import { SherdError } from '../errors.ts'
import { type Draws, draws } from '../random/draws.ts'
import { type Grid, tokenCount } from './grid.ts'
import type { SampleAddresses } from './mask.ts'

type Range = readonly [least: number, most: number]

export interface MultiBlockShape {
  /** P, blocks to predict. */
  readonly targets: number
  /** Share of the grid of each, and rows by columns. */
  readonly targetScale: Range
  readonly targetAspect: Range
  /** E, blocks that are seen, each by itself. */
  readonly contexts: number
  readonly contextScale: Range
  readonly contextAspect: Range
  /** Patches that each context keeps, at least. */
  readonly minKeep: number
  /**
   * `ijepa`: as in the released code, whose scale and aspect ratio are one random number, and whose last row and column are never a block's own
   * place.
   */
  readonly compat?: 'ijepa' | null
}

export interface Sides {
  readonly rows: number
  readonly columns: number
}

export interface MultiBlockSizes {
  readonly target: Sides
  readonly context: Sides
}

/** Of one sample: patches of each block, in row-major order. */
export interface Blocks {
  readonly targets: readonly Int32Array[]
  readonly contexts: readonly Int32Array[]
}

const TRIES = 20 // of places that leave the context large enough

const area = ({ rows, columns }: Sides) => rows * columns
const between = ([least, most]: Range, share: number) => least + share * (most - least)

/** A block is smaller than the grid in both directions. */
function sidesOf(grid: Grid, scale: number, aspect: number): Sides {
  const patches = Math.floor(tokenCount(grid) * scale)
  const side = (along: number, most: number) => Math.max(1, Math.min(Math.round(along), most - 1))
  return {
    rows: side(Math.sqrt(patches * aspect), grid.h),
    columns: side(Math.sqrt(patches / aspect), grid.w),
  }
}

export function multiBlockSizes(grid: Grid, shape: MultiBlockShape, draw: Draws): MultiBlockSizes {
  const drawn = (scale: Range, aspect: Range) => {
    const first = draw.uniform()
    return sidesOf(
      grid,
      between(scale, first),
      between(aspect, shape.compat === 'ijepa' ? first : draw.uniform()),
    )
  }
  return {
    target: drawn(shape.targetScale, shape.targetAspect),
    context: drawn(shape.contextScale, shape.contextAspect),
  }
}

/** What every context keeps at least when all targets lie on one place. */
const surelyKept = ({ target, context }: MultiBlockSizes) => area(context) - area(target)

/** Throws `VALUE` for a grid and shape in which a context may keep fewer patches than it should. */
export function checkMultiBlocks(grid: Grid, shape: MultiBlockShape): void {
  const { targetScale, targetAspect, contextScale, contextAspect, minKeep } = shape
  if (Math.min(grid.h, grid.w) < 2)
    throw new SherdError(
      'VALUE',
      `Blocks of a grid of ${grid.h} × ${grid.w} patches: expected two rows and columns`,
    )
  const most = Math.max(...targetAspect.map((aspect) => area(sidesOf(grid, targetScale[1], aspect))))
  const least = Math.min(...contextAspect.map((aspect) => area(sidesOf(grid, contextScale[0], aspect))))
  if (least - most < minKeep)
    throw new SherdError(
      'VALUE',
      `In ${grid.h} × ${grid.w} patches the smallest context block has ${least}, and the largest target block ${most}: ${least - most} are left, and at least ${minKeep} should be`,
    )
}

function placed(grid: Grid, { rows, columns }: Sides, compat: MultiBlockShape['compat'], draw: Draws) {
  const places = compat === 'ijepa' ? 0 : 1
  const [top, left] = [draw.below(grid.h - rows + places), draw.below(grid.w - columns + places)]
  return Int32Array.from(
    { length: rows * columns },
    (_, i) => (top + Math.floor(i / columns)) * grid.w + left + (i % columns),
  )
}

/**
 * Blocks of one sample, whose contexts keep `least` patches or more: places are drawn again where they do not, and after many of them the targets
 * all lie on one.
 */
export function multiBlockOf(
  grid: Grid,
  shape: MultiBlockShape,
  { sizes, least = shape.minKeep }: { readonly sizes: MultiBlockSizes; readonly least?: number },
  draw: Draws,
): Blocks {
  for (let attempt = 0; ; attempt++) {
    const drawn = Array.from({ length: shape.targets }, () => placed(grid, sizes.target, shape.compat, draw))
    const targets = attempt < TRIES ? drawn : drawn.map(() => drawn[0]!)
    const isTarget = new Uint8Array(tokenCount(grid))
    for (const target of targets) for (const n of target) isTarget[n] = 1
    const contexts = Array.from({ length: shape.contexts }, () =>
      placed(grid, sizes.context, shape.compat, draw).filter((n) => isTarget[n] === 0),
    )
    if (attempt >= TRIES || contexts.every(({ length }) => length >= least)) return { targets, contexts }
  }
}

/** The address of a step. */
export interface StepAddress {
  readonly seed: number
  readonly step: number
  /** Samples of the step, over all micro-batches and ranks. */
  readonly rows: number
}

/** Sizes of the blocks of a step, and K, the patches of every context. */
export interface StepBlocks {
  readonly sizes: MultiBlockSizes
  readonly kept: number
}

/**
 * The released code cuts all contexts to the shortest of the batch. A micro-batch does not know the others, so K is the shortest of as many
 * samples as the step has, drawn for this alone; the samples of the step are then drawn until they have K patches or more.
 */
export function blocksOfStep(
  grid: Grid,
  shape: MultiBlockShape,
  { seed, step, rows }: StepAddress,
): StepBlocks {
  const drawAt = (stream: string, index: number) => draws({ seed, stream, epoch: step, index })
  const sizes = multiBlockSizes(grid, shape, drawAt('mask/multi-block/sizes', 0))
  let kept = Math.max(surelyKept(sizes), 1)
  for (let row = 0; row < rows && kept > shape.minKeep; row++)
    for (const { length } of multiBlockOf(grid, shape, { sizes }, drawAt('mask/multi-block/cut', row))
      .contexts)
      kept = Math.min(kept, length)
  return { sizes, kept }
}

/** Of some samples of a step: [P][B] and [E][B], each list of its own length for all. */
export function multiBlocks(
  grid: Grid,
  shape: MultiBlockShape,
  { sizes, kept }: StepBlocks,
  { seed, samples: { epochs, indices } }: { readonly seed: number; readonly samples: SampleAddresses },
): {
  readonly targets: readonly (readonly Int32Array[])[]
  readonly contexts: readonly (readonly Int32Array[])[]
} {
  const each = Array.from(indices, (index, b) =>
    multiBlockOf(
      grid,
      shape,
      { sizes, least: kept },
      draws({ seed, stream: 'mask/multi-block', epoch: epochs[b]!, index }),
    ),
  )
  const numbers = (n: number) => Array.from({ length: n }, (_, i) => i)
  return {
    targets: numbers(shape.targets).map((p) => each.map(({ targets }) => targets[p]!)),
    contexts: numbers(shape.contexts).map((e) => each.map(({ contexts }) => contexts[e]!.slice(0, kept))),
  }
}
