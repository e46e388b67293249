// Configurations as sherd 0.1 has written them, word for word, are read as what they meant.
import { describe, expect, it } from 'vitest'
import { migrate, VERSION } from '../../src/config/migrations.ts'
import { masksOf, resolveConfig } from '../../src/config/resolve.ts'
import { storedConfig } from '../../src/config/stored.ts'

/** What `sherd presets mae-tiny-cifar10` printed, and `config.json` held, in version 0.1. */
const photographs = `{
  "objective": "mae",
  "data": {
    "bands": null, "bandNames": null, "pattern": null, "window": null, "nodata": null, "applyScale": false, "clip": "deviations",
    "minValid": 0.5, "crop": "random", "scale": [0.2, 1], "ratio": [0.75, 1.3333333333333333], "flip": true,
    "statistics": "dataset", "range": [0, 4095], "maxPixels": 100000000, "maxSkippedShare": 0.01, "corrupt": "keep",
    "fileTimeout": 30, "workers": 0, "prefetchBatches": 2
  },
  "model": {
    "size": "tiny", "imageSize": [32, 32], "patchSize": 4, "channels": 3, "frames": 1, "groups": null, "groupWidth": 256,
    "decoderGroupWidth": 128, "timeFields": [], "timeWidth": 128, "decoderTimeWidth": 64, "referenceResolution": null,
    "positions": "learned", "compat": null, "width": 192, "depth": 12, "heads": 3, "decoderWidth": 96, "decoderDepth": 4,
    "decoderHeads": 3, "mlpRatio": 4, "layerNormEpsilon": 0.000001
  },
  "mask": { "ratio": 0.6, "groups": "independent", "frames": "independent", "perFrame": false },
  "target": { "normalize": true, "statistics": "group", "scales": null, "scalesWidth": 64 },
  "optim": {
    "baseLearningRate": 0.0015, "minLearningRate": 0, "warmupFraction": 0.05, "warmupSteps": null, "beta1": 0.9, "beta2": 0.99,
    "epsilon": 1e-8, "weightDecay": 0.05, "clipGradientNorm": null
  },
  "train": {
    "seed": 7, "batchSize": 128, "accumulate": 1, "epochs": 400, "steps": null, "device": "auto", "precision": "auto",
    "recompute": false, "kernels": "fused", "threads": 0, "maxSkippedSteps": 10, "maxRollbacks": 3
  },
  "checkpoint": { "everySteps": 500, "keep": 2, "keepEverySteps": 0 },
  "log": { "everySteps": 1, "pictureEverySteps": 500, "probe": null, "probeEverySteps": 500 }
}`

/** The same of a series of rasters: what differs. */
const rasters = () => {
  const config = JSON.parse(photographs)
  Object.assign(config.data, {
    ...{ bands: ['B2', 'B3', 'B4', 'B8'], nodata: 0, window: 64, minValid: 1, range: null },
  })
  Object.assign(config.model, {
    ...{ channels: 4, frames: 2, groups: [['B4', 'B3', 'B2'], ['B8']], positions: 'fixed', compat: null },
    ...{ groupWidth: 32, decoderGroupWidth: 16, timeFields: ['month'], timeWidth: 16, decoderTimeWidth: 8 },
  })
  Object.assign(config.mask, { groups: 'consistent', perFrame: true })
  return config
}

describe('version 1', () => {
  it('of photographs loses what is for rasters, and keeps all that was set', () => {
    const config = storedConfig(JSON.parse(photographs))
    expect(config).toEqual(
      resolveConfig({
        data: { kind: 'images', statistics: 'dataset', range: [0, 4095], corrupt: 'keep' },
        model: { size: 'tiny', imageSize: 32, patchSize: 4, positions: 'learned' },
        decoder: { width: 96, depth: 4, heads: 3 },
        mask: { ratio: 0.6 },
        optim: { baseLearningRate: 1.5e-3, beta2: 0.99 },
        train: { seed: 7, batchSize: 128, epochs: 400 },
      }),
    )
    expect(masksOf(config)).toEqual({ kind: 'random', ratio: 0.6, ratioTo: null, ratioSchedule: 'linear' })
    expect(config.optim.optimizer).toBe('adamw')
  })

  it('of rasters keeps theirs, with the decoder in a group of its own', () => {
    const config = storedConfig(rasters())
    expect(config).toMatchObject({
      version: VERSION,
      data: { kind: 'rasters', bands: ['B2', 'B3', 'B4', 'B8'], nodata: 0, window: 64, minValid: 1 },
      model: { frames: 2, groups: [['B4', 'B3', 'B2'], ['B8']], groupWidth: 32, timeWidth: 16 },
      decoder: { width: 96, depth: 4, heads: 3, groupWidth: 16, timeWidth: 8, compat: null },
      mask: { ratio: 0.6, groups: 'consistent', frames: 'independent', perFrame: true },
    })
    expect(config.data).not.toHaveProperty('range')
    const { compat: _, ...model } = rasters().model
    expect(storedConfig({ ...rasters(), model: { ...model, compat: null } })).toEqual(config)
  })

  it('is written as version 3, with the same bytes each time it is read', () => {
    const once = JSON.stringify(storedConfig(JSON.parse(photographs)))
    expect(once).toMatch(/^\{"version":3,"objective":"mae","data":\{"kind":"images",/)
    expect(JSON.stringify(storedConfig(JSON.parse(once)))).toBe(once)
    // However its keys were ordered.
    const { data, ...rest } = JSON.parse(photographs)
    const turned = Object.fromEntries(Object.entries(data).reverse())
    expect(JSON.stringify(storedConfig({ ...rest, data: turned }))).toBe(once)
  })

  it('may say a part, as small files of tests do', () => {
    expect(migrate({})).toEqual({ version: VERSION, data: { kind: 'images' } })
    expect(migrate({ model: { decoderDepth: 2 }, optim: {} })).toEqual({
      ...{ version: VERSION, data: { kind: 'images' }, model: {}, decoder: { depth: 2 } },
      optim: { optimizer: 'adamw' },
    })
  })

  it('leaves its argument alone', () => {
    const given = rasters()
    migrate(given)
    expect(given).toEqual(rasters())
  })

  it('is refused by what is wrong with it, under the name that it has now', () => {
    const with_ = (group: string, keys: object) => {
      const config = JSON.parse(photographs)
      return { ...config, [group]: { ...config[group], ...keys } }
    }
    expect(() => storedConfig(with_('model', { decoderDepth: -1 }))).toThrow(/^decoder\.depth: .*got -1$/)
    expect(() => storedConfig(with_('model', { other: 1 }))).toThrow(/no configuration key "model\.other"/)
    expect(() => storedConfig({ ...JSON.parse(photographs), data: 5 })).toThrow(/^data: .*got 5\n/)
    for (const none of [null, 5, 'x', []])
      expect(() => storedConfig(none)).toThrow(/^configuration: .*object/)
  })
})

describe('version 2', () => {
  const stored = (mask: object) => storedConfig({ ...resolveConfig({}), version: 2, mask })
  it.each([
    [
      { kind: 'random', ratio: 0.6, cell: 32, minBlock: null },
      { kind: 'random', ratio: 0.6 },
    ],
    [{ ratio: 0.6 }, { kind: 'random', ratio: 0.6 }],
    [
      { kind: 'coarse', ratio: 0.6, cell: 16, minBlock: 4 },
      { kind: 'coarse', ratio: 0.6, cell: 16 },
    ],
    [
      { kind: 'block', ratio: 0.4, cell: 16, minBlock: 4 },
      { kind: 'block', ratio: 0.4, minBlock: 4 },
    ],
    [
      { kind: 'grid', ratio: 0.4, cell: 32, minBlock: null },
      { kind: 'grid', ratio: 0.4 },
    ],
  ])('%j loses what its kind does not read', (mask, expected) => {
    expect(masksOf(stored(mask))).toEqual({ ...expected, ratioTo: null, ratioSchedule: 'linear' })
  })

  it('of rasters keeps the exact ratio of every date with random masks alone', () => {
    const of = (kind: 'random' | 'grid') => {
      const { mask, ...config } = resolveConfig({
        data: { bands: ['B2', 'B3'] },
        mask: { kind },
      }) as unknown as { mask: object }
      return storedConfig({
        ...config,
        version: 2,
        mask: { ...mask, cell: 32, minBlock: null, perFrame: true },
      })
    }
    expect(masksOf(of('random'))).toMatchObject({ perFrame: true })
    expect(masksOf(of('grid'))).not.toHaveProperty('perFrame')
  })
})

describe('the version', () => {
  it.each<[unknown, RegExp]>([
    [
      4,
      /configuration is of version 4, and this sherd reads 1 to 3: a later sherd has written it, update with "npm/,
    ],
    [0, /version 0, and this sherd reads 1 to 3$/],
    [1.5, /version 1\.5/],
    ['2', /version "2"/],
  ])('%j is refused', (version, message) => {
    expect(() => storedConfig({ ...resolveConfig({}), version })).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringMatching(message) as string }),
    )
  })

  it('of what a user gives is this one or none', () => {
    expect(resolveConfig({}).version).toBe(3)
    expect(resolveConfig({ version: 3 })).toEqual(resolveConfig({}))
    expect(() => resolveConfig({ version: 1 })).toThrow('version: expected 3 or none, got 1.')
  })
})
