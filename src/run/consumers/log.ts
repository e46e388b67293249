/** `metrics.jsonl`: a line every `log.everySteps` steps; after a rollback without the lines of the steps that are taken again. */
import { appendMetric, readMetrics, rewindMetrics } from '../journal.ts'
import type { Run } from '../run.ts'
import type { Consumer } from './consumer.ts'

export function logMetrics({ paths, config }: Run): Consumer {
  let loss: number | null = null
  return {
    on(event) {
      if (event.kind === 'rollback') rewindMetrics(paths.metrics, event.to)
      if (event.kind !== 'step') return []
      loss = event.loss
      return event.step % config.log.everySteps === 0
        ? [{ kind: 'step', ...appendMetric(paths.metrics, event) }]
        : []
    },
    summary: () => ({ loss: loss ?? readMetrics(paths.metrics).at(-1)?.loss ?? null }),
  }
}
