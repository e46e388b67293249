// Every published layout, as its library wrote it: read whole, and refused by name where something is missing, left over, of another shape.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { StoredArray } from '../../src/checkpoint/arrays.ts'
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { openForeign } from '../../src/import/foreign.ts'
import { type ImportPlan, planImport } from '../../src/import/import.ts'
import { packageRoot } from '../../src/package-root.ts'

const root = join(packageRoot(), '../shared/reference/layouts')
const work = mkdtempSync(join(tmpdir(), 'sherd-conformance-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

interface Row {
  readonly layout: string
  readonly family: string
  /** What decides numbers. */
  readonly model: Readonly<Record<string, unknown>>
  /** Tensors that are left out, such as those of a tower of texts. */
  readonly left?: number
}

const vit = { layerNormEpsilon: 1e-12, positions: 'learned', resampling: 'cubic', activation: null }
const authors = { layerNormEpsilon: 1e-6, positions: 'learned', resampling: 'cubic-offset', feature: 'cls' }
const timm = { layerNormEpsilon: 1e-6, positions: 'learned', resampling: 'cubic-antialias', activation: null }
const beit = { positions: 'none', qkvBias: 'qv', feature: 'mean' }
const timmBeit = { ...beit, relativeResampling: 'geometric' }
const clip = { layerNormEpsilon: 1e-5, preNorm: true, patchBias: false, positions: 'learned' }
const siglip = {
  layerNormEpsilon: 1e-6,
  cls: false,
  activation: 'gelu-tanh',
  attentionPool: true,
  feature: 'pooled',
}
const turned = { layerNormEpsilon: 1e-5, positions: 'none', registers: 4 }

/** A row for every folder. */
const rows: Readonly<Record<string, Row>> = {
  vit: { layout: 'huggingface', family: 'vit', model: { ...vit, feature: 'cls' }, left: 2 },
  'vit-classifier': { layout: 'huggingface', family: 'vit', model: vit },
  'vit-mae-encoder': { layout: 'huggingface', family: 'mae', model: { ...vit, feature: 'mean' } },
  'vit-mae-pretraining': { layout: 'huggingface-5', family: 'mae', model: vit },
  'vit-mae-pretraining-4': { layout: 'huggingface', family: 'mae', model: vit },
  'vit-msn': { layout: 'huggingface', family: 'msn', model: { ...vit, layerNormEpsilon: 1e-6 } },
  ijepa: {
    layout: 'huggingface',
    family: 'ijepa',
    model: { layerNormEpsilon: 1e-6, cls: false, feature: 'mean' },
  },
  beit: {
    layout: 'huggingface-beit',
    family: 'beit',
    model: { ...beit, relativePositions: 'per-block', relativeResampling: 'linear' },
    left: 1,
  },
  'beit-pretraining': {
    ...{
      layout: 'huggingface-beit',
      family: 'beit',
      model: { ...beit, relativePositions: 'shared' },
      left: 5,
    },
  },
  'data2vec-vision': {
    ...{ layout: 'huggingface-beit', family: 'data2vec', model: { ...beit, relativePositions: 'both' } },
  },
  dinov2: {
    layout: 'huggingface-dinov2',
    family: 'dinov2',
    model: { layerNormEpsilon: 1e-6, layerScale: 1 },
    left: 1,
  },
  'dinov2-swiglu': {
    layout: 'huggingface-dinov2',
    family: 'dinov2',
    model: { feedForward: 'swiglu', activation: null },
    left: 1,
  },
  'dinov2-registers': {
    ...{
      layout: 'huggingface-dinov2',
      family: 'dinov2',
      model: { registers: 3, resampling: 'cubic-antialias' },
      left: 1,
    },
  },
  dinov3: {
    layout: 'huggingface-dinov3',
    family: 'dinov3',
    model: { ...turned, rotaryPeriods: [1, 10], qkvBias: 'qv' },
    left: 1,
  },
  'dinov3-gated': {
    ...{ layout: 'huggingface-dinov3-gate', family: 'dinov3', left: 1 },
    model: { ...turned, feedForward: 'gated', hidden: 48, qkvBias: 'none' },
  },
  clip: {
    layout: 'huggingface-clip',
    family: 'clip',
    model: { ...clip, activation: 'quick-gelu', projection: 24 },
    left: 22,
  },
  'clip-vision': {
    layout: 'huggingface-clip',
    family: 'clip',
    model: { ...clip, activation: null, feature: 'pooled' },
  },
  siglip: {
    layout: 'huggingface-siglip',
    family: 'siglip',
    model: { ...siglip, resampling: 'cubic' },
    left: 24,
  },
  'siglip-vision': { layout: 'huggingface-siglip', family: 'siglip', model: siglip },
  'siglip-vision-4': { layout: 'huggingface-siglip', family: 'siglip', model: siglip },
  'siglip2-naflex': {
    layout: 'huggingface-naflex',
    family: 'siglip2',
    model: { ...siglip, resampling: 'linear-antialias' },
  },
  'timm-vit-classifier': { layout: 'timm', family: 'vit', model: timm },
  'timm-vit-dino': { layout: 'timm', family: 'dino', model: { ...timm, feature: 'cls' } },
  'timm-vit-mae': { layout: 'timm', family: 'mae', model: timm },
  'timm-dinov2': { layout: 'timm', family: 'dinov2', model: { ...timm, registers: 0 } },
  'timm-dinov2-registers': { layout: 'timm', family: 'dinov2', model: { ...timm, registers: 4 } },
  'timm-dinov2-swiglu': {
    layout: 'timm-gate',
    family: 'dinov2',
    model: { feedForward: 'swiglu', hidden: 85 },
  },
  'timm-dinov3': {
    layout: 'timm-eva',
    family: 'dinov3',
    model: { ...turned, qkvBias: 'none', feature: 'mean' },
  },
  'timm-dinov3-qkvb': {
    layout: 'timm-eva',
    family: 'dinov3',
    model: { ...turned, qkvBias: 'qv', feature: 'cls' },
  },
  'timm-dinov3-swiglu': {
    layout: 'timm-eva-gate',
    family: 'dinov3',
    model: { ...turned, feedForward: 'gated' },
  },
  'timm-beit': { layout: 'timm-beit', family: 'beit', model: { ...timmBeit, layerNormEpsilon: 1e-6 } },
  'timm-beitv2': { layout: 'timm-beit', family: 'beitv2', model: { ...timmBeit, imageSize: [32, 48] } },
  'timm-clip': { layout: 'timm', family: 'clip', model: { ...clip, activation: null, feature: 'cls' } },
  'timm-clip-quickgelu': { layout: 'timm', family: 'clip', model: { ...clip, activation: 'quick-gelu' } },
  'timm-siglip': { layout: 'timm', family: 'siglip', model: { ...siglip, activation: null } },
  'timm-siglip-tanh': { layout: 'timm', family: 'siglip', model: siglip },
  'timm-siglip-gap': { layout: 'timm', family: 'siglip', model: { ...timm, cls: false, feature: 'mean' } },
  openclip: {
    layout: 'openclip',
    family: 'clip',
    model: { ...clip, activation: null, heads: 4, projection: 24 },
    left: 17,
  },
  'openclip-quickgelu': {
    layout: 'openclip',
    family: 'clip',
    model: { ...clip, activation: 'quick-gelu' },
    left: 17,
  },
  'dino-pth': { layout: 'timm', family: 'dino', model: authors },
  'dino-pth-training': { layout: 'timm', family: 'dino', model: authors, left: 8 },
  'ibot-pth': { layout: 'timm', family: 'dino', model: authors },
  'ibot-pth-training': { layout: 'timm', family: 'ibot', model: authors, left: 10 },
  'dinov2-pth': { layout: 'dino', family: 'dinov2', model: authors, left: 1 },
  'dinov2-pth-registers-swiglu': {
    ...{ layout: 'dino', family: 'dinov2', left: 1 },
    model: { ...authors, resampling: 'cubic-antialias', registers: 4, feedForward: 'swiglu' },
  },
  'dinov2-pth-training': { layout: 'dino', family: 'dinov2', model: { ...authors, depth: 4 }, left: 7 },
  'dinov3-pth': {
    ...{ layout: 'dinov3', family: 'dinov3', left: 1 },
    model: { ...turned, qkvBias: 'qv', rotaryPeriods: [1, 3.15625, 10, 31.625], heads: 2 },
  },
  'dinov3-pth-swiglu': {
    ...{ layout: 'dinov3', family: 'dinov3', left: 3 },
    model: { ...turned, qkvBias: 'none', feedForward: 'gated', hidden: 64, heads: 2 },
  },
}

/** A PyTorch file does not say its heads, but for rotary positions. */
const setFor = (name: string) => (/(?:dino|ibot|dinov2)-pth/.test(name) ? ['model.heads=4'] : [])

const planned = <T>(from: string, name: string, body: (plan: ImportPlan) => T) =>
  planImport({ from, set: setFor(name) }, body)

/** The weights of a folder as a file of safetensors, with its configurations, after a change. */
async function changed(name: string, change: (tensors: Map<string, StoredArray>) => void): Promise<string> {
  const weights = await openForeign(join(root, name))
  const tensors = new Map<string, StoredArray>()
  for (const [key, { dtype, shape, read }] of weights.arrays)
    tensors.set(key, { dtype, shape, data: await read() })
  await weights.close()
  change(tensors)
  const dir = mkdtempSync(join(work, 'changed-'))
  const isOpenClip = existsSync(join(root, name, 'open_clip_config.json'))
  for (const file of readdirSync(join(root, name)))
    if (file.endsWith('.json')) copyFileSync(join(root, name, file), join(dir, file))
  writeSafetensors(join(dir, isOpenClip ? 'open_clip_model.safetensors' : 'model.safetensors'), tensors)
  return dir
}

/** A parameter of the last block, by its name in the file. */
const inLastBlock = (names: Iterable<string>) =>
  [...names]
    .filter(
      (name) =>
        /(?<!text_model\..*)(?:blocks|layers?|resblocks)\.(?:\d\.)?[13]\..*weight$/.test(name) &&
        !/^transformer|decoder/.test(name),
    )
    .at(-1)!

describe.runIf(existsSync(root))('published layouts', () => {
  const folders = existsSync(root) ? readdirSync(root).filter((name) => !name.startsWith('videomae')) : []

  it('are those of the table', () => {
    expect(Object.keys(rows).sort()).toEqual(folders.sort())
  })

  it.each(Object.entries(rows))('%s is read whole', async (name, { layout, family, model, left = 0 }) => {
    await planned(join(root, name), name, async (plan) => {
      expect([plan.layout, plan.family]).toEqual([layout, family])
      expect(plan.config.model).toMatchObject(model)
      expect(plan.taken.of - plan.taken.tensors).toBe(left)
      expect(plan.taken.share).toBeGreaterThan(0.85)
      if (left === 0) expect(plan.taken.share).toBe(1)
      for (const { row, read } of plan.fitted)
        expect((await read!()).length).toBe(row.shape.reduce((a, b) => a * b, 1))
    })
  })

  it.each(Object.keys(rows))(
    '%s is refused with a parameter less, one more, one of another shape',
    async (name) => {
      const read = async (change: (tensors: Map<string, StoredArray>) => void) =>
        planned(await changed(name, change), name, ({ rows }) => rows)
      let target = ''
      const heads = /pth/.test(name) && !/dinov3/.test(name)
      expect(heads).toBe(setFor(name).length > 0)
      await expect(
        read((tensors) => {
          target = inLastBlock(tensors.keys())
          tensors.delete(target)
        }),
      ).rejects.toThrow(`missing (1): ${target}`)
      const prefix = /^(?:backbone\.|vit\.|beit\.|vision_model\.|visual\.)/.exec(target)?.[0] ?? ''
      const one: StoredArray = { dtype: 'float32', shape: [1], data: Float32Array.of(1) }
      await expect(read((tensors) => tensors.set(`${prefix}extra.thing`, one))).rejects.toThrow(
        `unexpected (1): ${prefix}extra.thing`,
      )
      await expect(
        read((tensors) => {
          const { data, shape } = tensors.get(target)!
          tensors.set(target, { dtype: 'float32', shape: [...shape, 1], data })
        }),
      ).rejects.toThrow(new RegExp(`of another shape \\(1\\): .*${target.replaceAll('.', '\\.')}`))
    },
  )

  it.each([
    ['vit', 'config.json', { hidden_act: 'relu' }, /hidden_act.*"relu".*Expected one of gelu/],
    ['dinov3', 'config.json', { hidden_act: 'mish' }, /"mish"/],
    ['beit', 'config.json', { hidden_act: 'selu' }, /"selu"/],
    ['timm-vit-dino', 'config.json', { model_args: { act_layer: 'relu6', num_heads: 4 } }, /"relu6"/],
    [
      'clip',
      'config.json',
      { vision_config: { model_type: 'clip_vision_model', hidden_act: 'tanh' } },
      /"tanh"/,
    ],
    ['vit', 'config.json', { model_type: 'deit' }, /model_type is "deit".*what "deit" computes/],
    ['timm-clip', 'config.json', { architecture: 'vit_new_one' }, /does not say model\.activation/],
    [
      'timm-dinov3',
      'config.json',
      { architecture: 'vit_base_patch16_rope_224' },
      /computes something else under the same names/,
    ],
    ['dinov2', 'config.json', { num_hidden_layers: 3 }, /missing \(18\): encoder\.layer\.2\./],
    ['dinov2', 'config.json', { hidden_size: 64 }, /a width of 64, and the weights have 32/],
    ['vit', 'config.json', { num_hidden_layers: 1e9 }, /num_hidden_layers/],
    ['vit', 'config.json', { image_size: 1e9 }, /image_size/],
    ['vit', 'config.json', { image_size: 4096 }, /positions for 17 tokens, expected 262144 places/],
    [
      'siglip',
      'config.json',
      { vision_config: { model_type: 'siglip_vision_model', hidden_size: 1e7 } },
      /hidden_size/,
    ],
    ['openclip', 'open_clip_config.json', { model_cfg: { embed_dim: 1e8 } }, /embed_dim/],
  ] as const)('%s, %s: %j is refused by name', async (name, file, change, message) => {
    const dir = await changed(name, () => {})
    const json = JSON.parse(readFileSync(join(dir, file), 'utf8'))
    writeFileSync(join(dir, file), JSON.stringify({ ...json, ...change }))
    await expect(planned(dir, name, () => {})).rejects.toThrow(message)
  })

  it("takes a class's defaults where config.json says nothing", async () => {
    const dir = await changed('siglip-vision', () => {})
    const file = join(dir, 'config.json')
    writeFileSync(
      file,
      JSON.stringify({ model_type: 'siglip_vision_model', image_size: 32, num_attention_heads: 4 }),
    )
    await planned(dir, 'siglip-vision', ({ config }) =>
      expect(config.model).toMatchObject({ ...siglip, heads: 4 }),
    )
    rmSync(file)
    // Without it names do not tell SigLIP from SigLIP 2, which resamples in another way, but they compute the same.
    await planImport({ from: dir, set: ['model.heads=4'] }, ({ config }) =>
      expect(config.model).toMatchObject(siglip),
    )
  })

  it('asks for what names alone leave open, and takes what is given', async () => {
    const dir = await changed('clip-vision', () => {})
    rmSync(join(dir, 'config.json'))
    const read = (...set: string[]) =>
      planImport({ from: dir, set: ['model.heads=4', ...set] }, ({ config }) => config)
    await expect(read()).rejects.toThrow(/model\.activation=….*quick-gelu \(OpenAI's\), gelu \(laion's\)/)
    expect((await read('model.activation=quick-gelu')).model).toMatchObject({
      ...clip,
      activation: 'quick-gelu',
    })
    const ofVit = await changed('vit', () => {})
    rmSync(join(ofVit, 'config.json'))
    await expect(planImport({ from: ofVit, set: ['model.heads=4'] }, () => {})).rejects.toThrow(
      /model\.layerNormEpsilon=….*may be 1e-12, 1e-6, 1e-5/,
    )
  })

  it('says which weights of a training were taken, and takes the others', async () => {
    const first = (take: string | null) =>
      planImport(
        { from: join(root, 'ibot-pth-training'), take, set: ['model.heads=4'] },
        async ({ fitted, notes }) => ({
          notes,
          values: await fitted.find(({ row }) => row.name === 'cls_token')!.read!(),
        }),
      )
    const [teacher, student] = [await first(null), await first('student')]
    expect(teacher.notes[0]).toBe('took the weights "teacher", not "student": --take student takes those')
    expect([...teacher.values]).not.toEqual([...student.values])
  })

  it('of positions for another size stay as they are stored, by the rule of their origin', async () => {
    const at = (name: string, size = '[56,28]', ...set: string[]) =>
      planImport(
        { from: join(root, name), set: [...setFor(name), `model.imageSize=${size}`, ...set] },
        ({ config, rows }) => [
          ...[config.model.positionGrid, config.model.resampling],
          rows.some(({ status }) => status === 'reshaped'),
        ],
      )
    expect(await at('dinov2')).toEqual([[3, 3], 'cubic', false])
    expect(await at('dinov2-pth')).toEqual([[3, 3], 'cubic-offset', false])
    expect(await at('timm-dinov2')).toEqual([[3, 3], 'cubic-antialias', false])
    await expect(at('dino-pth', '[40,24]')).rejects.toThrow(/does not say model\.resampling/)
    expect(await at('dino-pth', '[40,24]', 'model.resampling=cubic-antialias')).toEqual([
      ...[[4, 4], 'cubic-antialias', false],
    ])
  })

  it('a ViTMAE whose decoder has zeros for positions gives its encoder', async () => {
    const dir = await changed('vit-mae-pretraining', (tensors) => {
      const { shape, data } = tensors.get('decoder.decoder_pos_embed')!
      tensors.set('decoder.decoder_pos_embed', {
        dtype: 'float32',
        shape,
        data: new Float32Array(data.length),
      })
    })
    await planned(dir, 'vit-mae-pretraining', ({ fitted, notes }) => {
      expect(fitted.some(({ row }) => row.name.startsWith('decoder'))).toBe(false)
      expect(notes.join()).toMatch(/its decoder has zeros for positions/)
    })
  })

  /** Random positions of n × n places and one of cls. */
  const positions = (n: number): StoredArray => {
    const data = Float32Array.from({ length: (n * n + 1) * 32 }, (_, i) => Math.sin(i * i))
    return { dtype: 'float32', shape: [1, n * n + 1, 32], data }
  }

  it("DINOv2's positions of 37 × 37 patches serve images of 224 pixels", async () => {
    const dir = await changed('dinov2', (tensors) =>
      tensors.set('embeddings.position_embeddings', positions(37)),
    )
    const edit = (file: string, change: object) => {
      const json = JSON.parse(readFileSync(join(dir, file), 'utf8'))
      writeFileSync(join(dir, file), JSON.stringify({ ...json, ...change }))
    }
    edit('config.json', { image_size: 518 })
    edit('preprocessor_config.json', { size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 } })
    const size = { imageSize: [224, 224], positionGrid: [37, 37] }
    await planned(dir, 'dinov2', ({ config }) => expect(config.model).toMatchObject(size))
    const pth = await changed('dinov2-pth', (tensors) => tensors.set('pos_embed', positions(37)))
    await planned(pth, 'dinov2-pth', ({ config, notes }) => {
      expect(config.model).toMatchObject({ ...size, resampling: 'cubic-offset' })
      expect(notes.join()).toMatch(/positions are of 37 × 37 patches.*--set model\.imageSize=518/)
    })
  })

  it("BEiT's files for predicting codes have the norm of the encoder beside it", async () => {
    const dir = await changed('beit-pretraining', (tensors) => {
      for (const kind of ['weight', 'bias']) tensors.delete(`beit.layernorm.${kind}`)
    })
    await planned(dir, 'beit-pretraining', ({ norm, rows }) => {
      expect(norm).toBe('norm')
      expect(rows.find(({ name }) => name === 'norm.weight')).toMatchObject({
        status: 'loaded',
        from: ['layernorm.weight'],
      })
    })
  })

  it("timm's head of CLIP is the projection where its biases are zeros", async () => {
    const dir = await changed('timm-clip-quickgelu', (tensors) =>
      tensors.set('head.bias', { dtype: 'float32', shape: [12], data: new Float32Array(12) }),
    )
    await planned(dir, 'timm-clip-quickgelu', ({ config, classifier, rows }) => {
      expect([config.model.projection, config.model.feature, classifier]).toEqual([12, 'pooled', null])
      expect(rows.find(({ name }) => name === 'projection.weight')!.from).toEqual(['head.weight'])
    })
  })

  it("OpenCLIP's towers of timm are read by the name of their architecture", async () => {
    const dir = await changed('timm-siglip', (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        tensors.delete(name)
        tensors.set(`visual.trunk.${name}`, tensor)
      }
    })
    rmSync(join(dir, 'config.json'))
    await expect(planImport({ from: dir, set: ['model.heads=4'] }, () => {})).rejects.toThrow(
      /model\.activation/,
    )
    const vision_cfg = { timm_model_name: 'vit_base_patch16_siglip_224', timm_pool: 'map', image_size: 32 }
    writeFileSync(join(dir, 'open_clip_config.json'), JSON.stringify({ model_cfg: { vision_cfg } }))
    await planImport({ from: dir, set: ['model.heads=4'] }, ({ config, family }) => {
      expect(family).toBe('siglip')
      expect(config.model).toMatchObject({ ...siglip, activation: null, resampling: 'cubic-antialias' })
    })
  })

  it("DINOv2's head reads cls and the mean, or one of them where the other's weights are zeros", async () => {
    const read = async (ofCls: number, ofMean: number) => {
      const dir = await changed('dinov2', (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name)
          tensors.set(`dinov2.${name}`, tensor)
        }
        const data = Float32Array.from({ length: 3 * 64 }, (_, i) => i * (i % 64 < 32 ? ofCls : ofMean))
        tensors.set('classifier.weight', { dtype: 'float32', shape: [3, 64], data })
        tensors.set('classifier.bias', { dtype: 'float32', shape: [3], data: new Float32Array(3) })
      })
      return planned(dir, 'dinov2', async ({ classifier, fitted, config }) => {
        const { row, read } = fitted.find(({ row }) => row.name === 'head.weight')!
        return [classifier!.head, config.model.feature, row.shape, (await read!()).at(-1)]
      })
    }
    expect(await read(0, 1)).toEqual(['normed-mean', 'mean', [3, 32], 191])
    expect(await read(1, 0)).toEqual(['cls', 'cls', [3, 32], 159])
    expect(await read(1, 1)).toEqual(['cls+mean', 'cls+mean', [3, 64], 191])
  })

  it('what is left of a joined parameter is listed where it may be missing', async () => {
    const of = 'encoder.layer.1.attention.attention'
    const dir = await changed('vit', (tensors) => tensors.delete(`${of}.key.weight`))
    await expect(planned(dir, 'vit', () => {})).rejects.toThrow(`missing (1): ${of}.key.weight\n`)
    await planImport({ from: dir, allow: ['missing'] }, ({ rows }) => {
      expect(
        rows.filter(({ why }) => why === `of no use without ${of}.key.weight`).map(({ name }) => name),
      ).toEqual([...[`${of}.query.weight`, `${of}.value.weight`]])
      expect(rows.find(({ name }) => name === 'blocks.1.attn.qkv.weight')!.status).toBe('missing')
    })
  })

  it('traps of released files are said', async () => {
    const notes = (name: string) => planned(join(root, name), name, (plan) => plan.notes.join('\n'))
    expect(await notes('timm-clip')).toMatch(
      /OpenAI trained these weights with quick-gelu: --set model\.activation=quick-gelu/,
    )
    expect(await notes('timm-siglip')).toMatch(/authors trained with gelu-tanh/)
    expect(await notes('dinov3-pth-swiglu')).toMatch(/rounded to bfloat16/)
    expect(await notes('timm-beit')).toMatch(/spaced geometrically/)
    expect(await notes('timm-siglip-tanh')).not.toMatch(/gelu-tanh/)
  })
})
