// A key that nothing reads is refused by name, with the value of the other key that would read it.
import { describe, expect, it } from 'vitest'
import { chosenBy, configKeys, describeKeys, whyNotRead } from '../../src/config/keys.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { choosers } from '../../src/config/tables.ts'

const refusal = (input: unknown): string => {
  try {
    resolveConfig(input as ConfigInput)
  } catch (error) {
    return (error as Error).message
  }
  throw new Error(`${JSON.stringify(input)} was taken`)
}

const bands = ['B2', 'B3', 'B4', 'B8']

describe('a key that the kind of the data does not read', () => {
  it.each<[unknown, string]>([
    [
      { data: { window: 64 } },
      'data.window is read only with data.kind=rasters, and data.kind is images: name the bands in data.bands, such as ["B2","B3","B4","B8"].',
    ],
    [
      { data: { bands, range: [0, 9] } },
      'data.range is read only with data.kind=images, and data.kind is rasters: leave data.bands out.',
    ],
    [
      { data: { kind: 'images', bands } },
      'data.bands is read only with data.kind=rasters, and data.kind is images: set data.kind=rasters.',
    ],
    [
      { decoder: { groupWidth: 8 } },
      'decoder.groupWidth is read only with data.kind=rasters, and data.kind is images: name the bands in data.bands, such as ["B2","B3","B4","B8"].',
    ],
  ])('%j', (input, message) => expect(refusal(input)).toBe(message))

  it('is named with the others of the same reason, after values that are wrong', () => {
    const lines = refusal({ data: { window: 8, nodata: 0 }, mask: { perFrame: true, ratio: 2 } }).split('\n')
    expect(lines).toEqual([
      expect.stringMatching(/^mask\.ratio: .*got 2 \(2 % is 0\.02\)$/),
      expect.stringMatching(
        /^data\.window, data\.nodata, mask\.perFrame are read only with data\.kind=rasters, /,
      ),
    ])
  })

  it('may be there where it says nothing', () => {
    expect(resolveConfig({ data: { bands: undefined, window: undefined } })).toEqual(resolveConfig({}))
  })
})

it.each<[unknown, string]>([
  [
    { optim: { optimizer: 'sgd', beta1: 0.8, epsilon: 1 } },
    'optim.beta1, optim.epsilon are read only with optim.optimizer=adamw or adam, and optim.optimizer is sgd.',
  ],
  [
    { optim: { momentum: 0.8 } },
    'optim.momentum is read only with optim.optimizer=lars or sgd, and optim.optimizer is adamw.',
  ],
])('a key that the optimizer does not read: %j', (input, message) => expect(refusal(input)).toBe(message))

it('the kind of the data follows from their bands', () => {
  const kindOf = (data: ConfigInput['data']) => resolveConfig({ data }).data.kind
  expect([kindOf({}), kindOf({ bands }), kindOf({ kind: 'rasters', bands })]).toEqual([
    ...['images', 'rasters', 'rasters'],
  ])
})

const objectiveNames = choosers.objective.join(' or ')
it.each<[unknown, string]>([
  [{ objective: 'nae' }, `objective: expected ${objectiveNames}, got "nae". Did you mean "mae"?`],
  [
    { data: { kind: 'raster' } },
    'data.kind: expected images or rasters, got "raster". Did you mean "rasters"?',
  ],
  [{ optim: { optimizer: 5 } }, 'optim.optimizer: expected adamw or adam or lars or sgd, got 5.'],
  [{ objective: () => 1 }, `objective: expected ${objectiveNames}, got function.`],
  [{ objective: ['x'.repeat(1000)] }, `objective: expected ${objectiveNames}, got ["${'x'.repeat(78)}.`],
])('a name that does not exist is refused alone: %j', (input, message) =>
  expect(refusal(input)).toBe(message),
)

it('every key is read with some choice, and says why not with another', () => {
  const chosen = chosenBy({})
  const read = describeKeys(chosen).map(({ key }) => key)
  for (const key of configKeys().filter((key) => !read.includes(key)))
    expect(whyNotRead([key], chosen)).toEqual([
      expect.stringMatching(new RegExp(`^${key} is read only with [a-zA-Z.]+=[\\w -]+, and `)),
    ])
  const all = Object.entries(choosers).flatMap(([key, names]) =>
    names.flatMap((name) => describeKeys({ ...chosen, [key]: name })),
  )
  expect([...new Set(all.map(({ key }) => key))].sort()).toEqual([...configKeys()].sort())
})

it('names that JavaScript gives a meaning are keys like others', () => {
  for (const text of ['{"__proto__": {"constructor": 1}}', '{"data": {"__proto__": 1, "constructor": 2}}'])
    expect(refusal(JSON.parse(text))).toMatch(/^There is no configuration key "[a-z_.]+"/)
})

it.each([
  ['model.decoderDepth', 'decoder.depth'],
  ['model.decoderGroupWidth', 'decoder.groupWidth'],
  ['model.compat', 'decoder.compat'],
])('an old name says the new one: %s', (old, now) => {
  const [group, name] = old.split('.') as [string, string]
  expect(refusal({ [group]: { [name]: 1 } })).toBe(
    `There is no configuration key "${old}". It is ${now} now. "sherd presets --keys" lists all.`,
  )
})
