/** Looks at the encoder every `log.probeEverySteps` steps, early on, and after the last of them. */
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
  return {
    async on({ kind }) {
      if (kind !== 'step') return []
      const isFirst = isEarly(state.step) && probed < 0
      return isFirst || state.step % config.log.probeEverySteps === 0 ? [await probe()] : []
    },
    end: async () => (probed !== state.step && isComplete(run) ? [await probe()] : []),
  }
}
