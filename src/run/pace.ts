/** How fast a run is and how long it still takes: from the times of its steps and of what is done between them. */
import { effectiveBatch } from '../config/resolve.ts'
import type { Span } from '../train/span.ts'
import type { Between } from './events.ts'
import type { Run } from './run.ts'
import { cadenceOf, coldSteps, median, type RunCost, secondsLeft, typicalStep } from './run-cost.ts'

/** What is done between steps, by the name of its span. */
const between = { checkpoint: 'checkpoint', pictures: 'picture', probe: 'probe' } as const

/** Seconds of a process's steps and of what is done between them. */
export interface Pace {
  /** Times what is done between steps; `onBegin` is called before it. */
  readonly span: Span
  /** `waited`: the part of it that waited for data. */
  stepped(seconds: number, waited?: number): void
  /** Steps that were timed. */
  steps(): number
  /** Null before the first step. Zeros for what was not done yet. */
  cost(): Omit<RunCost, 'open'> | null
  /** Null before the first step. */
  left(step: number): number | null
  /** Null before the first step. */
  imagesPerSecond(): number | null
}

const WINDOW = 64 // steps: long enough for a median, short enough to follow a machine that becomes busy

type Paced = Pick<Run, 'config' | 'recipe' | 'span'>

/** Steps whose batches were decoded before the first one: the loader's pace does not show in them. */
export const stepsAhead = ({ data, train }: Run['config']): number =>
  Math.ceil((data.prefetchBatches + 1) / train.accumulate)

/** `known`: what was measured before the run. */
export function openPace(
  { config, recipe, span }: Paced,
  {
    known = {},
    onBegin = () => {},
  }: { readonly known?: Partial<RunCost>; readonly onBegin?: (what: Between) => void } = {},
): Pace {
  const cadence = cadenceOf(config)
  const ahead = stepsAhead(config)
  const beside = new Map<Between, { seconds: number; times: number }>()
  let first: number[] = []
  let recent: number[] = []
  let count = 0
  const mean = (what: Between) => {
    const measured = beside.get(what)
    return measured ? measured.seconds / measured.times : (known[what] ?? 0)
  }
  const cost = () =>
    count === 0
      ? null
      : {
          // The first ones are slower, wait for the first batches to be decoded, and then find some ready: they count only as long as nothing
          // else is known, without their wait.
          step: recent.length > 0 ? median(recent) : (known.step ?? typicalStep(first, ahead)),
          ...{ checkpoint: mean('checkpoint'), picture: mean('picture'), probe: mean('probe') },
          curve: known.curve ?? 0,
        }
  return {
    span: (name, body) => {
      const what = between[name as keyof typeof between]
      if (what === undefined) return span(name, body)
      onBegin(what)
      const started = performance.now()
      const finish = () => {
        const { seconds, times } = beside.get(what) ?? { seconds: 0, times: 0 }
        beside.set(what, { seconds: seconds + (performance.now() - started) / 1000, times: times + 1 })
      }
      const result = span(name, body)
      if (result instanceof Promise) return result.finally(finish) as typeof result
      finish()
      return result
    },
    stepped(seconds, waited = 0) {
      count++
      if (count <= coldSteps(ahead)) first = [...first, seconds - waited]
      else recent = [...recent.slice(1 - WINDOW), seconds]
    },
    steps: () => count,
    cost,
    left(step) {
      const now = cost()
      return now && secondsLeft(now, cadence, { from: step, to: recipe.totalSteps })
    },
    imagesPerSecond() {
      const now = cost()
      return now && effectiveBatch(config) / now.step
    },
  }
}
