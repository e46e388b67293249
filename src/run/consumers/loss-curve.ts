/** `loss-curve.png`, with the probes: drawn early on, from time to time during the run, and when it ends. */
import { messageOf } from '../../errors.ts'
import { writeWhole } from '../../files/write-whole.ts'
import { drawLossCurve } from '../../picture/loss-curve.ts'
import type { RunEvent } from '../events.ts'
import { readMetrics, readProbes } from '../journal.ts'
import { type LossSeries, openLossSeries } from '../loss-series.ts'
import type { ProbeMetric } from '../online-probe.ts'
import type { Run } from '../run.ts'
import { betweenCurves } from '../run-cost.ts'
import type { Consumer } from './consumer.ts'

export interface LossCurveOptions {
  /** Of the run; the probe adds to them before it is drawn. */
  readonly probes?: ProbeMetric[]
  readonly isEarly?: (step: number) => boolean
  /** Milliseconds that only grow. */
  readonly now?: () => number
}

function seriesOf(path: string): LossSeries {
  const series = openLossSeries()
  for (const metric of readMetrics(path)) series.add(metric)
  return series
}

/** The better one of the kinds of features. */
const pointOf = ({ step, knn, linear, chance }: ProbeMetric) => ({
  ...{ step, chance },
  ...{ knn: Math.max(...Object.values(knn)), linear: Math.max(...Object.values(linear)) },
})

export function drawLosses(
  run: Pick<Run, 'paths' | 'metrics' | 'config' | 'warning'>,
  { probes = [], isEarly = () => false, now = () => performance.now() }: LossCurveOptions = {},
): Consumer {
  const { paths, metrics, config } = run
  const { chance, chanceOf } = metrics.find(({ name }) => name === 'loss')!
  const baseline = typeof chance === 'number' ? { baseline: chance, baselineOf: chanceOf } : {}
  let lossCurve: string | null = null
  let series = seriesOf(paths.metrics)
  let next = now() + 1000 * betweenCurves(0)
  let shown = probes.length
  const draw = async (): Promise<readonly RunEvent[]> => {
    const points = series.points()
    if (points.length === 0) return []
    const started = now()
    shown = probes.length
    try {
      const drawn = { points, count: series.count(), probes: probes.map(pointOf), ...baseline }
      writeWhole(paths.lossCurve, (await drawLossCurve(drawn)).png)
      lossCurve = paths.lossCurve
      return []
    } catch (error) {
      return [run.warning(`The loss curve failed: ${messageOf(error)}`)]
    } finally {
      next = now() + 1000 * betweenCurves((now() - started) / 1000)
    }
  }
  return {
    on(event) {
      if (event.kind === 'rollback') {
        series = seriesOf(paths.metrics)
        probes.splice(0, probes.length, ...readProbes(paths.metrics))
      }
      if (event.kind !== 'step') return []
      if (event.step % config.log.everySteps === 0) series.add(event)
      return isEarly(event.step) || probes.length !== shown || now() >= next ? draw() : []
    },
    end: draw,
    summary: () => ({ lossCurve, firstLoss: series.first() }),
  }
}
