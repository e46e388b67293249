/** The table of protocols on frozen features: a new one is one row. */
import type { Device } from '../tensor/tensor.ts'
import type { VectorFeature } from '../token/feature.ts'
import { knnVotes } from './knn.ts'
import { fewOf, type Labelled, type Shots, shotsName } from './labelled-features.ts'
import { type LinearMap, linearProbe, type probeOptimizers } from './linear-probe.ts'

/** Training and test vectors by feature. */
export type Split = ReadonlyMap<VectorFeature, { readonly train: Labelled; readonly test: Labelled }>

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

/** The result of one setting of a protocol: values [test images, classes]. */
export interface Outcome {
  /** Settings compete within a group, and each group has a result. Such as `1 %`, or empty. */
  readonly group: string
  readonly pooling: VectorFeature
  /** Such as `k = 20`. */
  readonly setting: string
  /** The setting as a place in a sweep. */
  readonly swept: Swept
  readonly values: Float32Array | Float64Array
  /** If the protocol trains a linear layer. */
  readonly map?: LinearMap
}

export interface Protocol {
  /** For reports. */
  readonly title: string
  /** Whether the result depends on the seed. */
  readonly isRandom: boolean
  /** The settings that it reads. */
  readonly uses: readonly (keyof ProtocolSettings)[]
  /** Runs every setting, in an order that does not depend on the images. */
  readonly run: (split: Split, settings: ProtocolSettings, seed: number) => Outcome[]
}

function probed(split: Split, settings: ProtocolSettings, seed: number, group: string): Outcome[] {
  return [...split].flatMap(([pooling, { train, test }]) => {
    const found = linearProbe(train, test, settings.classes, { ...settings, seed })
    return found.map((each, i) => {
      const value = settings.baseLearningRates[i]!
      const swept = { name: 'base rate', value } as const
      return { group, pooling, ...each, setting: `base rate ${value}`, swept }
    })
  })
}

const probeSettings = ['optimizer', 'baseLearningRates', 'epochs', 'batchSize'] as const

export const protocols = {
  knn: {
    title: 'weighted vote of the nearest neighbours',
    isRandom: false,
    uses: ['neighbours', 'temperature'],
    run: (split, settings) =>
      [...split].flatMap(([pooling, { train, test }]) => {
        // Small sets: those numbers of neighbours that there are.
        const feasible = settings.neighbours.filter((k) => k <= train.count)
        const neighbours = feasible.length > 0 ? feasible : settings.neighbours
        const votes = knnVotes(train, test, settings.classes, { ...settings, neighbours })
        return [...votes].map(([k, values]) => ({
          ...{ group: '', pooling, setting: `k = ${k}`, values },
          swept: { name: 'k', value: k } as const,
        }))
      }),
  },
  linear: {
    title: 'linear map on frozen features behind a batch norm without affine parameters',
    isRandom: true,
    uses: probeSettings,
    run: (split, settings, seed) => probed(split, settings, seed, ''),
  },
  fewshot: {
    title: 'the linear probe on a few images of each class, redrawn for each seed',
    isRandom: true,
    uses: ['shots', ...probeSettings],
    run: (split, settings, seed) =>
      settings.shots.flatMap((shots) => {
        const few = [...split].map(
          ([pooling, { train, test }]) =>
            [pooling, { train: fewOf(train, settings.classes, { shots, seed }), test }] as const,
        )
        return probed(new Map(few), settings, seed, shotsName(shots))
      }),
  },
} satisfies Record<string, Protocol>

export type ProtocolName = keyof typeof protocols
