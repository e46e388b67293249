/**
 * The logged losses of a run in bounded memory, for a curve that is drawn while it goes on. Pools of neighbouring values keep their lowest,
 * their highest and their middle, so that extremes are seen and a median over the kept points is that of all; short series are kept whole.
 */
import type { LossPoint } from '../picture/loss-curve.ts'

/** Of one or more neighbouring values. */
interface Pool {
  readonly low: LossPoint
  readonly high: LossPoint
  readonly middle: LossPoint
  readonly last: LossPoint
}

export interface LossSeries {
  add(point: LossPoint): void
  /** By ascending step. */
  points(): LossPoint[]
  /** How many values were added. */
  count(): number
  /** The loss that was added first. */
  first(): number | null
}

const poolOf = (points: readonly LossPoint[]): Pool => {
  const sorted = [...points].sort((a, b) => a.loss - b.loss)
  return {
    ...{ low: sorted[0]!, high: sorted.at(-1)!, last: points.at(-1)! },
    middle: sorted[sorted.length >> 1]!,
  }
}

function merged(a: Pool, b: Pool): Pool {
  const middle = (a.middle.loss + b.middle.loss) / 2
  return {
    low: a.low.loss <= b.low.loss ? a.low : b.low,
    high: a.high.loss >= b.high.loss ? a.high : b.high,
    middle: { ...a.last, loss: middle },
    last: b.last,
  }
}

/** `most`: pools, an even number. */
export function openLossSeries(most = 8192): LossSeries {
  let pools: Pool[] = []
  let size = 1 // values in a pool
  let open: LossPoint[] = []
  let count = 0
  let first: number | null = null
  return {
    add({ step, loss, learningRate }) {
      if (!Number.isFinite(loss)) return
      count++
      first ??= loss
      open.push({ step, loss, ...(learningRate !== undefined && { learningRate }) })
      if (open.length < size) return
      pools.push(poolOf(open))
      open = []
      if (pools.length < most) return
      pools = Array.from({ length: most / 2 }, (_, i) => merged(pools[2 * i]!, pools[2 * i + 1]!))
      size *= 2
    },
    points() {
      const all = [...pools, ...(open.length > 0 ? [poolOf(open)] : [])]
      return all.flatMap(({ low, high, middle }) =>
        size === 1 ? [low] : [low, high, middle].sort((a, b) => a.step - b.step),
      )
    },
    count: () => count,
    first: () => first,
  }
}
