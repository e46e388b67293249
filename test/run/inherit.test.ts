import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { bandsOf } from '../../src/config/resolve.ts'
import type { Config, ConfigInput } from '../../src/config/schema.ts'
import type { Parameters } from '../../src/model/parameters.ts'
import { inherit } from '../../src/run/inherit.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { stirredParameters } from '../model/tiny-model.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { tinyConfig, workFolder } from './tiny.ts'

const configOf = (bands: string[] | null, groups: string[][] | null = null, over: ConfigInput = {}) =>
  tinyConfig({
    ...over,
    data: { ...(bands && { bands }), ...over.data },
    model: { ...(bands && { groups, groupWidth: 8 }), ...over.model },
    decoder: { ...(bands && { groupWidth: 8 }), ...over.decoder },
  })
const rowsOf = (config: Config) => objectiveOf(config, 'cpu').rows

// Held to the end: what the collector frees in the middle of a test would be counted there.
const held: Parameters[] = []

/** A file of weights, with or without what the model is. */
async function donorOf(config: Config, { isTold = true } = {}) {
  const path = join(await workFolder(), 'weights.safetensors')
  const parameters = stirredParameters({ rows: rowsOf(config) })
  held.push(parameters)
  const { length } = bandsOf(config) ?? [0, 0, 0]
  const statistics = { mean: Array<number>(length).fill(0), std: Array<number>(length).fill(1) }
  writeSafetensors(path, parameters, isTold ? weightsMetadata({ config, statistics }) : {})
  return { path, parameters }
}

const D = 32
const AREA = 16 // 4 × 4 pixels
/** The kernel of one band of an embedding [D, c, 4, 4]. */
function kernel(parameters: Parameters, name: string, band: number): number[] {
  const weight = parameters.get(`${name}.proj.weight`)!
  const [values, c] = [numbers(weight), weight.shape[1]!]
  return Array.from(
    { length: D * AREA },
    (_, i) => values[(Math.floor(i / AREA) * c + band) * AREA + (i % AREA)]!,
  )
}
/** The embedding of these kernels. */
const embedding = (kernels: readonly (readonly number[])[]): number[] =>
  Array.from({ length: D }, (_, unit) =>
    kernels.flatMap((each) => each.slice(unit * AREA, (unit + 1) * AREA)),
  ).flat()
const times = (kernel_: readonly number[], factor: number) => kernel_.map((x) => factor * x)
const meanOf = (kernels: readonly (readonly number[])[]) =>
  kernels[0]!.map((_, i) => kernels.reduce((sum, each) => sum + each[i]!, 0) / kernels.length)

const inherited = (path: string, config: Config) => {
  const { tensors, inheritance } = inherit(path, rowsOf(config), config)
  return { values: (name: string) => numbers(tensors.get(name)!), names: [...tensors.keys()], ...inheritance }
}

describe('from photographs', () => {
  it('blue, green and red are B2, B3 and B4, near infrared is their mean, each of three quarters', async () => {
    const { path, parameters } = await donorOf(configOf(null))
    scope(() => {
      const made = inherited(path, configOf(['B02', 'B3', 'B4', 'B8']))
      const [red, green, blue] = [0, 1, 2].map((band) => kernel(parameters, 'patch_embed', band)) as [
        number[],
        number[],
        number[],
      ]
      const expected = [blue, green, red, meanOf([red, green, blue])].map((each) => times(each, 3 / 4))
      expectClose(made.values('patch_embed.proj.weight'), embedding(expected), 1e-6)
      expect(made.values('patch_embed.proj.bias')).toEqual(numbers(parameters.get('patch_embed.proj.bias')!))
      expect(made.inflated).toEqual(['patch_embed.proj.weight', 'patch_embed.proj.bias'])
      for (const name of made.loaded) expect(made.values(name)).toEqual(numbers(parameters.get(name)!))
      const heads = ['decoder_pred.weight', 'decoder_pred.bias']
      expect(made.fresh.map(({ name }) => name)).toEqual(heads)
      expect(made.fresh[0]!.why).toBe('it is [48, 16] there and [64, 16] here, or of other bands')
      expect(made.unused).toEqual(heads)
      // Nothing is counted twice, and nothing is forgotten.
      const all = [...made.loaded, ...made.inflated, ...heads]
      expect(all.sort()).toEqual(
        rowsOf(configOf(['B2', 'B3', 'B4', 'B8']))
          .map(({ name }) => name)
          .sort(),
      )
    })
  })

  it('groups get what their bands have, and all the same bias', async () => {
    const { path, parameters } = await donorOf(configOf(null))
    scope(() => {
      const made = inherited(path, configOf(['B2', 'B8', 'B3', 'B11'], [['B3', 'B2'], ['B11'], ['B8']]))
      const [red, green, blue] = [0, 1, 2].map((band) => kernel(parameters, 'patch_embed', band)) as [
        number[],
        number[],
        number[],
      ]
      expectClose(
        made.values('patch_embed.0.proj.weight'),
        embedding([green, blue].map((each) => times(each, 3 / 2))),
        1e-6,
      )
      const alone = times(meanOf([red, green, blue]), 3)
      for (const g of [1, 2])
        expectClose(made.values(`patch_embed.${g}.proj.weight`), embedding([alone]), 1e-6)
      for (const g of [0, 1, 2])
        expect(made.values(`patch_embed.${g}.proj.bias`)).toEqual(
          numbers(parameters.get('patch_embed.proj.bias')!),
        )
      expect(
        made.fresh.every(({ name, why }) => name.startsWith('decoder_pred.') && why === 'it is not there'),
      ).toBe(true)
    })
  })

  it('a file that says nothing of itself is taken for one of red, green and blue', async () => {
    const { path, parameters } = await donorOf(configOf(null), { isTold: false })
    scope(() => {
      const made = inherited(path, configOf(['B3', 'B5']))
      const all = [0, 1, 2].map((band) => kernel(parameters, 'patch_embed', band))
      const expected = [all[1]!, meanOf(all)].map((each) => times(each, 3 / 2))
      expectClose(made.values('patch_embed.proj.weight'), embedding(expected), 1e-6)
    })
  })
})

it('groups of a file that says nothing of itself are taken for the same, where they are as large', async () => {
  const { path, parameters } = await donorOf(configOf(['B2', 'B3', 'B8'], [['B2', 'B3'], ['B8']]), {
    isTold: false,
  })
  scope(() => {
    const made = inherited(
      path,
      configOf(
        ['B4', 'B5', 'B6', 'B7'],
        [
          ['B6', 'B5'],
          ['B4', 'B7'],
        ],
      ),
    )
    expect(made.values('patch_embed.0.proj.weight')).toEqual(
      numbers(parameters.get('patch_embed.0.proj.weight')!),
    )
    expect(made.fresh.map(({ name }) => name)).toContain('patch_embed.1.proj.weight') // one band there, two here
    expect(made.loaded).toContain('decoder_pred.0.weight')
    expect(made.loaded).not.toContain('decoder_pred.1.weight')
  })
})

describe('from other bands', () => {
  it('of groups, each kernel counts by the size of its own group', async () => {
    const { path, parameters } = await donorOf(configOf(['B2', 'B3', 'B8'], [['B8'], ['B3', 'B2']]))
    scope(() => {
      const made = inherited(path, configOf(['b03', 'B8', 'B12']))
      const b8 = kernel(parameters, 'patch_embed.0', 0)
      const [b3, b2] = [0, 1].map((band) => kernel(parameters, 'patch_embed.1', band)) as [number[], number[]]
      // One of one becomes one of three; one of two becomes one of three.
      const scaled = { b8: times(b8, 1 / 3), b3: times(b3, 2 / 3), b2: times(b2, 2 / 3) }
      expectClose(
        made.values('patch_embed.proj.weight'),
        embedding([scaled.b3, scaled.b8, meanOf(Object.values(scaled))]),
        1e-6,
      )
      const biases = [0, 1].map((g) => numbers(parameters.get(`patch_embed.${g}.proj.bias`)!))
      expectClose(made.values('patch_embed.proj.bias'), meanOf(biases), 1e-6)
    })
  })

  it('in another order the kernels move, and heads of the same size are not taken for the same', async () => {
    const { path, parameters } = await donorOf(configOf(['B2', 'B3', 'B4']))
    scope(() => {
      const made = inherited(path, configOf(['B4', 'B2', 'B3']))
      const [b2, b3, b4] = [0, 1, 2].map((band) => kernel(parameters, 'patch_embed', band)) as [
        number[],
        number[],
        number[],
      ]
      expect(made.values('patch_embed.proj.weight')).toEqual(embedding([b4, b2, b3]))
      expect(made.fresh.map(({ name }) => name)).toEqual(['decoder_pred.weight', 'decoder_pred.bias'])
    })
  })

  it('what enlarges pictures is of bands, too', async () => {
    const over = { data: { minValid: 1 }, target: { normalize: false, scales: [2], scalesWidth: 4 } }
    const { path } = await donorOf(configOf(['B2', 'B3', 'B4'], null, over))
    scope(() => {
      const { loaded, fresh } = inherited(path, configOf(['B5', 'B6', 'B7'], null, over))
      const ofBands = ['upscale.embed.weight', 'upscale.blocks.0.pred.weight', 'upscale.blocks.0.pred.bias']
      expect(fresh.map(({ name }) => name)).toEqual(expect.arrayContaining(ofBands))
      expect(loaded).toEqual(expect.arrayContaining(['upscale.norm.weight', 'upscale.blocks.0.conv1.weight']))
    })
  })

  it('heads in the released order speak of other bands than those that were declared', async () => {
    const groups = [['B4', 'B3'], ['B2']]
    const declared = configOf(['B2', 'B3', 'B4'], groups)
    const released = configOf(['B2', 'B3', 'B4'], groups, { decoder: { compat: 'satmae' } })
    for (const [from, to] of [
      [declared, released],
      [released, declared],
    ] as const) {
      const { path } = await donorOf(from)
      scope(() => {
        const { loaded } = inherited(path, to)
        expect(loaded.filter((name) => name.startsWith('decoder_pred'))).toEqual([])
      })
    }
  })
})

it('from the same model takes everything, however its bands are written', async () => {
  const groups = (names: string[]) => [[names[2]!, names[0]!], [names[1]!]]
  const [long, short] = [
    ['B02', 'B08', 'B11'],
    ['b2', 'B8', 'b11'],
  ]
  const { path, parameters } = await donorOf(configOf(long, groups(long)))
  scope(() => {
    const made = inherited(path, configOf(short, groups(short)))
    expect([made.inflated, made.fresh, made.unused]).toEqual([[], [], []])
    expect(made.names).toEqual([...parameters.keys()])
    for (const [name, weight] of parameters) expect(made.values(name)).toEqual(numbers(weight))
  })
})

it('takes the blocks that are there, and initializes the others', async () => {
  const { path } = await donorOf(configOf(null))
  scope(() => {
    const made = inherited(path, configOf(null, null, { model: { depth: 2 }, decoder: { width: 24 } }))
    const fresh = made.fresh.map(({ name }) => name)
    expect(
      fresh.filter((name) => name.startsWith('blocks.')).every((name) => name.startsWith('blocks.1.')),
    ).toBe(true)
    expect(fresh).toContain('decoder_embed.weight')
    expect(made.loaded).toContain('blocks.0.attn.qkv.weight')
    expect(made.loaded).toContain('patch_embed.proj.weight')
  })
})

it('finds the weights in a folder, and holds nothing when the scope is over', async () => {
  const dir = join(await workFolder(), 'checkpoint')
  mkdirSync(dir)
  const config = configOf(null)
  const rows = rowsOf(config)
  const parameters = stirredParameters({ rows })
  held.push(parameters)
  writeSafetensors(join(dir, 'model.safetensors'), parameters)
  const before = liveTensors()
  scope(() => {
    const { tensors, inheritance } = inherit(dir, rows, config)
    expect(inheritance.path).toBe(join(dir, 'model.safetensors'))
    expect(inheritance.loaded).toEqual(rows.map(({ name }) => name)) // photographs on both sides
    expect(liveTensors() - before).toBe(tensors.size)
  })
  expect(liveTensors()).toBe(before)
})

it.each([
  [
    'what is not there',
    'RUN',
    /nowhere does not exist: expected a run, a checkpoint of it, a file or folder of weights, or hf:owner\/name/,
  ],
  ['a folder that is no run', 'RUN', /is not a run of sherd/],
  ['another width', 'CHECKPOINT', /its blocks\.0\.attn\.qkv\.weight is \[96, 32\], expected \[144, 48\]/],
])('refuses %s', async (what, code, message) => {
  const dir = await workFolder()
  const { path } = await donorOf(configOf(null))
  const given = { 'what is not there': join(dir, 'nowhere'), 'a folder that is no run': dir }[what] ?? path
  const config = configOf(null, null, { model: { width: 48 } })
  const attempt = () => scope(() => inherit(given, rowsOf(config), config))
  expect(attempt).toThrow(message)
  expect(attempt).toThrow(expect.objectContaining({ code }))
})
