import { describe, expect, it } from 'vitest'
import { configKeys, describeKeys, type KeyDescription } from '../../../src/config/keys.ts'
import { presetNames, presetOf } from '../../../src/config/presets.ts'
import { resolveConfig } from '../../../src/config/resolve.ts'
import { choosers } from '../../../src/config/tables.ts'
import { inProcess } from '../sherd.ts'

describe('sherd presets', () => {
  it('lists each with its size', async () => {
    const { status, stdout } = await inProcess(['presets'])
    expect(status).toBe(0)
    const rows = stdout.trimEnd().split('\n').slice(1)
    expect(rows.map((row) => row.split(' ')[0])).toEqual(presetNames)
    // Encoder parameters of ViT-B/16, L/16 and H/14 without a classifier: 86 M, 303 M and 630 M (Dosovitskiy et al. 2021).
    expect(rows.find((row) => row.startsWith('mae-base-224'))).toMatch(/224 × 224 +16 +85\.\d M/)
    expect(rows.find((row) => row.startsWith('mae-large-224'))).toMatch(/ 303\.\d M/)
    expect(rows.find((row) => row.startsWith('mae-huge-224'))).toMatch(/ 14 +630\.\d M/)
  })

  it('lists them for machines', async () => {
    const [line] = (await inProcess(['presets', '--json'])).json()
    const rows = line?.presets as { name: string; patchSize: number }[]
    expect(rows?.map(({ name }) => name)).toEqual(presetNames)
    expect(rows?.find(({ name }) => name === 'mae-huge-224')).toMatchObject({
      imageSize: [224, 224],
      patchSize: 14,
    })
  })

  it('lists every key with default and meaning', async () => {
    const [human, machine] = await Promise.all([
      inProcess(['presets', '--keys']),
      inProcess(['presets', '--keys', '--json']),
    ])
    const [{ keys } = {}] = machine.json()
    expect(keys).toEqual(describeKeys())
    expect(keys).toContainEqual({
      key: 'optim.baseLearningRate',
      initial: '0.00015',
      meaning: 'per 256 samples of effective batch',
      allowed: 'number > 0',
      when: {},
    })
    const listed = human.stdout
      .split('\n')
      .slice(1)
      .map((line) => line.split(/ {2,}/)[0])
    expect([...new Set(listed.filter(Boolean))]).toEqual(configKeys())
    expect(human.stdout).toMatch(/^optim\.beta1 +0\.9 .*\(with optim\.optimizer=adamw or adam\)$/m)
    expect(human.stdout).toMatch(
      /^mask\.ratio +0\.75 +share of patches .* \(with objective=mae or crossmae, mask\.kind=random or block or .*\)$/m,
    )
    expect(human.stdout).toMatch(
      /^data\.clip +"deviations" .* \[none \| deviations \| percentiles\] \(with data\.kind=rasters\)$/m,
    )
  })

  it('lists the keys that an objective reads', async () => {
    const [own] = (await inProcess(['presets', '--keys', '--objective', 'mae', '--json'])).json()
    expect(own?.keys).toEqual(describeKeys({ objective: 'mae' }))
    const [none, alone] = await Promise.all([
      inProcess(['presets', '--keys', '--objective', 'nae']),
      inProcess(['presets', '--objective', 'mae']),
    ])
    expect([none.status, none.stderr]).toEqual([
      2,
      expect.stringContaining(
        `objective: expected ${choosers.objective.join(' or ')}, got "nae". Did you mean "mae"?`,
      ),
    ])
    expect([alone.status, alone.stderr]).toEqual([2, expect.stringContaining('add --keys')])
  })

  const keysWith = async (...args: string[]) => {
    const [line] = (await inProcess(['presets', ...args, '--json'])).json()
    const rows = line?.keys as KeyDescription[]
    return new Map(rows.map((row) => [row.key, row]))
  }

  it('lists the keys that are read with the values of others', async () => {
    const keys = await keysWith('--keys', '--set', 'target.kind=hog', '--set', 'optim.optimizer=sgd')
    for (const key of ['target.bins', 'optim.momentum', 'data.bands', 'mask.groups'])
      expect(keys.has(key)).toBe(true)
    for (const key of ['target.normalize', 'optim.beta1', 'optim.trustCoefficient'])
      expect(keys.has(key)).toBe(false)
    expect(keys.get('data.bands')!.when).toEqual({ 'data.kind': ['rasters'] })
  })

  it('lists the keys of a preset with its values', async () => {
    const keys = await keysWith(
      'satmae-tiny-sentinel2',
      '--keys',
      '--set',
      'optim.momentum=0.5',
      '--set',
      'optim.optimizer=sgd',
    )
    expect(keys.get('model.size')!.initial).toBe('"tiny"')
    expect(keys.get('optim.momentum')!.initial).toBe('0.5')
    expect(keys.get('model.heads')!.initial).toBe('3') // derived from the size
    expect(keys.has('data.range')).toBe(false) // of images
  })

  it.each([
    ['lr', ['optim.baseLearningRate']],
    ['--batch-size', ['train.batchSize']],
    ['mask', configKeys().filter((key) => key.startsWith('mask.'))],
    ['Scale-MAE', ['model.referenceResolution']],
  ])('finds keys by %s', async (pattern, wanted) => {
    expect([...(await keysWith(`--keys=${pattern}`)).keys()]).toEqual(wanted)
  })

  it('says which key was meant where none is found', async () => {
    const { status, stderr } = await inProcess(['presets', '--keys', 'mask.rtio'])
    expect([status, stderr]).toEqual([2, expect.stringContaining('Did you mean "mask.ratio"?')])
  })

  it('shows one in full', async () => {
    const { status, stdout } = await inProcess(['presets', 'mae-huge-224'])
    expect(status).toBe(0)
    const config = resolveConfig(presetOf('mae-huge-224').config)
    expect(JSON.parse(stdout)).toEqual(config)
    const { json } = await inProcess(['presets', 'mae-huge-224', '--json'])
    expect(json()).toEqual([{ kind: 'preset', name: 'mae-huge-224', config }])
  })

  it('suggests the one that was meant', async () => {
    const { status, stderr } = await inProcess(['presets', 'mae-hug-224'])
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('no preset "mae-hug-224". Did you mean "mae-huge-224"?'),
    ])
  })
})
