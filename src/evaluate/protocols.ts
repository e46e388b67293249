/** The ways of judging frozen features, by name: a new one is one row. */
import type { Device } from '../tensor/tensor.ts'
import { type Pooling, poolings } from '../token/pool.ts'
import { knnVotes } from './knn.ts'
import { fewOf, type Labelled, type Shots, shotsName } from './labelled-features.ts'
import { type LinearMap, linearProbe, type probeOptimizers } from './linear-probe.ts'

/** Training and test images, as each pooling sees them. */
export type Split = Readonly<Record<Pooling, { readonly train: Labelled; readonly test: Labelled }>>

export interface ProtocolSettings {
  readonly classes: number
  readonly device: Device
  readonly neighbours: readonly number[]
  readonly temperature: number
  readonly optimizer: keyof typeof probeOptimizers
  readonly baseLearningRates: readonly number[]
  readonly epochs: number
  readonly batchSize: number
  /** How many images a class has in `fewshot`. */
  readonly shots: readonly Shots[]
}

/** One way of using a protocol, and what it says of the test images: class values [test images, classes]. */
export interface Outcome {
  /** Ways that compete with each other have one group; a protocol has a result for each. Such as `1 %`, or empty. */
  readonly group: string
  readonly pooling: Pooling
  /** Such as `k = 20`. */
  readonly setting: string
  readonly values: Float32Array | Float64Array
  /** Where it is one: the map of the features. */
  readonly map?: LinearMap
}

export interface Protocol {
  /** What it does, for reports. */
  readonly title: string
  /** Whether a seed changes anything. */
  readonly isRandom: boolean
  /** The settings that it reads. */
  readonly uses: readonly (keyof ProtocolSettings)[]
  /** Every way of using it, in an order that does not depend on the images. */
  readonly run: (split: Split, settings: ProtocolSettings, seed: number) => Outcome[]
}

function probed(split: Split, settings: ProtocolSettings, seed: number, group: string): Outcome[] {
  return poolings.flatMap((pooling) => {
    const { train, test } = split[pooling]
    const found = linearProbe(train, test, settings.classes, { ...settings, seed })
    return found.map((each, i) => ({
      ...{ group, pooling, ...each },
      setting: `base rate ${settings.baseLearningRates[i]}`,
    }))
  })
}

const probeSettings = ['optimizer', 'baseLearningRates', 'epochs', 'batchSize'] as const

export const protocols = {
  knn: {
    title: 'weighted vote of the nearest neighbours',
    isRandom: false,
    uses: ['neighbours', 'temperature'],
    run: (split, settings) =>
      poolings.flatMap((pooling) => {
        const { train, test } = split[pooling]
        const votes = knnVotes(train, test, settings.classes, settings)
        return [...votes].map(([k, values]) => ({ group: '', pooling, setting: `k = ${k}`, values }))
      }),
  },
  linear: {
    title: 'linear map on frozen features behind a batch norm without affine parameters',
    isRandom: true,
    uses: probeSettings,
    run: (split, settings, seed) => probed(split, settings, seed, ''),
  },
  fewshot: {
    title: 'the linear probe on a few images of each class, drawn anew for each seed',
    isRandom: true,
    uses: ['shots', ...probeSettings],
    run: (split, settings, seed) =>
      settings.shots.flatMap((shots) => {
        const few = (pooling: Pooling) => ({
          ...split[pooling],
          train: fewOf(split[pooling].train, settings.classes, { shots, seed }),
        })
        return probed({ cls: few('cls'), mean: few('mean') }, settings, seed, shotsName(shots))
      }),
  },
} satisfies Record<string, Protocol>

export type ProtocolName = keyof typeof protocols
