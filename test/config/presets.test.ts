import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { presetNames, presetOf } from '../../src/config/presets.ts'
import { recipeOf } from '../../src/config/recipe.ts'
import { backboneOf, decodedConfig, maskDesignOf, resolveConfig } from '../../src/config/resolve.ts'
import type { Config } from '../../src/config/schema.ts'
import { layoutOf } from '../../src/model/backbone-shape.ts'
import { packageRoot } from '../../src/package-root.ts'
import { keptTokens } from '../../src/token/mask-design.ts'

const folder = join(packageRoot(), 'presets')

describe('presets', () => {
  it('are a file each, and every file is in the table', () => {
    const files = readdirSync(folder).filter((name) => name !== 'index.ts')
    expect(files.map((name) => name.replace(/\.ts$/, '')).sort()).toEqual([...presetNames].sort())
  })

  it.each([
    ['mae-tiny-cifar10', 'tiny', 32, 4],
    ['mae-small-64', 'small', 64, 8],
    ['mae-base-224', 'base', 224, 16],
    ['mae-large-224', 'large', 224, 16],
    ['mae-huge-224', 'huge', 224, 14],
  ])('hold %s', (name, size, side, patchSize) => {
    const { model } = resolveConfig(presetOf(name).config)
    expect(model).toMatchObject({ size, imageSize: [side, side], patchSize })
  })

  it.each(presetNames)('%s is a complete experiment', (name) => {
    expect(() => resolveConfig(presetOf(name).config)).not.toThrow()
    expect(presetOf(name).summary).toMatch(/\S/)
    const header = readFileSync(join(folder, `${name}.ts`), 'utf8').split('*/')[0]!
    expect(header).toMatch(new RegExp(`^ \\*   sherd pretrain ${name} --data \\S+ --out \\S+$`, 'm'))
    for (const part of ['Cost', 'Expected', 'Measured'])
      expect(header).toMatch(new RegExp(`^ \\* ${part}: \\S`, 'm'))
  })

  it.each(['mae-base-224', 'mae-large-224', 'mae-huge-224'])('%s keeps the recipe of the paper', (name) => {
    const { optim, mask, target, train, decoder } = decodedConfig(resolveConfig(presetOf(name).config))
    const paper = decodedConfig(resolveConfig({}))
    expect({ optim, mask, target }).toEqual({ optim: paper.optim, mask: paper.mask, target: paper.target })
    expect(train.batchSize * train.accumulate).toBe(4096)
    expect(train.epochs).toBe(800)
    expect(decoder).toEqual({ kind: 'transformer', width: 512, depth: 8, heads: 16 })
  })

  it('refuse a mistyped name with the one that was meant', () => {
    expect(() => presetOf('mae-base-244')).toThrow(
      expect.objectContaining({
        code: 'PRESET_UNKNOWN',
        message: expect.stringContaining(
          'There is no preset "mae-base-244". Did you mean "mae-base-224"?',
        ) as string,
      }),
    )
    expect(() => presetOf('toString')).toThrow(/There is no preset "toString"/)
  })
})

it.each([
  // Batch, epochs, peak, warm-up and clipping of the papers' codes.
  ['beit-base-224', 800, 1.5e-3, 10, 3],
  ['simmim-base-224', 800, 4e-4, 10, 5],
  ['maskfeat-base-224', 1600, 1.6e-3, 30, 0.02],
  ['data2vec-base-224', 800, 2e-3, 10, 3],
])(
  '%s keeps the recipe of the paper: %d epochs, rate %d, %d of warm-up, clipped at %d',
  (name, epochs, rate, warm, clip) => {
    const config = resolveConfig(presetOf(name).config)
    const { optim, train } = config
    const recipe = recipeOf(config, 2048 * 100)
    expect([train.batchSize * train.accumulate, train.epochs]).toEqual([2048, epochs])
    expect(recipe.peak).toBeCloseTo(rate, 9)
    expect(recipe.warmup).toBe(warm * 100)
    expect(optim).toMatchObject({
      optimizer: 'adamw',
      beta1: 0.9,
      beta2: 0.999,
      weightDecay: 0.05,
      clipGradientNorm: clip,
    })
  },
)

it.each([
  ['simmim-base-224', 120], // 30 cells of four
  ['maskfeat-base-224', 78],
  ['beit-base-224', 75],
  ['data2vec-base-224', 120],
])('%s hides the %d of 196 patches of the published code', (name, hidden) => {
  const config = resolveConfig(presetOf(name).config) as Config<'beit'>
  expect(196 - keptTokens(layoutOf(backboneOf(config)), maskDesignOf(config))).toBe(hidden)
})

it('ijepa-huge-224 and crossmae-base-224 keep the recipes of their codes', () => {
  const ijepa = resolveConfig(presetOf('ijepa-huge-224').config) as Config<'ijepa'>
  const recipe = recipeOf(ijepa, 2048 * 625)
  expect([recipe.peak, recipe.warmup, recipe.totalSteps]).toEqual([1e-3, 40 * 625, 300 * 625])
  expect(ijepa.predictor).toEqual({ width: 384, depth: 12, heads: ijepa.model.heads })
  expect(ijepa.optim).toMatchObject({ beta2: 0.999, weightDecay: 0.04, finalWeightDecay: 0.4 })
  const crossmae = recipeOf(resolveConfig(presetOf('crossmae-base-224').config), 4096 * 312)
  expect(crossmae.peak).toBeCloseTo((1.5e-4 * 16) / 3, 9)
  expect([crossmae.warmup, crossmae.totalSteps]).toEqual([40 * 312, 800 * 312])
})
