// A run that begins with a published encoder as it lies: what becomes of its keys, what it is before the first step, and what is refused.
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { decodedConfig, resolveConfig } from '../../src/config/resolve.ts'
import type { Config, ConfigInput } from '../../src/config/schema.ts'
import { judge } from '../../src/evaluate/evaluate.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { under } from '../../src/model/parameters.ts'
import { packageRoot } from '../../src/package-root.ts'
import type { Consumer } from '../../src/run/consumers/consumer.ts'
import { probeEncoder } from '../../src/run/consumers/probe.ts'
import { expectContinues, findDonor, startingFrom } from '../../src/run/donor.ts'
import type { LoopEvent } from '../../src/run/events.ts'
import { existingRun } from '../../src/run/existing.ts'
import { inherit } from '../../src/run/inherit.ts'
import type { ProbeMetric } from '../../src/run/online-probe.ts'
import { openPretraining } from '../../src/run/open.ts'
import type { Run } from '../../src/run/run.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { findWeights, type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyDecoder, workFolder } from './tiny.ts'

const layouts = join(packageRoot(), '../shared/reference/layouts')
const fixtures = join(packageRoot(), 'test/fixtures/weights')
const timm = join(fixtures, 'timm')

/** A preset of another shape than any of the encoders. */
const preset = resolveConfig({
  decoder: tinyDecoder,
  model: { size: 'tiny', imageSize: 64, patchSize: 8 },
  train: { batchSize: 4, steps: 2, threads: 1, precision: 'fp32', device: 'cpu' },
  log: { pictureEverySteps: 0 },
})

async function configFor(init: string, own: ConfigInput = {}): Promise<Config> {
  const base = startingFrom(preset, await findDonor(init, own), own)
  return resolveConfig({
    ...base,
    data: { ...base.data, ...own.data },
    model: { ...base.model, ...own.model },
    train: { ...base.train, ...own.train },
    log: { ...base.log, ...own.log },
  } as ConfigInput)
}

let data = ''
beforeAll(async () => {
  data = await sampleFolder(40)
})
const newRun = async () => join(await workFolder(), 'run')

describe('keys of the run', () => {
  it('are those of the encoder, and of its images, where nothing else is set', async () => {
    const { config: theirs, statistics } = await findWeights({ model: timm })
    const config = await configFor(timm)
    const { feature: _, ...model } = config.model
    expect(theirs.model).toMatchObject(model)
    const { interpolation, resize } = theirs.data as Extract<Config['data'], { kind: 'images' }>
    expect(config.data).toMatchObject({ ...statistics, interpolation, resize })
    expect(decodedConfig(config).decoder).toEqual(decodedConfig(preset).decoder)
    expect(config.train).toEqual(preset.train)
  })

  it('that are set go first: another size keeps the grid of positions, other statistics stay', async () => {
    const { model } = (await findWeights({ model: timm })).config
    const [height, width] = model.imageSize
    const own = { model: { imageSize: 2 * height }, data: { mean: [0.1, 0.2, 0.3], std: [1, 1, 1] } }
    const config = await configFor(timm, own)
    const patch = model.patchSize as number
    expect(config.model).toMatchObject({
      imageSize: [2 * height, 2 * height],
      positionGrid: [height / patch, width / patch],
    })
    expect(config.data).toMatchObject(own.data)
    const { objective, facts, close } = await openPretraining({
      ...{ config, preset: 'tiny', data, out: await newRun(), init: timm },
    })
    close()
    expect(facts.statistics).toMatchObject(own.data)
    const donor = await (await findDonor(timm, config)).open()
    const { inheritance } = inherit(donor, objective.rows, config)
    expect([inheritance.loaded.includes('pos_embed'), inheritance.resampled]).toEqual([true, []])
  })

  it('that contradict the weights are an error that names each, before anything is written', async () => {
    const out = await newRun()
    const config = await configFor(timm)
    const other = resolveConfig({
      ...config,
      model: { ...config.model, registers: 2, layerNormEpsilon: 1e-3, preNorm: true },
    } as ConfigInput)
    await expect(run({ config: other, data: join(data, 'nowhere'), out, init: timm })).rejects.toThrow(
      /another encoder than this run has:\n {2}model\.layerNormEpsilon: 0?\.?\S+ there, 0\.001 here\n {2}model\.registers: 0 there, 2 here\n {2}model\.preNorm: false there, true here\n.*Leave these keys out/,
    )
    expect(existsSync(out)).toBe(false)
  })

  it('are not taken from weights of sherd, whose blocks may be fewer', async () => {
    const out = await newRun()
    const tiny = await configFor(timm, { train: { steps: 1 } })
    await run({ config: tiny, data, out, init: timm })
    const donor = await findDonor(out, {})
    expect([donor.found, startingFrom(preset, donor, {})]).toEqual([null, preset])
  })

  it('that a file leaves open are those that are set', async () => {
    const file = join(fixtures, 'mae.pth')
    await expect(findDonor(file, {})).rejects.toThrow(/does not say model\.heads/)
    const own = { model: { heads: 2 }, decoder: { heads: 2 } }
    const { found } = await findDonor(file, own)
    expect([found!.config.model.heads, decodedConfig(found!.config).decoder.heads]).toEqual([2, 2])
    // The decoder is taken, too.
    const config = await configFor(file, own)
    expect(decodedConfig(config).decoder).toMatchObject(decodedConfig(found!.config).decoder)
    const { objective, close } = await openPretraining({
      ...{ config, preset: 'tiny', data, out: await newRun(), init: file },
    })
    close()
    const { inheritance } = inherit(await (await findDonor(file, config)).open(), objective.rows, config)
    expect(inheritance.fresh).toEqual([])
  })
})

describe('other samples', () => {
  it('of bands are refused for image files, with what to choose', async () => {
    const config = await configFor(timm)
    const found = await findWeights({ model: timm })
    const bands = resolveConfig({ data: { bands: ['B2', 'B3'] }, model: { size: 'tiny' } } as ConfigInput)
    expect(() => expectContinues(config, { name: 'x', found: { ...found, config: bands } })).toThrow(
      /x is an encoder of bands \(B2, B3\), and this run is of image files: choose a preset that names bands/,
    )
    await expect(findDonor(join(fixtures, 'satmae.pth'), {})).rejects.toThrow(/does not say data\.bands/)
  })

  it('of more channels inflate the embedding, and that is said', async () => {
    const own = { model: { channels: 1 } }
    const config = await configFor(timm, own)
    const events = await run({ config, data, out: await newRun(), init: timm }, ({ kind }) => kind === 'step')
    expect(events.find(({ kind }) => kind === 'inherited')).toMatchObject({
      inflated: expect.arrayContaining(['patch_embed.proj.weight']),
    })
  })
})

it('says what it has begun with, and records the seal of the files', async () => {
  const [out, copy] = [await newRun(), join(await workFolder(), 'timm')]
  cpSync(timm, copy, { recursive: true })
  const config = await configFor(copy)
  const events = await run({ config, data, out, init: copy }, ({ kind }) => kind === 'step')
  const inherited = events.find(({ kind }) => kind === 'inherited')
  const { stored, files } = await findWeights({ model: copy })
  const taken = [...stored.keys()].filter((name) => !name.startsWith('head'))
  expect(inherited).toMatchObject({ path: copy, loaded: expect.arrayContaining(taken), inflated: [] })
  const { facts } = openRun(out)
  const { createHash } = await import('node:crypto')
  const sha256 = createHash('sha256').update(readFileSync(files[0]!)).digest('hex')
  expect([facts.init, facts.initSha256]).toEqual([copy, sha256])
  // There is no checkpoint yet: it begins again with the same weights.
  const again = await run({ config, out, resume: true }, ({ kind }) => kind === 'step')
  const lossOf = (all: typeof events) => (all.find(({ kind }) => kind === 'step') as { loss: number }).loss
  expect(lossOf(again)).toBe(lossOf(events))
  const request = { config, preset: 'tiny', data, out, init: copy }
  expect(await existingRun(request)).toMatchObject({ state: 'incomplete' })
  const other = readFileSync(files[0]!)
  other[other.length - 2]! ^= 1 // of the last number
  writeFileSync(files[0]!, other)
  await expect(existingRun(request)).rejects.toThrow(
    `holds a run of another request:\n  --init: ${copy}, of SHA-256 ${sha256.slice(0, 12)}… → ${copy}, of SHA-256 `,
  )
  await expect(run({ config, out, resume: true })).rejects.toThrow(
    /has no checkpoint yet, and --init .*timm has other weights .*restore them, or begin again with --overwrite/,
  )
  writeFileSync(files[0]!, 'gone')
  await expect(run({ config, out: await newRun(), data, init: copy })).rejects.toThrow(/timm/)
})

it('says where the last norm begins new, since the donor norms the mean of its tokens', async () => {
  const init = join(layouts, 'timm-beit')
  const config = await configFor(init)
  const donor = await (await findDonor(init, config)).open()
  const { fresh } = scope(() => inherit(donor, objectiveOf(config, 'cpu').rows, config)).inheritance
  const norms = fresh.filter(({ name }) => name.startsWith('norm.'))
  expect(norms.map(({ name }) => name)).toEqual(['norm.weight', 'norm.bias'])
  for (const { why } of norms) expect(why).toMatch(/\(fc_norm\).* so the last norm begins new/)
})

it('begins with an adapter on its base, as it was when it was saved', async () => {
  const [out, given] = [await newRun(), await configFor(timm)]
  const adapt = { kind: 'lora', rank: 2, alpha: 8, targets: ['qkv'] }
  const adapted = resolveConfig({ ...given, adapt, optim: { freezeEncoderSteps: 0 } } as ConfigInput)
  await run({ config: adapted, data, out, init: timm })
  const init = join(out, 'adapter')
  const config = await configFor(init)
  expect(config).toEqual(given)
  const opened = await openPretraining({ config, preset: 'tiny', data, out: await newRun(), init })
  opened.close()
  expect(opened.notes).toEqual([])
  const peft = join(init, 'adapter_config.json')
  writeFileSync(peft, JSON.stringify({ ...JSON.parse(readFileSync(peft, 'utf8')), lora_dropout: 0.1 }))
  const dropped = await openPretraining({ config, preset: 'tiny', data, out: await newRun(), init })
  dropped.close()
  expect(dropped.notes).toEqual([
    expect.stringContaining('was trained with lora_dropout 0.1, which sherd has not'),
  ])
  const whole = await openEncoder({ model: out, device: 'cpu' })
  const name = 'blocks.0.attn.qkv.weight'
  expect(toFloats(opened.model.parameters.get(name)!)).toEqual(toFloats(whole.parameters.get(name)!))
  expect(opened.facts.init).toBe(init)
})

describe('optim.freezeEncoderSteps', () => {
  const weightsAt = (out: string, step: number) =>
    readArrays(join(out, `checkpoints/step-${String(step).padStart(8, '0')}/model.safetensors`)).tensors
  const configOf = async (optim: ConfigInput['optim']) =>
    resolveConfig({
      ...{ ...(await configFor(timm, { train: { steps: 4 } })), optim },
      checkpoint: { everySteps: 1, keep: 9 },
    } as ConfigInput)

  it.each<[string, ConfigInput['optim']]>([
    ['as it is set', { freezeEncoderSteps: 2, warmupSteps: 0 }],
    ['the warm-up, where it is not', { warmupSteps: 2 }],
  ])(
    'keeps every bit of the encoder for so many steps: %s; resumed across them it is the same',
    async (_, optim) => {
      const [out, again, config] = [await newRun(), await newRun(), await configOf(optim)]
      await run({ config, data, out, init: timm })
      const { load } = await findWeights({ model: timm })
      const given = await load((name) => weightsAt(out, 1).has(name))
      const changed = (step: number) =>
        [...given].filter(
          ([name, { data }]) => !isDeepStrictEqual(weightsAt(out, step).get(name)!.data, data),
        )
      expect(given.size).toBeGreaterThan(10)
      expect([changed(1), changed(2)]).toEqual([[], []])
      expect(changed(3).length).toBeGreaterThan(10)
      expect(weightsAt(out, 2).get('decoder_embed.weight')).not.toEqual(
        weightsAt(out, 1).get('decoder_embed.weight'),
      )
      await run(
        { config, data, out: again, init: timm },
        (event) => event.kind === 'step' && event.step === 2,
      )
      await run({ config, out: again, resume: true })
      expect(weightsAt(again, 4)).toEqual(weightsAt(out, 4))
    },
  )

  it('needs an encoder that is given, and 0 trains all of it at once', async () => {
    const config = await configOf({ freezeEncoderSteps: 3 })
    await expect(run({ config, data, out: await newRun() })).rejects.toThrow(
      'optim.freezeEncoderSteps=3 keeps the encoder that --init gives, and there is none',
    )
    const out = await newRun()
    const all = await configOf({ freezeEncoderSteps: 0, warmupSteps: 2 })
    await run(
      { config: all, data, out, init: timm },
      ({ kind, ...event }) => kind === 'step' && 'step' in event && event.step === 3,
    )
    const name = 'blocks.0.attn.qkv.weight'
    expect(weightsAt(out, 2).get(name)).not.toEqual(weightsAt(out, 1).get(name))
  })
})

describe('a probe', () => {
  it('that falls two points below step 0 is a warning, once, and again after it was back; also when it is resumed', async () => {
    const state = { step: 0 }
    const of = { 0: 0.5, 1: 0.481, 2: 0.48, 3: 0.4, 4: 0.49, 5: 0.1 } as Record<number, number>
    const probes: ProbeMetric[] = []
    const look = async (step: number) =>
      ({ kind: 'probe', step, knn: { mean: 0.1, cls: of[step] } }) as unknown as ProbeMetric
    const paths = { metrics: join(await workFolder(), 'metrics.jsonl') }
    const given = (init: string | undefined) =>
      ({
        ...{ paths, state, facts: { init }, config: { log: { probeEverySteps: 1 } } },
        ...{ span: (_: string, body: () => unknown) => body(), recipe: { totalSteps: 6 } },
        warning: (message: string) => ({ kind: 'warning', message }),
      }) as unknown as Run
    const opened = (init?: string) => probeEncoder(given(init), look, { probes, isEarly: () => false })
    const at = async (consumer: Consumer, step: number) => {
      state.step = step
      const events = await (step === 0 ? consumer.begin!() : consumer.on!({ kind: 'step' } as LoopEvent))
      return events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []))
    }
    expect([await at(opened(), 0), probes]).toEqual([[], []]) // nothing was given
    const first = opened('donor')
    expect([await at(first, 0), await at(first, 1)]).toEqual([[], []])
    const [warning] = await at(first, 2)
    expect(warning).toMatch(/^Step 2: kNN of the encoder is 2\.0 points below that of donor at step 0/)
    const resumed = opened('donor')
    expect(await at(resumed, 3)).toEqual([])
    expect(await at(resumed, 4)).toEqual([])
    expect((await at(resumed, 5))[0]).toMatch(/^Step 5: .* 40\.0 points below/)
  })

  it('of an encoder that is given comes before the first step, and once', async () => {
    const config = await configFor(timm, { log: { probe: data, probeEverySteps: 100 } })
    const out = await newRun()
    const isStep = ({ kind }: { kind: string }) => kind === 'step'
    const events = await run({ config, data, out, init: timm }, isStep)
    const kinds = events.map(({ kind }) => kind).filter((kind) => kind === 'probe' || kind === 'step')
    expect(kinds).toEqual(['probe', 'step'])
    expect(events.find(({ kind }) => kind === 'probe')).toMatchObject({ step: 0 })
    const again = await run({ config, out, resume: true }, isStep)
    expect(again.filter(({ kind }) => kind === 'probe')).toEqual([])
  })
})

describe.runIf(existsSync(layouts))('before the first step', () => {
  it.each(['vit', 'dinov2', 'dinov3', 'siglip'])(
    '%s is the encoder that was given, bit for bit, and so is its kNN',
    async (name) => {
      const init = join(layouts, name)
      const config = await configFor(init, { log: { probe: data } })
      const opened = await openPretraining({ config, preset: 'tiny', data, out: await newRun(), init })
      try {
        const donor = await openEncoder({ model: init, device: 'cpu' })
        const parameters = under(opened.model.parameters, opened.objective.encoder.prefix)
        for (const [key, value] of donor.parameters)
          if (!/^(attn_pool|projection)\./.test(key))
            expect(toFloats(parameters.get(key)!), key).toEqual(toFloats(value))
        const { statistics } = opened.facts
        const atStart: OpenedEncoder = { ...donor, config, statistics, parameters }
        const probe = await opened.look!(0)
        const features = Object.keys(probe.knn) as ('cls' | 'mean')[]
        const read = (encoder: OpenedEncoder) =>
          openImages({ encoder, data: { train: data, test: null }, features })
        const [now, was] = [await read(atStart), await read(donor)]
        expect(now.train.features).toEqual(was.train.features)
        const settings = {
          ...{ neighbours: [Math.min(20, was.trainRows.length)], temperature: 0.07, shots: [] },
          optimizer: 'lars' as const,
          ...{ baseLearningRates: [0.1], epochs: 1, batchSize: 8 },
        }
        const { rows } = await judge(was, { protocol: 'knn', settings, seeds: [0] })
        expect(features.length).toBeGreaterThan(0)
        for (const feature of features)
          expect(probe.knn[feature]).toBe(rows.find(({ pooling }) => pooling === feature)!.top1.mean)
      } finally {
        opened.close()
      }
    },
  )
})
