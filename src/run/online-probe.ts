/** Evaluates the encoder during training: kNN and a linear probe on labelled images. */

import { openData } from '../config/assemble.ts'
import { backboneOf } from '../config/resolve.ts'
import { type EvaluateOptions, judge } from '../evaluate/evaluate.ts'
import { findSplit } from '../evaluate/evaluation-data.ts'
import { knnDefaults } from '../evaluate/knn.ts'
import { expectLabels, expectSameClasses } from '../evaluate/labelled-features.ts'
import { sweeps } from '../evaluate/linear-probe.ts'
import { openImages } from '../evaluate/open-images.ts'
import { type MachinePlan, precisionNames } from '../machine/plan.ts'
import { type Parameters, under } from '../model/parameters.ts'
import type { MetricRow } from '../objective/objective.ts'
import type { VectorFeature } from '../token/feature.ts'
import type { Model } from '../weights/load-model.ts'
import { withWhole } from '../weights/merge-adapters.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { competingFeatures } from '../weights/own-feature.ts'

/** A line of `metrics.jsonl`. Accuracies are shares of the test images. */
export interface ProbeMetric {
  readonly kind: 'probe'
  readonly step: number
  /** Top-1 of weighted kNN with k = 20, by feature. */
  readonly knn: Readonly<Record<string, number>>
  /** Top-1 of the linear probe, at the best learning rate on held-out training images. */
  readonly linear: Readonly<Record<string, number>>
  /** Top-1 of always predicting the commonest class. */
  readonly chance: number
  readonly effectiveRank: Readonly<Record<string, number>>
  readonly seconds: number
  readonly time: string
}

const probeRows = (features: readonly VectorFeature[]): readonly MetricRow[] => [
  ...(['knn', 'linear'] as const).flatMap((protocol) =>
    features.map((name) => ({
      ...{ name: `${protocol}.${name}`, kind: 'probe' as const, unit: '' },
      ...{ chance: 'chance', chanceOf: 'always naming the commonest class' },
    })),
  ),
  ...features.map((name) => ({ name: `effectiveRank.${name}`, kind: 'probe' as const, unit: '' })),
]

const NEIGHBOURS = 20
const EPOCHS = 30

/** Uses the current weights. */
export type OnlineProbe = (step: number) => Promise<ProbeMetric>

export interface OpenedProbe {
  readonly look: OnlineProbe
  /** Its numbers in a line. */
  readonly metrics: readonly MetricRow[]
}

/** What an objective trains: the encoder's own output is no part of it. */
const probed = (encoder: OpenedEncoder): VectorFeature[] =>
  competingFeatures(encoder).filter((name) => name !== 'pooled')

/**
 * Checks the images now, so that errors are reported before training. `look` uses the weights at the time of the call.
 * Throws `SOURCE`.
 */
export async function openOnlineProbe(dir: string, model: Model, machine: MachinePlan): Promise<OpenedProbe> {
  const data = findSplit(dir)
  const train = await openData(model.config, data.train)
  expectLabels(train)
  if (data.test) expectSameClasses(train, await openData(model.config, data.test))
  const { config, statistics, device } = model
  const parameters = under(model.parameters, model.objective.encoder.prefix)
  const shape = backboneOf(config)
  const encoderOf = (parameters: Parameters): OpenedEncoder => ({
    ...{ config, parameters, statistics, device, machine },
    ...{ shape, dimensions: shape.dimensions, precision: machine.precision },
    ...{
      origin: { path: dir, step: null, precision: precisionNames[machine.precision] },
      only: null,
      bands: null,
      channels: null,
    },
    warnings: [],
  })
  const settings: EvaluateOptions['settings'] = {
    ...{ neighbours: [NEIGHBOURS], temperature: knnDefaults.temperature, shots: [] },
    ...{ optimizer: 'lars', baseLearningRates: sweeps.lars, epochs: EPOCHS, batchSize: 1024 },
  }
  const features = probed(encoderOf(parameters))
  const look: OnlineProbe = async (step) => {
    const started = performance.now()
    const images = await withWhole(parameters, config.adapt, (whole) =>
      openImages({ encoder: encoderOf(whole), data, features }),
    )
    const neighbours = [Math.min(NEIGHBOURS, images.trainRows.length)]
    const knn = await judge(images, { protocol: 'knn', settings: { ...settings, neighbours }, seeds: [0] })
    const linear = await judge(images, { protocol: 'linear', settings, seeds: [0] })
    const byFeature = (value: (name: VectorFeature) => number) =>
      Object.fromEntries(features.map((name) => [name, value(name)]))
    const bestOf = ({ rows }: typeof linear, name: VectorFeature) =>
      rows
        .filter((row) => row.pooling === name)
        .reduce((best, row) => ((row.heldOut ?? -1) > (best.heldOut ?? -1) ? row : best)).top1.mean
    return {
      ...{ kind: 'probe', step, chance: knn.chance },
      knn: byFeature((name) => bestOf(knn, name)),
      linear: byFeature((name) => bestOf(linear, name)),
      effectiveRank: byFeature((name) => knn.spread[name]!.effectiveRank),
      seconds: (performance.now() - started) / 1000,
      time: new Date().toISOString(),
    }
  }
  return { look, metrics: probeRows(features) }
}
