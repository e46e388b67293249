// The features of encoders with the options of published families, each against sums over their tokens in plain numbers.
import { describe, expect, it } from 'vitest'
import { backboneOf } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { openBackbone } from '../../src/model/backbone.ts'
import { normedRows } from '../../src/model/classifier.ts'
import { type EncoderNorm, featureOf, featureReader, usualFeatures } from '../../src/model/features.ts'
import { outputRows, ownOutput } from '../../src/model/own-output.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import type { FeatureName } from '../../src/token/feature.ts'
import { prefixLength } from '../../src/token/prefix.ts'
import { extractFeatures, type FrozenEncoder, tokensOf } from '../../src/weights/frozen-encoder.ts'
import { tinyConfig } from '../run/tiny.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'
import { stirredParameters } from './tiny-model.ts'

interface Row {
  readonly model: ConfigInput['model']
  readonly norm?: EncoderNorm
  /** Width of each feature but those of layers, which are as wide as tokens. */
  readonly widths: Readonly<Record<string, number>>
}

const whole = { cls: 32, mean: 32, 'cls+mean': 64, patches: 32 }
const rotaryPeriods = [1, 3, 10, 30]
const rows: Record<string, Row> = {
  MAE: { model: {}, widths: whole },
  'MAE, fine-tuned': { model: {}, norm: 'fc_norm', widths: { ...whole, pooled: 32 } },
  DINOv2: {
    model: { positions: 'learned', registers: 3, layerScale: 0.5, feedForward: 'swiglu' },
    widths: whole,
  },
  DINOv3: {
    model: { positions: 'none', rotaryPeriods, registers: 4, feedForward: 'gated', qkvBias: 'none' },
    widths: whole,
  },
  BEiT: {
    model: { positions: 'none', relativePositions: 'per-block', qkvBias: 'qv', layerScale: 0.1 },
    ...{ norm: 'fc_norm', widths: { ...whole, pooled: 32 } },
  },
  'I-JEPA': { model: { cls: false }, widths: { mean: 32, patches: 32 } },
  CLIP: {
    model: {
      positions: 'learned',
      preNorm: true,
      patchBias: false,
      activation: 'quick-gelu',
      projection: 12,
    },
    widths: { ...whole, pooled: 12 },
  },
  SigLIP: {
    model: { positions: 'learned', cls: false, activation: 'gelu-tanh', attentionPool: true },
    widths: { mean: 32, patches: 32, pooled: 32 },
  },
}

const B = 2
const [N, D, DEPTH] = [15, 32, 3]

function encoderOf({ model, norm = 'norm' }: Row): FrozenEncoder {
  const shape = backboneOf(tinyConfig({ model: { ...model, depth: DEPTH, imageSize: [12, 20] } }))
  const parameters = stirredParameters({
    rows: [...normedRows(shape, norm), ...outputRows(shape.dimensions)],
  })
  return {
    ...{ shape, dimensions: shape.dimensions, parameters, norm, statistics: imagenetStatistics },
    ...{ device: 'cpu', precision: 'float32' },
  }
}

const pixels = {
  pixels: Uint8Array.from(wave(B * 12 * 20 * 3), (x) => 127 + 120 * x),
  shape: [B, 12, 20, 3] as const,
}

/** [T][D] of each image. */
function lists(x: Tensor): number[][][] {
  const [, T] = x.shape as readonly [number, number, number]
  const all = numbers(x)
  return Array.from({ length: B }, (_, b) =>
    Array.from({ length: T }, (_, t) => all.slice((b * T + t) * D, (b * T + t + 1) * D)),
  )
}

const meanOf = (tokens: readonly (readonly number[])[]) =>
  Array.from({ length: D }, (_, d) => tokens.reduce((sum, token) => sum + token[d]!, 0) / tokens.length)

function normed(x: readonly number[], [weight, bias]: readonly number[][]): number[] {
  const mean = x.reduce((a, b) => a + b) / D
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / D
  return x.map((value, d) => ((value - mean) / Math.sqrt(variance + 1e-6)) * weight![d]! + bias![d]!)
}

describe.each(Object.entries(rows))('%s', (_, row) => {
  const encoder = encoderOf(row)
  const weights = weightsOf(encoder.parameters)
  const isNormed = encoder.norm === 'norm'
  const normBy = [`${encoder.norm}.weight`, `${encoder.norm}.bias`]
  const layers = { 'layer:0': D, 'layer:1': D, 'layer:2': D }

  it('has its features, as wide as they are, and no others', () => {
    for (const [name, width] of Object.entries({ ...row.widths, ...layers }))
      expect(featureOf(encoder, name as FeatureName)).toEqual({
        ...{ name, width, tokens: name === 'patches' ? N : 1 },
      })
    for (const name of ['cls', 'mean', 'cls+mean', 'pooled', 'patches', 'layer:3'] as const)
      if (!(name in row.widths))
        expect(() => featureOf(encoder, name)).toThrow(
          /^This encoder has no feature .*It has .*layer:0 … layer:2\.$/,
        )
    expect(featureOf(encoder, 'layer:-1').name).toBe('layer:2')
    const own = isNormed ? ['cls', 'mean', 'pooled'] : ['cls', 'mean']
    expect(usualFeatures(encoder)).toEqual(own.filter((name) => name in row.widths))
  })

  it('pools its tokens, registers never among them', () =>
    noGrad(() =>
      scope(() => {
        const names = [...Object.keys(row.widths), ...Object.keys(layers)] as FeatureName[]
        const { options, read } = featureReader(encoder, names)
        const encoded = tokensOf(encoder, options)(pixels)
        const P = prefixLength(encoded.prefix)
        const norm = normBy.map((name) => numbers(weights(name)))
        const tokens = lists(encoded.sequence)
        const means = tokens.map((each) => {
          const mean = meanOf(each.slice(P))
          return isNormed ? mean : normed(mean, norm)
        })
        const byHand: Record<string, number[]> = {
          cls: tokens.flatMap(([cls]) => cls!),
          mean: means.flat(),
          'cls+mean': tokens.flatMap(([cls], b) => [...cls!, ...means[b]!]),
          patches: tokens.flatMap((each) => each.slice(P).flat()),
        }
        for (const [i, tap] of encoded.taps.entries())
          byHand[`layer:${i}`] = lists(tap).flatMap((each) => {
            const patches = each.slice(P)
            return isNormed ? meanOf(patches.map((x) => normed(x, norm))) : normed(meanOf(patches), norm)
          })
        expectClose(byHand['layer:2']!, byHand.mean!, 2e-5) // the last block's is the encoder's own
        byHand.pooled = isNormed
          ? 'pooled' in row.widths
            ? numbers(ownOutput(encoded, weights, encoder.dimensions))
            : []
          : byHand.mean!
        const made = read(encoded, weights)
        for (const [i, name] of names.entries()) expectClose(made[i]!, byHand[name]!, 2e-5)

        const registers = row.model?.registers ?? 0
        if (registers === 0) return
        const values = numbers(encoded.sequence)
        for (const [t, image] of Array.from({ length: registers }, (_, t) => [t, 0] as const))
          values.fill(1e6, (image * (P + N) + P - 1 - t) * D, (image * (P + N) + P - t) * D)
        const other = read({ ...encoded, sequence: tensor(values, encoded.sequence.shape) }, weights)
        for (const [i, name] of names.entries()) expect(numbers(other[i]!), name).toEqual(numbers(made[i]!))
      }),
    ))
})

it('the projection of CLIP is that of the normed cls token', () =>
  noGrad(() =>
    scope(() => {
      const encoder = encoderOf(rows.CLIP!)
      const weights = weightsOf(encoder.parameters)
      const encoded = tokensOf(encoder)(pixels)
      const matrix = numbers(weights('projection.weight'))
      const [cls, pooled] = featureReader(encoder, ['cls', 'pooled']).read(encoded, weights)
      const byHand = lists(encoded.sequence).flatMap(([token]) =>
        Array.from({ length: 12 }, (_, e) => token!.reduce((sum, x, d) => sum + x * matrix[e * D + d]!, 0)),
      )
      expect(cls!.shape).toEqual([B, 32])
      expectClose(pooled!, byHand, 2e-5)
    }),
  ))

it('of an early block computes no later one', async () => {
  const encoder = encoderOf(rows.DINOv2!)
  const name = 'blocks.1.attn.qkv.weight'
  const { shape } = encoder.parameters.get(name)!
  const broken = {
    ...encoder,
    parameters: new Map(encoder.parameters).set(
      name,
      tensor(new Array(shape[0]! * shape[1]!).fill(Number.NaN), shape),
    ),
  }
  async function* images() {
    yield { ...pixels, indices: Int32Array.of(0, 1) }
  }
  const features = ['layer:0', 'layer:-3'] as const
  const { of } = await extractFeatures(broken, images(), { features })
  const own = await extractFeatures(encoder, images(), { features: ['cls', 'layer:0'] })
  expect([...of.keys()]).toEqual(['layer:0'])
  expectClose(of.get('layer:0')!.values, own.of.get('layer:0')!.values, 1e-6)
  await expect(extractFeatures(broken, images(), { features: ['mean'] })).rejects.toMatchObject({
    code: 'NON_FINITE',
  })
})

it('an output of its own needs its weights', () => {
  const { parameters, ...encoder } = encoderOf(rows.SigLIP!)
  const without = new Map([...parameters].filter(([name]) => !name.startsWith('attn_pool')))
  expect(() => featureOf({ ...encoder, parameters: without }, 'pooled')).toThrow(
    'This encoder has no feature pooled: its weights have no attn_pool.latent. It has mean, patches, layer:0 … layer:2.',
  )
  expect(openBackbone(encoder.shape, 'cpu').rows.some(({ name }) => name.startsWith('attn_pool'))).toBe(false)
})
