import { describe, expect, it } from 'vitest'
import { configKeys, describeKeys } from '../../src/config/keys.ts'
import { decodedConfig, masksOf, resolveConfig, targetKeysOf } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'

// He et al. 2021, appendix A.1, tables 8 and 9: what a user gets who sets nothing.
describe('the defaults', () => {
  const config = resolveConfig({})

  it('are the recipe of the paper', () => {
    expect(config.optim).toEqual({
      optimizer: 'adamw',
      baseLearningRate: 1.5e-4,
      minLearningRate: 0,
      warmupFraction: 40 / 800,
      warmupSteps: null,
      freezeEncoderSteps: null,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.05,
      finalWeightDecay: null,
      clipGradientNorm: null,
      clipBy: 'all',
    })
    expect(masksOf(config)?.ratio).toBe(0.75)
    expect(targetKeysOf(config)).toMatchObject({ kind: 'pixels', normalize: true })
    expect(config.train.epochs).toBe(800)
    expect(config.data).toMatchObject({ scale: [0.2, 1], ratio: [3 / 4, 4 / 3], flip: true, crop: 'random' })
  })

  it('are ViT-Base/16 at 224 pixels with a decoder of eight blocks of 512', () => {
    expect(config.model).toMatchObject({
      size: 'base',
      imageSize: [224, 224],
      patchSize: 16,
      channels: 3,
      width: 768,
      depth: 12,
      heads: 12,
      mlpRatio: 4,
      layerNormEpsilon: 1e-6,
    })
    expect(decodedConfig(config).decoder).toEqual({ kind: 'transformer', width: 512, depth: 8, heads: 16 })
  })

  it.each([
    ['adam', { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 }],
    ['lars', { momentum: 0.9, trustCoefficient: 1e-3 }],
    ['sgd', { momentum: 0.9 }],
  ] as const)('of %s are its own', (optimizer, own) => {
    const { optim } = resolveConfig({ optim: { optimizer } })
    const {
      beta1: _1,
      beta2: _2,
      epsilon: _3,
      ...common
    } = resolveConfig({}).optim as Record<string, unknown>
    expect(optim).toEqual({ ...common, optimizer, ...own })
  })

  it('skip at most one file in a hundred and log every step', () => {
    expect(config.data.maxSkippedShare).toBe(0.01)
    expect(config.log.everySteps).toBe(1)
  })
})

describe('the schema', () => {
  it('describes the keys that the commands are documented with', () => {
    for (const key of [
      'mask.ratio',
      'train.batchSize',
      'train.accumulate',
      'optim.baseLearningRate',
      'checkpoint.everySteps',
      'log.everySteps',
    ])
      expect(configKeys()).toContain(key)
  })

  it('gives every key a default or derives it from others', () => {
    const derived = describeKeys().filter(({ initial }) => initial === 'derived')
    expect(derived.map(({ key }) => key)).toEqual([
      'data.kind',
      'model.patchSize',
      'model.channels',
      'model.width',
      'model.depth',
      'model.heads',
    ])
    expect(describeKeys().filter(({ initial }) => initial === 'required')).toMatchObject([
      { key: 'data.bands' },
      { key: 'mask.dir' },
      { key: 'target.tokenizer' },
      { key: 'target.model' },
    ])
    const ratio = describeKeys().find(({ key }) => key === 'mask.ratio')
    expect(ratio?.initial).toBe('0.75')
    expect(ratio?.meaning).toMatch(/hidden/)
  })

  it('takes nothing that a run could not use', () => {
    const refused = [
      { data: { scale: [0.2, 1.5] } },
      { data: { scale: [0.5, 0.2] } },
      { data: { scale: [0, 1] } },
      { data: { ratio: [2, 1] } },
      { data: { maxSkippedShare: 1.1 } },
      { data: { prefetchBatches: 0 } },
      { mask: { ratio: 0 } },
      { mask: { ratio: 1 } },
      { mask: { ratio: Number.NaN } },
      { model: { patchSize: 1 } },
      { model: { imageSize: [32, 32, 3] } },
      { optim: { baseLearningRate: 0 } },
      { optim: { beta2: 1 } },
      { optim: { clipGradientNorm: 0 } },
      { optim: { warmupSteps: 0.5 } },
      { train: { batchSize: 0 } },
      { train: { accumulate: 1.5 } },
      { train: { steps: 0 } },
      { train: { epochs: Number.POSITIVE_INFINITY } },
      { train: { seed: -1 } },
      { train: { seed: 2 ** 53 } },
      { train: { device: 'gpu' } },
      { train: { precision: 'fp16' } },
      { checkpoint: { everySteps: 0 } },
      { checkpoint: { keep: 0 } },
      { log: { everySteps: 0 } },
    ]
    for (const input of refused) {
      const [[group, keys]] = Object.entries(input) as [[string, object]]
      const message = new RegExp(`^${group}\\.${Object.keys(keys)[0]}[.\\d]*: `)
      expect(() => resolveConfig(input as ConfigInput), JSON.stringify(input)).toThrow(
        expect.objectContaining({ code: 'CONFIG', message: expect.stringMatching(message) as string }),
      )
    }
  })
})
