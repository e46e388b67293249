/** Warns when a metric is out of its bounds for long enough; once, and again only after it was back for as long. */
import { valueIn } from '../../train/metrics.ts'
import type { Run } from '../run.ts'
import type { Consumer } from './consumer.ts'

export function raiseAlarms({ metrics, warning }: Pick<Run, 'metrics' | 'warning'>): Consumer {
  const watched = metrics.flatMap(({ name, unit, alarm }) =>
    alarm ? [{ name, unit, alarm, isRaised: false, steps: 0 }] : [],
  )
  return {
    on(event) {
      if (event.kind === 'rollback') for (const each of watched) each.steps = 0
      if (event.kind !== 'step') return []
      return watched.flatMap((each) => {
        const { name, unit, alarm } = each
        const { below = Number.NEGATIVE_INFINITY, above = Number.POSITIVE_INFINITY } = alarm
        const value = valueIn(event, name)
        if (value === undefined) return []
        const isOut = !(value >= below && value <= above) || !Number.isFinite(value)
        each.steps = isOut === each.isRaised ? 0 : each.steps + 1
        if (each.steps < alarm.forSteps) return []
        each.isRaised = isOut
        each.steps = 0
        const bound = value < below ? `below ${below}` : value > above ? `above ${above}` : 'not finite'
        const shown = `${name.replace(/^(parts|metrics)\./, '')} is ${value}${unit && ` ${unit}`}`
        return isOut
          ? [warning(`Step ${event.step}: ${shown}, ${bound} for ${alarm.forSteps} steps. ${alarm.text}`)]
          : []
      })
    },
  }
}
