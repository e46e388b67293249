import { describe, expect, it } from 'vitest'
import { describeKeys } from '../../src/config/keys.ts'
import { recipeOf } from '../../src/config/recipe.ts'
import {
  backboneOf,
  decodedConfig,
  dimensionsOf,
  effectiveBatch,
  masksOf,
  resolveConfig,
  targetKeysOf,
  totalSteps,
} from '../../src/config/resolve.ts'
import type { Config, ConfigInput } from '../../src/config/schema.ts'
import { SherdError } from '../../src/errors.ts'
import { type CosineSchedule, learningRateAt } from '../../src/optim/schedule.ts'

/** The message of the `CONFIG` error that this input gives. */
function refusal(input: unknown): string {
  try {
    resolveConfig(input as ConfigInput)
  } catch (error) {
    if (error instanceof SherdError && error.code === 'CONFIG') return error.message
    throw error
  }
  throw new Error(`${JSON.stringify(input)} was taken`)
}

/** The learning rate of a run, as it warms up and falls. */
function scheduleOf(config: Config, samples: number) {
  const { schedules, totalSteps: total, peak } = recipeOf(config, samples)
  const { to, warmup } = schedules.learningRate as CosineSchedule
  return { peak, floor: to, warmupSteps: warmup as number, totalSteps: total }
}

describe('resolveConfig', () => {
  it.each([
    [{ optm: {} }, '"optm"', '"optim"'],
    [{ optim: { baseLearningrate: 1 } }, '"optim.baseLearningrate"', '"optim.baseLearningRate"'],
    [{ mask: { ration: 0.5 } }, '"mask.ration"', '"mask.ratio"'],
    [{ model: { widht: 64 } }, '"model.widht"', '"model.width"'],
    [{ train: { batchsize: 64 } }, '"train.batchsize"', '"train.batchSize"'],
    [{ log: { everyStep: 5 } }, '"log.everyStep"', '"log.everySteps"'],
  ])('suggests what an unknown key was meant to be: %j', (input, wrong, meant) => {
    const message = refusal(input)
    expect(message).toContain(`There is no configuration key ${wrong}. Did you mean ${meant}?`)
    expect(message).toContain('sherd presets --keys')
  })

  it.each<[unknown, RegExp]>([
    [{ mask: { ratio: 75 } }, /^mask\.ratio: expected a number < 1, got 75 \(75 % is 0\.75\)$/],
    [{ mask: { ratio: 0 } }, /^mask\.ratio: expected a number > 0, got 0$/],
    // A value and a list of faults as long as a hostile file makes them are cut.
    [
      { data: { bands: ['B1'] }, model: { groups: Array(100_000).fill(['B1']) } },
      /^model\.groups: [^…]{1,200}…$/,
    ],
    [{ data: { bands: Array(1000).fill(1) } }, /^(data\.bands\.\d+: .*, got 1\n){20}and 980 more faults$/],
    [{ mask: { ratio: '0.5' } }, /^mask\.ratio: .*number.*, got "0\.5"$/],
    [{ train: { batchSize: 2.5 } }, /^train\.batchSize: .*int.*, got 2\.5$/],
    [
      { model: { size: 'hug' } },
      /^model\.size: expected tiny or small or base or large or huge, got "hug"\. Did you mean "huge"\?$/,
    ],
    [
      { target: { kind: 'features' } },
      /^target\.model: expected the path of a run, a checkpoint or a \.safetensors file of weights, and it is not set$/,
    ],
    [{ model: { imageSize: [1, 2, 3] } }, /^model\.imageSize: .*\[height, width\], got \[1,2,3\]$/],
    [{ data: { scale: [1, 0.5] } }, /^data\.scale: .*must not exceed the second, got \[1,0\.5\]$/],
    [{ data: { scale: [0.2, 3] } }, /^data\.scale: .*share must not exceed 1, got \[0\.2,3\]$/],
    [{ optim: 5 }, /^optim: .*object.*, got 5$/],
    [{ train: { seed: -1 } }, /^train\.seed: .*integer in \[0, 2\^53\), got -1$/],
    [null, /^configuration: .*object.*, got null$/],
    [{ train: { batchSize: 2e6 } }, /^train\.batchSize: .*1048576, got 2000000$/],
    [
      { train: { batchSize: 1e6 } },
      /^train\.batchSize 1000000 samples of 150528 bytes are 140 GiB: at most 128/,
    ],
    [{ model: { imageSize: 4112 } }, /^An image of 4112 × 4112 pixels is 66049 tokens .*at most 65536/],
    [
      { model: { imageSize: 4096, width: 8192, heads: 16 } },
      /^An image .* 65536 tokens of up to 8192 numbers/,
    ],
  ])('names the key, what it expects and what came: %j', (input, message) => {
    expect(refusal(input)).toMatch(message)
  })

  it('lists every mistake in one error', () => {
    const lines = refusal({ optim: { beta1: 2 }, mask: { ratio: 0 } }).split('\n')
    expect(lines.map((line) => line.split(':')[0]).sort()).toEqual(['mask.ratio', 'optim.beta1'])
  })

  it.each<[ConfigInput, RegExp]>([
    [{ model: { width: 64, heads: 3 } }, /model\.width 64 is not divisible by model\.heads 3/],
    [{ decoder: { width: 20, heads: 3 } }, /decoder\.width 20 .*decoder\.heads 3/],
    [{ model: { width: 30, heads: 3 } }, /model\.width 30 is not a multiple of 4/],
    [{ model: { imageSize: 30, patchSize: 4 } }, /30 × 30 pixels .*patches of 4 × 4/],
    [{ model: { imageSize: [32, 30], patchSize: 4 } }, /32 × 30 pixels .*patches of 4 × 4/],
    [{ model: { imageSize: 8, patchSize: 16 } }, /8 × 8 pixels .*patches of 16 × 16/],
    [{ model: { imageSize: [32, 48], patchSize: [4, 5] } }, /32 × 48 pixels .*patches of 4 × 5/],
    [{ model: { patchSize: [16, 1] } }, /model\.patchSize.*/],
    // Four patches: a fifth of them would be none.
    [
      { model: { imageSize: 8, patchSize: 4 }, mask: { ratio: 0.8 } },
      /mask\.ratio 0\.8 of 4 patches keeps 0/,
    ],
    [{ model: { imageSize: 8, patchSize: 8 } }, /mask\.ratio 0\.75 of 1 patches keeps 0/],
    [{ model: { mlpRatio: 1e-6 } }, /model\.mlpRatio: .*got 0\.000001/],
  ])('refuses dimensions that do not fit together: %j', (input, message) => {
    expect(refusal(input)).toMatch(message)
  })

  it('takes the widest ratio that still keeps one patch', () => {
    const model = { imageSize: 8, patchSize: 4 }
    expect(masksOf(resolveConfig({ model, mask: { ratio: 0.75 } }))?.ratio).toBe(0.75)
  })

  it.each([
    ['tiny', 192, 12, 3, 16],
    ['small', 384, 12, 6, 16],
    ['base', 768, 12, 12, 16],
    ['large', 1024, 24, 16, 16],
    ['huge', 1280, 32, 16, 14],
  ] as const)('fills in the dimensions of %s', (size, width, depth, heads, patchSize) => {
    expect(resolveConfig({ model: { size } }).model).toMatchObject({ width, depth, heads, patchSize })
  })

  it('writes a square patch as its side, and another as height and width', () => {
    const of = (patchSize: number | [number, number]) => resolveConfig({ model: { patchSize } })
    expect([of(8), of([8, 8]), of([8, 16])].map(({ model }) => model.patchSize)).toEqual([8, 8, [8, 16]])
    expect([of(8), of([8, 16])].map((config) => dimensionsOf(config).patchSize)).toEqual([
      [8, 8],
      [8, 16],
    ])
  })

  it('lets what is set win over the size', () => {
    const model = { size: 'huge', width: 64, depth: 2, heads: 4, patchSize: 8 } as const
    expect(resolveConfig({ model }).model).toMatchObject(model)
    expect(resolveConfig({ model: { size: 'huge', depth: 2 } }).model).toMatchObject({
      depth: 2,
      width: 1280,
      heads: 16,
    })
  })

  it('takes the image size as one side or as height and width', () => {
    expect(resolveConfig({ model: { imageSize: 32 } }).model.imageSize).toEqual([32, 32])
    expect(resolveConfig({ model: { imageSize: [32, 48] } }).model.imageSize).toEqual([32, 48])
    expect(dimensionsOf(resolveConfig({ model: { imageSize: [32, 48] } })).imageSize).toEqual([32, 48])
  })

  it('freezes everything, and leaves what it was given alone', () => {
    const input = { model: { imageSize: [32, 48] as [number, number] } }
    const config = resolveConfig(input)
    const objects: object[] = [config]
    for (const value of objects)
      for (const inner of Object.values(value)) if (inner && typeof inner === 'object') objects.push(inner)
    expect(objects.length).toBeGreaterThan(9)
    expect(objects.every(Object.isFrozen)).toBe(true)
    expect(Object.isFrozen(input)).toBe(false)
    expect(input).toEqual({ model: { imageSize: [32, 48] } })
  })

  it('changes nothing the second time, also through JSON', () => {
    for (const input of [{}, { model: { size: 'huge' as const, imageSize: 28 }, train: { steps: 5 } }]) {
      const config = resolveConfig(input)
      expect(resolveConfig(config)).toEqual(config)
      expect(resolveConfig(JSON.parse(JSON.stringify(config)) as ConfigInput)).toEqual(config)
    }
  })

  it('leaves no key open', () => {
    const [images, rasters] = [
      resolveConfig({}),
      resolveConfig({ data: { bands: ['B2', 'B3', 'B4', 'B8'] } }),
    ]
    for (const config of [images, rasters]) {
      const { objective, data, optim, adapt } = config
      const target = targetKeysOf(config)!
      const chosen = {
        ...{ objective, 'data.kind': data.kind, 'target.kind': target.kind },
        ...{ 'optim.optimizer': optim.optimizer, 'adapt.kind': adapt.kind },
        ...{
          'decoder.kind': decodedConfig(config).decoder.kind,
          'mask.kind': decodedConfig(config).mask.kind,
        },
      }
      const flat = Object.entries(config).flatMap(([group, keys]) =>
        typeof keys === 'object' ? Object.keys(keys).map((name) => `${group}.${name}`) : [group],
      )
      expect(flat.sort()).toEqual(['version', ...describeKeys(chosen).map(({ key }) => key)].sort())
    }
  })
})

describe('the length of a run', () => {
  const config = (train: ConfigInput['train'], optim: ConfigInput['optim'] = {}) =>
    resolveConfig({ train, optim })

  it('counts micro-batches into the effective batch', () => {
    expect(effectiveBatch(config({ batchSize: 8, accumulate: 4 }))).toBe(32)
  })

  it('rounds epochs up to whole steps, and takes steps over epochs', () => {
    expect(totalSteps(config({ batchSize: 64, epochs: 800 }), 1_281_167)).toBe(16_014_588)
    expect(totalSteps(config({ batchSize: 8, accumulate: 4, epochs: 3 }), 100)).toBe(10)
    expect(totalSteps(config({ batchSize: 50, epochs: 3 }), 100)).toBe(6)
    expect(totalSteps(config({ batchSize: 64, epochs: 0.1 }), 10)).toBe(1)
    expect(totalSteps(config({ batchSize: 8, epochs: 3, steps: 7 }), 100)).toBe(7)
  })

  it('scales the learning rate by the effective batch and warms up for a twentieth', () => {
    const schedule = scheduleOf(config({ batchSize: 64, accumulate: 64, steps: 800 }), 1)
    expect(schedule).toEqual({ peak: 1.5e-4 * 16, floor: 0, warmupSteps: 40, totalSteps: 800 })
    expect(learningRateAt(0, schedule)).toBe(0)
    expect(learningRateAt(20, schedule)).toBeCloseTo(1.2e-3, 12)
    expect(learningRateAt(40, schedule)).toBeCloseTo(2.4e-3, 12)
    expect(learningRateAt(420, schedule)).toBeCloseTo(1.2e-3, 12) // half-way down the cosine
  })

  it('takes warm-up steps over the fraction, none included', () => {
    const steps = { batchSize: 256, steps: 100 }
    expect(scheduleOf(config(steps, { warmupSteps: 7 }), 1).warmupSteps).toBe(7)
    expect(scheduleOf(config(steps, { warmupSteps: 0 }), 1).warmupSteps).toBe(0)
    expect(learningRateAt(0, scheduleOf(config(steps, { warmupSteps: 0 }), 1))).toBe(1.5e-4)
  })

  it('gives a short run no part of a step for a warm-up, and refuses one that covers the run', () => {
    expect(scheduleOf(config({ steps: 19 }), 1).warmupSteps).toBe(0)
    expect(scheduleOf(config({ steps: 20 }), 1).warmupSteps).toBe(1)
    expect(scheduleOf(config({ steps: 10 }, { warmupSteps: 9 }), 1).warmupSteps).toBe(9) // as it was set
    expect(() => scheduleOf(config({ steps: 10 }, { warmupSteps: 10 }), 1)).toThrow(
      'optim.warmupSteps 10 covers the whole run of 10 steps',
    )
    expect(() => scheduleOf(config({ steps: 3 }, { warmupFraction: 1 }), 1)).toThrow(
      'optim.warmupFraction 1 covers the whole run of 3 steps',
    )
  })
})

describe('rasters', () => {
  const bands = ['B2', 'B3', 'B4', 'B8']
  const usual: ConfigInput = {
    data: { bands },
    model: { size: 'tiny', imageSize: 16, patchSize: 4, groups: [['B4', 'b02'], ['B8']], groupWidth: 64 },
  }

  it('take their channels, their statistics and the numbers of their groups from the names', () => {
    const config = resolveConfig(usual)
    expect([config.model.channels, config.data.statistics]).toEqual([4, 'dataset'])
    const { groups, frames, time } = backboneOf(config)
    expect([groups, frames, time]).toEqual([[[2, 0], [3]], 1, null])
    expect(resolveConfig({}).data.statistics).toBe('imagenet')
  })

  it('are written the same when they were read', () => {
    const config = resolveConfig(usual)
    expect(JSON.stringify(resolveConfig(JSON.parse(JSON.stringify(config))))).toBe(JSON.stringify(config))
  })

  it.each<[ConfigInput, RegExp]>([
    [{ data: { bands: ['B2', 'B02'] } }, /data\.bands names B02 twice/],
    [
      { model: { groups: [['B2', 'B9']] } },
      /model\.groups has band "B9", which is not in data\.bands .*Did you mean/,
    ],
    [{ model: { groups: [['B2'], ['B3', 'B2']] } }, /band 0 is in group 0 and in group 1/],
    [{ data: { bands, statistics: 'imagenet' } }, /^data\.statistics: ImageNet's are those of photographs/],
    [
      { data: { bands, minValid: 0.1 } },
      /data\.minValid 0\.1 is less than the share of tokens that are seen .* 0\.25/,
    ],
    [{ target: { scales: [2], normalize: false } }, /set data\.minValid to 1/],
    [{ model: { groupWidth: 30 } }, /leave 162 for the place/],
    [{ model: { channels: 3 } }, /model\.channels is 3, but data\.bands names 4/],
    [{ data: { bands, pattern: '(' } }, /data\.pattern: expected a regular expression/],
    [
      { data: { bands: undefined } },
      /^model\.groups, model\.groupWidth are read only with data\.kind=rasters, and data\.kind is images: name the bands in data\.bands/,
    ],
    [{ data: { bands: undefined, kind: 'rasters' } }, /^data\.bands: expected names of bands, such as/],
  ])('refuse %j', (over, message) => {
    const input = {
      ...usual,
      ...over,
      data: { ...usual.data, ...over.data },
      model: { ...usual.model, ...over.model },
    }
    expect(refusal(input)).toMatch(message)
  })
})

it.each<[ConfigInput['data'], RegExp]>([
  [{ resize: 'patches', cropShare: 0.9 }, /^data\.resize patches keeps whole images, .*0\.9: expected 1/],
  [{ resize: 'patches', inputSize: [224, 224] }, /^data\.resize patches gives each image its own size/],
  [{ resize: 'box', inputSize: [224, 224] }, /^data\.inputSize is set, and data\.resize is box/],
  [
    { resize: 'squash', inputSize: [300, 220] },
    /^data\.inputSize is 300 × 220, and model\.imageSize 224 × 224/,
  ],
])('ways of resizing that exclude each other are refused: %j', (data, message) => {
  expect(refusal({ data })).toMatch(message)
})
