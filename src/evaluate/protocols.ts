/** The table of protocols on frozen features: a new one is one row. */
import type { Breath } from '../files/pieces.ts'
import type { Device } from '../tensor/tensor.ts'
import type { VectorFeature } from '../token/feature.ts'
import { knnVotes } from './knn.ts'
import { fewOf, type Labelled, type Shots, shotsName } from './labelled-features.ts'
import { type LinearMap, linearProbe, type probeOptimizers } from './linear-probe.ts'

interface Sets {
  readonly train: Labelled
  readonly test: Labelled
}

/** Training and test vectors by feature. */
export type Split = ReadonlyMap<VectorFeature, Sets>

export interface ProtocolSettings {
  readonly classes: number
  readonly device: Device
  readonly neighbours: readonly number[]
  readonly temperature: number
  readonly optimizer: keyof typeof probeOptimizers
  readonly baseLearningRates: readonly number[]
  readonly epochs: number
  readonly batchSize: number
  /** Of `fewshot`. */
  readonly shots: readonly Shots[]
}

/** A value of a sweep. */
export interface Swept {
  readonly name: keyof typeof sweptSettings
  readonly value: number
}

/** What is swept, and by which option. */
export const sweptSettings = {
  'base rate': { option: '--rates', factors: [3, 10], least: 0 },
  k: { option: '--neighbours', factors: [2, 4], least: 1 },
} as const

/** The result of one setting. */
export interface Outcome {
  /** Such as `k = 20`. */
  readonly setting: string
  /** The setting as a place in a sweep. */
  readonly swept: Swept
  /** [test images, classes] */
  readonly values: Float32Array | Float64Array
  /** If the protocol trains a linear layer. */
  readonly map?: LinearMap
}

/** What is computed in one go: every setting on one feature. */
export interface Fit {
  /** Settings compete within a group, and each group has a result. Such as `1 %`, or empty. */
  readonly group: string
  readonly pooling: VectorFeature
  readonly run: (sets: Sets, seed: number, breath?: Breath) => Promise<Outcome[]>
}

export interface Protocol {
  /** For reports. */
  readonly title: string
  /** Whether the result depends on the seed. */
  readonly isRandom: boolean
  /** The settings that it reads. */
  readonly uses: readonly (keyof ProtocolSettings)[]
  /** In an order that does not depend on the images. */
  readonly fits: (features: readonly VectorFeature[], settings: ProtocolSettings) => Fit[]
}

const probing =
  (settings: ProtocolSettings, trainOf: (train: Labelled, seed: number) => Labelled): Fit['run'] =>
  async ({ train, test }, seed, breath) => {
    const options = { ...settings, seed }
    const found = await linearProbe(trainOf(train, seed), test, settings.classes, options, breath)
    return found.map((each, i) => {
      const value = settings.baseLearningRates[i]!
      return { ...each, setting: `base rate ${value}`, swept: { name: 'base rate', value } as const }
    })
  }

const probeSettings = ['optimizer', 'baseLearningRates', 'epochs', 'batchSize'] as const

export const protocols = {
  knn: {
    title: 'weighted vote of the nearest neighbours',
    isRandom: false,
    uses: ['neighbours', 'temperature'],
    fits: (features, settings) => {
      const run: Fit['run'] = async ({ train, test }, _, breath) => {
        // Small sets: those numbers of neighbours that there are.
        const feasible = settings.neighbours.filter((k) => k <= train.count)
        const neighbours = feasible.length > 0 ? feasible : settings.neighbours
        const votes = await knnVotes(train, test, settings.classes, { ...settings, neighbours }, breath)
        return [...votes].map(([k, values]) => ({
          ...{ setting: `k = ${k}`, values, swept: { name: 'k', value: k } as const },
        }))
      }
      return features.map((pooling) => ({ group: '', pooling, run }))
    },
  },
  linear: {
    title: 'linear map on frozen features behind a batch norm without affine parameters',
    isRandom: true,
    uses: probeSettings,
    fits: (features, settings) =>
      features.map((pooling) => ({ group: '', pooling, run: probing(settings, (train) => train) })),
  },
  fewshot: {
    title: 'the linear probe on a few images of each class, redrawn for each seed',
    isRandom: true,
    uses: ['shots', ...probeSettings],
    fits: (features, settings) =>
      settings.shots.flatMap((shots) => {
        const few = (train: Labelled, seed: number) => fewOf(train, settings.classes, { shots, seed })
        return features.map((pooling) => ({
          ...{ group: shotsName(shots), pooling, run: probing(settings, few) },
        }))
      }),
  },
} satisfies Record<string, Protocol>

export type ProtocolName = keyof typeof protocols
