/** Counters in the trace, and at the end where the time of a step goes. */
import { liveTensors } from '../../tensor/scope.ts'
import type { Trace } from '../trace.ts'
import type { Consumer } from './consumer.ts'

export const traceSteps = (trace: Trace): Consumer => ({
  on(event) {
    if (event.kind === 'step')
      trace.counters(() => ({
        loss: event.loss,
        'images/s': event.imagesPerSecond,
        'live tensors': liveTensors(),
        'resident MB': process.memoryUsage.rss() / 1e6,
      }))
    return []
  },
  end: () => [{ kind: 'profile', ...trace.profile() }],
})
