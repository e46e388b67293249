/** Which model, and how long: from measurements to a plan. Pure, so that the choice can be tested. Where the numbers come from: docs/plan.md. */
import { type Cadence, type RunCost, secondsOfRun, stepsWithin } from '../run/run-cost.ts'

export interface Costed {
  readonly leastImages: number
  /** Images of a training step in a second. */
  readonly imagesPerSecond: number
  /** Peak of the process; null where it was not measured. */
  readonly memory: number | null
}

export interface Given {
  /** Different images. */
  readonly distinct: number
  /** Images of an epoch. */
  readonly images: number
  readonly seconds: number
  /** Bytes that a process may take. */
  readonly available: number
}

/** Passes over the data and images in all below which pretraining has hardly begun. */
export const FEWEST_EPOCHS = 100
const FEWEST_SEEN = 1_000_000
/** Passes beyond which published runs gain little. */
export const MOST_EPOCHS = 2000
/** Fewer different images than this are too few to begin from random weights with. */
export const FEW_IMAGES = 2000
/** Below it a run is not worth its name. */
export const FEWEST_STEPS = 100
/** Of the memory that is free; the rest is for caches and for other programs. */
const MEMORY_SHARE = 0.9

/** Images that a run should see; of few images no more than the passes that bring something. */
export const wantedSeen = (images: number): number =>
  Math.min(MOST_EPOCHS * images, Math.max(FEWEST_EPOCHS * images, FEWEST_SEEN))

export const fits = ({ memory }: Pick<Costed, 'memory'>, available: number): boolean =>
  memory === null || memory <= MEMORY_SHARE * available

export interface Choice {
  readonly chosen: number
  /** Why not a more capable one. */
  readonly limit: 'time' | 'images' | 'memory' | 'none'
  /** Whether even the chosen one sees fewer images than it should. */
  readonly isShort: boolean
}

/**
 * The most capable of `costed` (cheapest first) that fits into memory, is not too large for the data, and sees as many images as it should in
 * the time; where none does, the cheapest that fits. Null when none fits into memory.
 */
export function choose(
  costed: readonly Costed[],
  { distinct, images, seconds, available }: Given,
): Choice | null {
  const limitOf = (each: Costed): Choice['limit'] =>
    !fits(each, available)
      ? 'memory'
      : distinct < each.leastImages
        ? 'images'
        : each.imagesPerSecond * seconds < wantedSeen(images)
          ? 'time'
          : 'none'
  const limits = costed.map(limitOf)
  const best = limits.lastIndexOf('none')
  if (best >= 0) return { chosen: best, limit: limits[best + 1] ?? 'none', isShort: false }
  const first = costed.findIndex((each) => fits(each, available))
  return first < 0 ? null : { chosen: first, limit: limits[first]!, isShort: true }
}

/** Batches of published recipes: 4096 (He et al. 2021), and no smaller than a micro-batch. */
const LARGEST_BATCH = 4096
/** Updates that a run should have: with fewer, a smaller batch is better. */
const ENOUGH_STEPS = 5000

/** Micro-batches of a step: the largest power of two with which enough steps are taken, for a batch no larger than the data. */
export function accumulated(
  seen: number,
  { microBatch, images }: { microBatch: number; images: number },
): number {
  let parts = 1
  const isFine = (batch: number) => batch <= Math.min(LARGEST_BATCH, images) && seen / batch >= ENOUGH_STEPS
  while (isFine(2 * parts * microBatch)) parts *= 2
  return parts
}

export interface Length {
  readonly steps: number
  readonly epochs: number
  readonly seconds: number
}

/** Epochs as they are written in a command: three digits. */
export const roundedEpochs = (epochs: number): number =>
  epochs >= 100 ? Math.floor(epochs) : Math.floor(epochs * 10) / 10 || Math.floor(epochs * 1000) / 1000

interface Batches {
  readonly batch: number
  readonly images: number
}

/** What so many passes take. */
export function lengthOf(
  cost: RunCost,
  cadence: Cadence,
  { batch, images, epochs }: Batches & { epochs: number },
): Length {
  const steps = Math.max(1, Math.ceil((epochs * images) / batch))
  return { steps, epochs, seconds: secondsOfRun(cost, cadence, steps) }
}

/** How long to train for, in whole epochs or tenths, so that it ends within `seconds`; no longer than brings something. */
export function lengthWithin(
  cost: RunCost,
  cadence: Cadence,
  { batch, images, seconds }: Batches & { seconds: number },
): Length {
  const most = Math.ceil((MOST_EPOCHS * images) / batch)
  const steps = Math.min(stepsWithin(cost, cadence, seconds), most)
  return lengthOf(cost, cadence, { batch, images, epochs: roundedEpochs((steps * batch) / images) })
}
