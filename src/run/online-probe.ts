/** Evaluates the encoder during training: kNN and a linear probe on labelled images. */

import { openData } from '../config/assemble.ts'
import { backboneOf } from '../config/resolve.ts'
import type { EvaluateOptions } from '../evaluate/evaluate.ts'
import { findSplit, judge, openImages } from '../evaluate/evaluate.ts'
import { knnDefaults } from '../evaluate/knn.ts'
import { expectLabels, expectSameClasses } from '../evaluate/labelled-features.ts'
import { sweeps } from '../evaluate/linear-probe.ts'
import { type MachinePlan, precisionNames } from '../machine/plan.ts'
import { under } from '../model/parameters.ts'
import type { MetricRow } from '../objective/objective.ts'
import { type Pooling, poolings } from '../token/pool.ts'
import type { Model } from '../weights/load-model.ts'

/** A line of `metrics.jsonl`. Accuracies are shares of the test images. */
export interface ProbeMetric {
  readonly kind: 'probe'
  readonly step: number
  /** Top-1 of weighted kNN with k = 20. */
  readonly knn: Readonly<Record<Pooling, number>>
  /** Top-1 of the linear probe, at the best learning rate on held-out training images. */
  readonly linear: Readonly<Record<Pooling, number>>
  /** Top-1 of always predicting the commonest class. */
  readonly chance: number
  readonly effectiveRank: Readonly<Record<Pooling, number>>
  readonly seconds: number
  readonly time: string
}

/** Its numbers in a line. */
export const probeRows: readonly MetricRow[] = [
  ...(['knn', 'linear'] as const).flatMap((protocol) =>
    poolings.map((pooling) => ({
      ...{ name: `${protocol}.${pooling}`, kind: 'probe' as const, unit: '' },
      ...{ chance: 'chance', chanceOf: 'always naming the commonest class' },
    })),
  ),
  ...poolings.map((pooling) => ({ name: `effectiveRank.${pooling}`, kind: 'probe' as const, unit: '' })),
]

const NEIGHBOURS = 20
const EPOCHS = 30

/** Uses the current weights. */
export type OnlineProbe = (step: number) => Promise<ProbeMetric>

/**
 * Checks the images now, so that errors are reported before training. The returned function uses the weights at the time of the call.
 * Throws `SOURCE`.
 */
export async function openOnlineProbe(dir: string, model: Model, machine: MachinePlan): Promise<OnlineProbe> {
  const data = findSplit(dir)
  const train = await openData(model.config, data.train)
  expectLabels(train)
  if (data.test) expectSameClasses(train, await openData(model.config, data.test))
  const { config, statistics, device } = model
  const parameters = under(model.parameters, model.objective.encoder.prefix)
  const shape = backboneOf(config)
  const encoder = {
    ...{ config, parameters, statistics, device, machine },
    ...{ shape, dimensions: shape.dimensions, precision: machine.precision },
    ...{
      origin: { path: dir, step: null, precision: precisionNames[machine.precision] },
      only: null,
      bands: null,
      channels: null,
    },
    warnings: [],
  }
  const settings: EvaluateOptions['settings'] = {
    ...{ neighbours: [NEIGHBOURS], temperature: knnDefaults.temperature, shots: [] },
    ...{ optimizer: 'lars', baseLearningRates: sweeps.lars, epochs: EPOCHS, batchSize: 1024 },
  }
  return async (step) => {
    const started = performance.now()
    const images = await openImages({ encoder, data })
    const neighbours = [Math.min(NEIGHBOURS, images.trainRows.length)]
    const knn = judge(images, { protocol: 'knn', settings: { ...settings, neighbours }, seeds: [0] })
    const linear = judge(images, { protocol: 'linear', settings, seeds: [0] })
    const byPooling = (value: (pooling: Pooling) => number) =>
      Object.fromEntries(poolings.map((pooling) => [pooling, value(pooling)])) as Record<Pooling, number>
    const bestOf = ({ rows }: typeof linear, pooling: Pooling) =>
      rows
        .filter((row) => row.pooling === pooling)
        .reduce((best, row) => ((row.heldOut ?? -1) > (best.heldOut ?? -1) ? row : best)).top1.mean
    return {
      ...{ kind: 'probe', step, chance: knn.chance },
      knn: byPooling((pooling) => bestOf(knn, pooling)),
      linear: byPooling((pooling) => bestOf(linear, pooling)),
      effectiveRank: byPooling((pooling) => knn.spread[pooling].effectiveRank),
      seconds: (performance.now() - started) / 1000,
      time: new Date().toISOString(),
    }
  }
}
