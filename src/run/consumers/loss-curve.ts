/** `loss-curve.png`, drawn when the run ends. */
import { messageOf } from '../../errors.ts'
import { writeWhole } from '../../files/write-whole.ts'
import { drawLossCurve } from '../../picture/loss-curve.ts'
import { readMetrics } from '../journal.ts'
import type { Run } from '../open.ts'
import type { Consumer } from './consumer.ts'

export function drawLosses({ paths, metrics, warning }: Run): Consumer {
  let lossCurve: string | null = null
  return {
    async end() {
      const points = readMetrics(paths.metrics)
      if (points.length === 0) return []
      try {
        const { chance, chanceOf } = metrics.find(({ name }) => name === 'loss')!
        const baseline = typeof chance === 'number' ? { baseline: chance, baselineOf: chanceOf } : {}
        const { png } = await drawLossCurve({ points, ...baseline })
        writeWhole(paths.lossCurve, png)
        lossCurve = paths.lossCurve
        return []
      } catch (error) {
        return [warning(`The loss curve failed: ${messageOf(error)}`)]
      }
    },
    summary: () => ({ lossCurve }),
  }
}
