// Adapters of PEFT on encoders of transformers: which rows of which weight each module changes, and by how much.
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { FloatArray } from '../../src/checkpoint/arrays.ts'
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { inspect } from '../../src/inspect/inspect.ts'
import type { Parameters } from '../../src/model/parameters.ts'
import { packageRoot } from '../../src/package-root.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { workFolder } from '../run/tiny.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'

const layoutOf = (name: string) => join(packageRoot(), '../shared/reference/layouts', name)
const array = (shape: readonly number[], seed: number) => ({
  ...{ dtype: 'float32' as const, shape, data: Float32Array.from(wave(product(shape), seed)) },
})

interface Made {
  readonly dir: string
  readonly pairs: Readonly<Record<string, { readonly a: FloatArray; readonly b: FloatArray }>>
}

/** An adapter as PEFT would leave it: of each module [out, in] with the rank. */
async function adapterOf(
  base: string,
  modules: Readonly<Record<string, readonly [out: number, inner: number]>>,
  { rank = 2, ...config }: Readonly<Record<string, unknown>> & { readonly rank?: number } = {},
): Promise<Made> {
  const dir = join(await workFolder(), 'adapter')
  mkdirSync(dir)
  const pairs = Object.fromEntries(
    Object.entries(modules).map(([module, [out, inner]], i) => [
      module,
      { a: array([rank, inner], 2 * i), b: array([out, rank], 2 * i + 1) },
    ]),
  )
  const tensors = Object.entries(pairs).flatMap(([module, { a, b }]) => [
    [`base_model.model.${module}.lora_A.weight`, a] as const,
    [`base_model.model.${module}.lora_B.weight`, b] as const,
  ])
  writeSafetensors(join(dir, 'adapter_model.safetensors'), new Map(tensors), { format: 'pt' })
  const peft = { peft_type: 'LORA', base_model_name_or_path: base, r: rank, lora_alpha: 3, ...config }
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(peft))
  return { dir, pairs }
}

/** s·B·A, counted by hand. */
const changeOf = ({ a, b }: Made['pairs'][string], scale: number): number[] => {
  const [rank, inner] = a.shape as [number, number]
  return Array.from({ length: b.shape[0]! * inner }, (_, n) => {
    const [i, j] = [Math.floor(n / inner), n % inner]
    let total = 0
    for (let k = 0; k < rank; k++) total += b.data[i * rank + k]! * a.data[k * inner + j]!
    return scale * total
  })
}

/** What has changed of a weight, and the names of all that have. */
const differences = (before: Parameters, after: Parameters) => {
  const found = new Map<string, number[]>()
  for (const [name, value] of after) {
    const was = numbers(before.get(name)!)
    const change = numbers(value).map((x, i) => x - was[i]!)
    if (change.some((x) => x !== 0)) found.set(name, change)
  }
  return found
}
const opened = async (model: string) => await openEncoder({ model, device: 'cpu' })
const part = (values: readonly number[], n: number, of: number) =>
  values.slice((n * values.length) / of, ((n + 1) * values.length) / of)

const D = 32
let plain: Record<'vit' | 'dinov2-swiglu' | 'clip-vision', Parameters>
beforeAll(async () => {
  const [vit, dinov2, clip] = await Promise.all(
    ['vit', 'dinov2-swiglu', 'clip-vision'].map(async (name) => (await opened(layoutOf(name))).parameters),
  )
  plain = { vit: vit!, 'dinov2-swiglu': dinov2!, 'clip-vision': clip! }
})

describe('an adapter of PEFT', () => {
  it.each([
    ['of transformers 4', 'encoder.layer.1.attention.attention', 'query', 'value'],
    ['of a classifier of transformers 4', 'vit.encoder.layer.1.attention.attention', 'query', 'value'],
    ['of transformers 5', 'layers.1.attention', 'q_proj', 'v_proj'],
  ])('%s: queries and values are thirds of qkv', async (_, at, query, value) => {
    const { dir, pairs } = await adapterOf(layoutOf('vit'), {
      [`${at}.${query}`]: [D, D],
      [`${at}.${value}`]: [D, D],
    })
    const { parameters, notes } = await opened(dir)
    const changed = differences(plain.vit, parameters)
    expect([...changed.keys()]).toEqual(['blocks.1.attn.qkv.weight'])
    const change = changed.get('blocks.1.attn.qkv.weight')!
    expectClose(part(change, 0, 3), changeOf(pairs[`${at}.${query}`]!, 3 / 2), 1e-6)
    expectClose(part(change, 1, 3), Array(D * D).fill(0), 0)
    expectClose(part(change, 2, 3), changeOf(pairs[`${at}.${value}`]!, 3 / 2), 1e-6)
    expect(notes!.at(-1)).toContain('added to 2 linear maps; it does not say which weights it was trained on')
  })

  it('of a gate: its two maps are halves of ours, or one of theirs is ours', async () => {
    const hidden = plain['dinov2-swiglu'].get('blocks.0.mlp.w12.weight')!.shape[0]! / 2
    const of5 = 'encoder.layer.0.mlp'
    const { dir, pairs } = await adapterOf(layoutOf('dinov2-swiglu'), {
      [`${of5}.up_proj`]: [hidden, D],
      [`${of5}.down_proj`]: [D, hidden],
    })
    const changed = differences(plain['dinov2-swiglu'], (await opened(dir)).parameters)
    expect([...changed.keys()]).toEqual(['blocks.0.mlp.w12.weight', 'blocks.0.mlp.w3.weight'])
    const gate = changed.get('blocks.0.mlp.w12.weight')!
    expectClose(part(gate, 0, 2), Array(hidden * D).fill(0), 0)
    expectClose(part(gate, 1, 2), changeOf(pairs[`${of5}.up_proj`]!, 3 / 2), 1e-6)
    const of4 = 'encoder.layer.0.mlp.weights_in'
    const { dir: other, pairs: ofOther } = await adapterOf(layoutOf('dinov2-swiglu'), {
      [of4]: [2 * hidden, D],
    })
    const whole = differences(plain['dinov2-swiglu'], (await opened(other)).parameters)
    expectClose(whole.get('blocks.0.mlp.w12.weight')!, changeOf(ofOther[of4]!, 3 / 2), 1e-6)
  })

  it('of both towers of CLIP: that of the text is left out, and said', async () => {
    const at = (tower: string) => `${tower}.encoder.layers.0.self_attn.q_proj`
    const { dir } = await adapterOf(layoutOf('clip-vision'), {
      [at('vision_model')]: [D, D],
      [at('text_model')]: [D, D],
    })
    const { parameters, notes } = await opened(dir)
    expect([...differences(plain['clip-vision'], parameters).keys()]).toEqual(['blocks.0.attn.qkv.weight'])
    expect(notes!.at(-1)).toBe(`left out of it, since the encoder has no such part: ${at('text_model')}`)
  })

  it('is scaled by alpha over the root of the rank with use_rslora, and by a module of its own', async () => {
    const names = ['layers.0.attention.o_proj', 'layers.0.mlp.fc1'] as const
    const hidden = plain.vit.get('blocks.0.mlp.fc1.weight')!.shape[0]!
    const { dir, pairs } = await adapterOf(
      layoutOf('vit'),
      { [names[0]]: [D, D], [names[1]]: [hidden, D] },
      { rank: 4, use_rslora: true, alpha_pattern: { 'mlp.fc1': 5 } },
    )
    const changed = differences(plain.vit, (await opened(dir)).parameters)
    expectClose(changed.get('blocks.0.attn.proj.weight')!, changeOf(pairs[names[0]]!, 3 / 2), 1e-6)
    expectClose(changed.get('blocks.0.mlp.fc1.weight')!, changeOf(pairs[names[1]]!, 5 / 2), 1e-6)
  })

  it('is merged where the model is exported', async () => {
    const { dir } = await adapterOf(layoutOf('dinov2'), { 'encoder.layer.1.attention.k_proj': [D, D] })
    const out = join(await workFolder(), 'timm')
    await exportTimm({ model: dir, out })
    const [adapted, exported] = [await opened(dir), await opened(out)]
    for (const [name, value] of adapted.parameters) expectClose(exported.parameters.get(name)!, value, 0)
  })

  it('is described: what it changes, of which base, and how small it is', async () => {
    const names = ['layers.0.attention.q_proj', 'layers.1.attention.q_proj', 'layers.1.mlp.fc1']
    const modules = { [names[0]!]: [D, D], [names[1]!]: [D, D], [names[2]!]: [4 * D, D] } as const
    const { dir } = await adapterOf(layoutOf('vit'), modules)
    const bytes = ['adapter_config.json', 'adapter_model.safetensors'].reduce(
      (sum, name) => sum + statSync(join(dir, name)).size,
      0,
    )
    const said = {
      ...{ peftType: 'LORA', base: layoutOf('vit'), rank: 2, alpha: 3, bytes },
      ...{ targets: ['attention.q_proj', 'mlp.fc1'], maps: 3, trained: 2 * (2 * D + 2 * D + 5 * D) },
      ...{ baseSha256: null, classes: null },
    }
    for (const path of [dir, join(dir, 'adapter_model.safetensors')])
      expect(await inspect(path, { limits: {} })).toMatchObject({
        ...{ what: 'adapter', title: 'low-rank adapter (LoRA)', usable: true, facts: said, notes: [] },
      })
    const other = await adapterOf(layoutOf('vit'), { [names[0]!]: [64, 64] })
    expect(await inspect(other.dir, { limits: {} })).toMatchObject({
      ...{ usable: false, reason: expect.stringContaining('changes a weight of [64, 64]') },
    })
    const ofHub = await adapterOf('owner/name', { [names[0]!]: [D, D] }, { revision: 'v1' })
    expect(await inspect(ofHub.dir, { limits: {} })).toMatchObject({
      ...{
        usable: true,
        notes: [expect.stringContaining('Its base is hf:owner/name@v1 of the Hugging Face hub')],
      },
    })
  })

  it('is refused on an encoder of another width, or without its modules', async () => {
    const wide = await adapterOf(layoutOf('vit'), { 'layers.0.attention.q_proj': [64, 64] })
    await expect(opened(wide.dir)).rejects.toThrow(
      /it is not of .*vit.*: layers\.0\.attention\.q_proj changes a weight of \[64, 64\], and there it is \[32, 32\]/,
    )
    const other = await adapterOf(layoutOf('vit'), { 'model.layers.7.self_attn.q_proj': [D, D] })
    await expect(opened(other.dir)).rejects.toThrow(
      'whose encoder has none of its modules: model.layers.7.self_attn.q_proj',
    )
  })
})
