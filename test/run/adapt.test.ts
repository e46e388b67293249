// Continued pretraining with adapters, or of biases alone: what moves, what a run is read as, and that it is resumed exactly.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { mergeAdapters } from '../../src/model/adapt.ts'
import { inherit } from '../../src/run/inherit.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray } from '../../src/tensor/tensor.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose } from '../tolerance.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

const lora: ConfigInput['adapt'] = { kind: 'lora', rank: 2, alpha: 8, targets: ['qkv', 'fc2'] }
const configOf = (adapt: ConfigInput['adapt'], steps = 6) => {
  const checkpoint = { everySteps: 3 }
  return tinyConfig({ adapt, checkpoint, train: { steps, batchSize: 4, precision: 'fp32' } })
}

let [data, base] = ['', '']
const finished = async (adapt: ConfigInput['adapt'], init: string | undefined, steps?: number) => {
  const out = join(await workFolder(), 'run')
  await run({ config: configOf(adapt, steps), data, out, init })
  return out
}
const weightsOf = (out: string) => {
  const last = readdirSync(join(out, 'checkpoints')).sort().at(-1)!
  return readArrays(join(out, 'checkpoints', last, 'model.safetensors')).tensors
}
const bytes = ({ data: { buffer, byteOffset, byteLength } }: { data: ArrayBufferView }) =>
  Buffer.from(buffer, byteOffset, byteLength)

beforeAll(async () => {
  data = await sampleFolder(12)
  base = await finished({ kind: 'none' }, undefined, 2)
})

describe.each<[string, ConfigInput['adapt'], RegExp]>([
  ['low-rank adapters', lora, /\.lora_[AB]\.weight$/],
  ['biases', { kind: 'bitfit' } as ConfigInput['adapt'], /bias$/],
])('continued pretraining of %s', (_, adapt, learns) => {
  let out = ''
  beforeAll(async () => {
    out = await finished(adapt, base)
  })

  it('moves those and the decoder, and no other bit', () => {
    const [before, after] = [weightsOf(base), weightsOf(out)]
    const changed = [...after.keys()].filter((name) => {
      const was = before.get(name)
      return !was || !bytes(was).equals(bytes(after.get(name)!))
    })
    const ofEncoder = changed.filter((name) => !/^(decoder|mask_token)/.test(name))
    expect(ofEncoder.length).toBeGreaterThan(3)
    expect(ofEncoder.filter((name) => !learns.test(name))).toEqual([])
    expect(changed).toContain('decoder_embed.weight')
  })

  it('is resumed to the same bytes', async () => {
    const again = join(await workFolder(), 'run')
    const given = { config: configOf(adapt), out: again, init: base }
    await run({ ...given, data }, (event) => event.kind === 'step' && event.step === 4)
    await run({ ...given, resume: true })
    const [one, other] = [weightsOf(out), weightsOf(again)]
    expect([...other.keys()]).toEqual([...one.keys()])
    for (const [name, array] of one) expect(bytes(other.get(name)!).equals(bytes(array)), name).toBe(true)
  })

  it('gives a run that is read as a whole encoder, which others begin with', async () => {
    const { parameters, config } = await openEncoder({ model: out, device: 'cpu' })
    expect(config.adapt).toEqual({ kind: 'none' })
    const stored = new Map(
      [...weightsOf(out)].map(([name, { data, shape, dtype }]) => [name, fromArray(data, shape, dtype)]),
    )
    noGrad(() =>
      scope(() => {
        const whole = mergeAdapters(stored, configOf(adapt).adapt)
        for (const [name, value] of parameters) expectClose(value, whole.get(name)!, 0)
        const next = configOf({ kind: 'none' })
        const { tensors } = inherit(out, objectiveOf(next, 'cpu').rows, next)
        for (const [name, value] of tensors) expectClose(value, whole.get(name)!, 0)
      }),
    )
    // The adapter beside it is the same, with the encoder that it began with.
    const adapted = await openEncoder({ model: join(out, 'adapter'), device: 'cpu' })
    for (const [name, value] of parameters) expectClose(adapted.parameters.get(name)!, value, 0)
    const { objective, step } = await loadModel(out, 'cpu')
    expect([objective.rows.some(({ name }) => name.includes('lora')), step]).toEqual([false, 6])
  })
})

describe('an encoder that is adapted', () => {
  it('has to be given, and whole', async () => {
    const out = join(await workFolder(), 'run')
    await expect(run({ config: configOf(lora), data, out })).rejects.toThrow(
      'adapt.kind=lora keeps the weights that --init gives, and there is none',
    )
    const other = tinyConfig({ adapt: lora, model: { patchSize: 8 }, train: { steps: 1 } })
    await expect(run({ config: other, data, out, init: base })).rejects.toThrow(
      /adapt\.kind=lora leaves the encoder as .* gives no patch_embed\.proj\.weight \(it is \[32, 3, 4, 4\] there/,
    )
  })

  it('is not resumed with other adapters', async () => {
    const out = await finished(lora, base, 1)
    const config = configOf({ ...lora, rank: 3 })
    await expect(run({ config, out, resume: true })).rejects.toThrow('adapt.rank: 2 → 3')
  })
})
