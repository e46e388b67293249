/**
 * Looks at the encoder every `log.probeEverySteps` steps, early on, and after the last of them; one that was given (`--init`) also before the
 * first, and warns where it falls below that.
 */
import type { RunEvent } from '../events.ts'
import { appendProbe } from '../journal.ts'
import type { OnlineProbe, ProbeMetric } from '../online-probe.ts'
import type { Run } from '../run.ts'
import { beside, type Consumer, isComplete } from './consumer.ts'

export interface ProbeOptions {
  /** Gets what is measured. */
  readonly probes: ProbeMetric[]
  readonly isEarly: (step: number) => boolean
}

/** Of kNN accuracy: two points. */
const MOST_LOST = 0.02

/** How much the feature that was best at step 0 has lost since; 0 where nothing is known of step 0. */
export function lostSince(first: ProbeMetric | undefined, { knn }: Pick<ProbeMetric, 'knn'>): number {
  const [best] = Object.entries(first?.knn ?? {}).sort(([, a], [, b]) => b - a)
  return best ? best[1] - (knn[best[0]] ?? best[1]) : 0
}

// Shares of images are fractions that binary numbers do not have.
const isLost = (loss: number) => loss >= MOST_LOST - 1e-9

/** Once, and again only after it was back. */
function warningOf(run: Run, probes: readonly ProbeMetric[]): RunEvent[] {
  const first = run.facts.init === undefined ? undefined : probes.find(({ step }) => step === 0)
  const [before, now] = [probes.at(-2), probes.at(-1)]
  if (!now || !isLost(lostSince(first, now)) || (before && isLost(lostSince(first, before)))) return []
  const points = (100 * lostSince(first, now)).toFixed(1)
  return [
    run.warning(
      `Step ${now.step}: kNN of the encoder is ${points} points below that of ${run.facts.init} at step 0: what it could do is being lost. A lower optim.baseLearningRate, a larger optim.freezeEncoderSteps, --lora-rank or fewer steps keep more of it.`,
    ),
  ]
}

export function probeEncoder(run: Run, look: OnlineProbe, { probes, isEarly }: ProbeOptions): Consumer {
  const { paths, config, state, span } = run
  let probed = -1
  const probe = (): Promise<RunEvent> => {
    const { step } = state
    probed = step
    return beside(run, `The probe at step ${step}`, () =>
      span('probe', async () => {
        const metric = await look(step)
        appendProbe(paths.metrics, metric)
        probes.push(metric)
        return metric
      }),
    )
  }
  const judged = async (): Promise<RunEvent[]> => {
    const count = probes.length
    const event = await probe()
    return probes.length > count ? [event, ...warningOf(run, probes)] : [event]
  }
  return {
    begin: async () =>
      run.facts.init !== undefined && state.step === 0 && probes.length === 0 ? [await probe()] : [],
    async on({ kind }) {
      if (kind !== 'step') return []
      const isFirst = isEarly(state.step) && probed <= 0
      return isFirst || state.step % config.log.probeEverySteps === 0 ? judged() : []
    },
    end: async () => (probed !== state.step && isComplete(run) ? judged() : []),
  }
}
