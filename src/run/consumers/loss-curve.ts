/** `loss-curve.png`, drawn when the run ends. */
import { dimensionsOf } from '../../config/resolve.ts'
import { messageOf } from '../../errors.ts'
import { writeWhole } from '../../files/write-whole.ts'
import { patchWidth } from '../../model/dimensions.ts'
import { drawLossCurve } from '../../picture/loss-curve.ts'
import { meanPredictionLoss } from '../../target/pixels.ts'
import { readMetrics } from '../journal.ts'
import type { Run } from '../open.ts'
import type { Consumer } from './consumer.ts'

export function drawLosses({ paths, config, warning }: Run): Consumer {
  let lossCurve: string | null = null
  return {
    async end() {
      const points = readMetrics(paths.metrics)
      if (points.length === 0) return []
      try {
        const baseline = meanPredictionLoss(patchWidth(dimensionsOf(config)))
        const { png } = await drawLossCurve({ points, ...(config.target.normalize && { baseline }) })
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
