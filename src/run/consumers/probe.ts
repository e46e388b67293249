/** Looks at the encoder every `log.probeEverySteps` steps, and after the last of them. */
import type { RunEvent } from '../events.ts'
import { appendProbe } from '../journal.ts'
import type { OnlineProbe } from '../online-probe.ts'
import type { Run } from '../open.ts'
import { beside, type Consumer, isComplete } from './consumer.ts'

export function probeEncoder(run: Run, look: OnlineProbe): Consumer {
  const { paths, config, state, span } = run
  let probed = -1
  const probe = (): Promise<RunEvent> => {
    const { step } = state
    probed = step
    return beside(run, `The probe at step ${step}`, () =>
      span('probe', async () => {
        const metric = await look(step)
        appendProbe(paths.metrics, metric)
        return metric
      }),
    )
  }
  return {
    on: async ({ kind }) =>
      kind === 'step' && state.step % config.log.probeEverySteps === 0 ? [await probe()] : [],
    end: async () => (probed !== state.step && isComplete(run) ? [await probe()] : []),
  }
}
