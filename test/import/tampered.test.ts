// Files of strangers that say something else than they hold: compared and refused before anything is made of what they say.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StoredArray } from '../../src/checkpoint/arrays.ts'
import { createRun, openRun, type RunFacts, runPaths } from '../../src/checkpoint/run-folder.ts'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import type { SherdError } from '../../src/errors.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { importWeights } from '../../src/import/import.ts'
import { onnxLogits, openOnnxClassifier } from '../../src/infer/onnx-classifier.ts'
import { onnxFeatures, openOnnxEncoder } from '../../src/infer/onnx-encoder.ts'
import { openOnnxModel } from '../../src/infer/onnx-model.ts'
import type { Output, Session } from '../../src/onnx/session.ts'
import { packageRoot } from '../../src/package-root.ts'
import { inherit } from '../../src/run/inherit.ts'
import { featuresOf } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { classifierLogits, openClassifier } from '../../src/weights/open-classifier.ts'
import { findWeights, openEncoder } from '../../src/weights/open-encoder.ts'
import { tinyConfig } from '../run/tiny.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-tampered-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

let count = 0
let [path, pictures, graphs] = ['', '', '']
beforeAll(async () => {
  // One thread: two that wait for each other are slow where others compute, too.
  const set = ['train.threads=1']
  const out = join(work, 'timm.safetensors')
  path = (await importWeights({ from: join(fixtures, 'timm'), out, set })).path
  pictures = mkdtempSync(join(work, 'pictures-'))
  for (const grey of [40, 200])
    await sharp({
      create: { width: 6, height: 6, channels: 3, background: { r: grey, g: 90, b: 30 } },
    }).toFile(join(pictures, `${grey}.png`))
  graphs = join(work, 'graphs')
  const model = await openModel({ model: path, device: 'cpu' }, ['classifier'])
  for await (const _ of exportOnnx({
    model,
    out: graphs,
    graphs: ['encoder', 'classifier'],
    precisions: ['fp32'],
  }));
})

type Tree = Record<string, Record<string, unknown>>
/** The imported classifier with other metadata, or other tensors. */
function changed(change: (told: { config: Tree } & Tree, tensors: Map<string, StoredArray>) => void): string {
  const { metadata, tensors } = readArrays(path)
  const told = JSON.parse(metadata.sherd!)
  const own = new Map(tensors)
  change(told, own)
  const made = join(work, `${count++}.safetensors`)
  writeSafetensors(made, own, { ...metadata, sherd: JSON.stringify(told) })
  return made
}
const withModel = (model: object, decoder: object = {}) =>
  changed(({ config }) => Object.assign(config.model!, model) && Object.assign(config.decoder!, decoder))

async function errorOf(body: () => unknown): Promise<SherdError> {
  try {
    await body()
  } catch (error) {
    return error as SherdError
  }
  throw new Error('nothing was thrown')
}

describe('what a file says of its model', () => {
  it.each<[string, object, RegExp]>([
    ['ten million blocks', { depth: 1e7 }, /model\.depth: .*512.*got 10000000/],
    ['a width of a thousand million', { width: 1e9 }, /model\.width: .*16384/],
    ['many heads', { heads: 1e9 }, /model\.heads: .*1024/],
    ['a large image', { imageSize: [60_000, 60_000] }, /model\.imageSize.*16384/],
    ['many tokens', { imageSize: [16_384, 16_384] }, /67108864 tokens.*at most 65536/],
    ['a wide MLP', { mlpRatio: 1e9 }, /model\.mlpRatio: .*64/],
    ['dates of photographs', { frames: 1e9 }, /model\.frames is read only with data\.kind=rasters/],
  ])('is within what a model can be: %s', async (_, model, message) => {
    const { code, message: told } = await errorOf(() => findWeights({ model: withModel(model) }))
    expect(code).toBe('CHECKPOINT')
    expect(told).toMatch(message)
  })

  it('also of its decoder, and of its version', async () => {
    const wide = await errorOf(() => findWeights({ model: withModel({}, { width: 1e9, depth: 1e7 }) }))
    expect([wide.code, wide.message]).toEqual([
      'CHECKPOINT',
      expect.stringMatching(/decoder\.width: .*\n.*decoder\.depth: /),
    ])
    const later = changed((told) => Object.assign(told.config, { version: 4 }))
    expect((await errorOf(() => findWeights({ model: later }))).message).toMatch(
      /configuration is of version 4, and this sherd reads 1 to 3: a later sherd has written it, update/,
    )
  })

  it('threads are those that a machine can have', async () => {
    const threads = changed(({ config }) => Object.assign(config.train!, { threads: 4096 }))
    expect((await errorOf(() => findWeights({ model: threads }))).message).toMatch(/train\.threads: .*1024/)
    const many = changed(({ config }) => Object.assign(config.train!, { threads: 1024 }))
    const { machine } = await openEncoder({ model: many, device: 'cpu' })
    expect(machine.threads).toBe(Math.min(1024, 4 * availableParallelism()))
  })

  it.each<[string, object, RegExp]>([
    ['blocks that are not there', { depth: 512 }, /missing \(\d+\): blocks\.1\.norm1\.weight/],
    [
      'another width',
      { width: 16_384, heads: 2 },
      /cls_token: expected float32\[1, 1, 16384\], got float32\[1, 1, 8\]/,
    ],
    ['another patch', { patchSize: 3 }, /patch_embed\.proj\.weight: expected float32\[8, 3, 3, 3\]/],
    [
      'more positions',
      { imageSize: [512, 512] },
      /pos_embed: expected float32\[65536, 8\], got float32\[9, 8\]/,
    ],
  ])('agrees with the shapes in it, which are read before its numbers: %s', async (_, model, message) => {
    const { code, message: told } = await errorOf(() => findWeights({ model: withModel(model) }))
    expect([code, told]).toEqual(['CHECKPOINT', expect.stringMatching(/The weights do not fit the model/)])
    expect(told).toMatch(message)
  })

  it('also of its decoder, and of its version', async () => {
    const wide = await errorOf(() => findWeights({ model: withModel({}, { width: 1e9, depth: 1e7 }) }))
    expect([wide.code, wide.message]).toEqual([
      'CHECKPOINT',
      expect.stringMatching(/decoder\.width: .*\n.*decoder\.depth: /),
    ])
    const later = changed((told) => Object.assign(told.config, { version: 4 }))
    expect((await errorOf(() => findWeights({ model: later }))).message).toMatch(
      /configuration is of version 4, and this sherd reads 1 to 3: a later sherd has written it, update/,
    )
  })

  it('a run: its config.json is compared with its checkpoint in the same way', async () => {
    const run = join(work, 'run')
    const config = tinyConfig()
    const facts = {
      ...{ format: 'sherd-run/1', preset: 'x', data: { dir: '.', files: 1, fingerprint: '', classes: [] } },
      ...{ statistics: { mean: [0, 0, 0], std: [1, 1, 1] }, started: '' },
      engine: { libtorch: '', device: 'cpu', precision: 'fp32', threads: 1 },
    } as unknown as RunFacts
    createRun(run, config, facts)
    const change = (model: object) => {
      const told = JSON.parse(JSON.stringify(config))
      Object.assign(told.model, model)
      writeFileSync(runPaths(run).config, JSON.stringify(told))
    }
    change({ depth: 1e7 })
    expect((await errorOf(() => openRun(run))).message).toMatch(/config\.json.*model\.depth/)
    writeFileSync(runPaths(run).config, JSON.stringify(config))
    const std = { ...facts, statistics: { mean: [0, 0, 0], std: [1, 0, 1] } }
    writeFileSync(runPaths(run).facts, JSON.stringify(std))
    expect((await errorOf(() => openRun(run))).message).toMatch(/run\.json.*deviations are above 0/s)
    expect((await errorOf(() => loadModel(run, 'cpu'))).code).toBe('RUN')
  })

  it("configurations of transformers' folders, too", async () => {
    const read = (config: object) => {
      const dir = mkdtempSync(join(work, 'folder-'))
      cpSync(join(fixtures, 'huggingface-vit'), dir, { recursive: true })
      const told = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'))
      writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...told, ...config }))
      return importWeights({ from: dir, out: join(work, 'x.safetensors') })
    }
    await expect(read({ image_size: 60_000 })).rejects.toThrow(/config\.json: .*at image_size/s)
    await expect(read({ image_size: 16_000 })).rejects.toThrow(/positions for 10 tokens, expected 64000000/)
    await expect(read({ num_attention_heads: 1e9 })).rejects.toThrow(/at num_attention_heads/)
    await expect(read({ layer_norm_eps: -1 })).rejects.toThrow(/layer_norm_eps/)
  })
})

describe('weights and statistics that are no numbers', () => {
  const broken = (name: string, value: number) =>
    changed((_, tensors) => {
      const { data, shape, dtype } = tensors.get(name)!
      tensors.set(name, { dtype, shape, data: (data as Float32Array).map((x, i) => (i === 3 ? value : x)) })
    })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('%d is refused by whatever opens them', async (value) => {
    const model = broken('blocks.0.attn.qkv.weight', value)
    const message =
      /not numbers in 1 of \d+ parameters: blocks\.0\.attn\.qkv\.weight: [01] NaN and [01] infinite of 192/
    for (const open of [
      () => openEncoder({ model, device: 'cpu' }),
      () => openClassifier({ model, device: 'cpu' }),
      () => openModel({ model, device: 'cpu' }, ['encoder']),
      () =>
        inherit(
          model,
          [{ name: 'blocks.0.attn.qkv.weight', shape: [24, 8], initial: 'zeros' }],
          tinyConfig(),
        ),
    ]) {
      const error = await errorOf(open)
      expect([error.code, error.message]).toEqual(['NON_FINITE', expect.stringMatching(message)])
    }
    await expect(exportHuggingface({ model, out: join(work, 'hf'), onnx: [] })).rejects.toThrow(
      /not numbers: blocks/,
    )
    const head = broken('head.weight', value)
    expect((await errorOf(() => openClassifier({ model: head, device: 'cpu' }))).code).toBe('NON_FINITE')
    await openEncoder({ model: head, device: 'cpu' }) // which does without its head
  })

  it('are refused where they are imported', async () => {
    const dir = mkdtempSync(join(work, 'nan-'))
    const { tensors } = readArrays(join(fixtures, 'timm/model.safetensors'))
    const bias = tensors.get('norm.bias')!
    const numbers = (bias.data as Float32Array).map(() => Number.NaN)
    writeSafetensors(
      join(dir, 'model.safetensors'),
      new Map([...tensors, ['norm.bias', { ...bias, data: numbers }]]),
    )
    await expect(
      importWeights({ from: dir, out: join(work, 'y.safetensors'), set: ['model.heads=2'] }),
    ).rejects.toThrow(/not numbers: norm\.bias has NaN at place 0/)
  })

  it('deviations of 0 are refused', async () => {
    const model = changed((told) => Object.assign(told.statistics!, { std: [0.5, 0, 0.5] }))
    expect((await errorOf(() => openEncoder({ model, device: 'cpu' }))).message).toMatch(
      /deviations are above 0/,
    )
  })

  it('weights that are finite, but too large, are found by what they make', async () => {
    const model = changed((_, tensors) => {
      for (const name of ['norm.weight', 'head.weight']) {
        const { data, shape, dtype } = tensors.get(name)!
        tensors.set(name, { dtype, shape, data: (data as Float32Array).map((x) => Math.sign(x) * 3e38) })
      }
    })
    const failed = { code: 'NON_FINITE', message: expect.stringMatching(/of sample number 0/) }
    await expect(featuresOf(await openEncoder({ model, device: 'cpu' }), pictures)).rejects.toMatchObject(
      failed,
    )
    await expect(
      classifierLogits(await openClassifier({ model, device: 'cpu' }), pictures),
    ).rejects.toMatchObject(failed)
  })
})

describe('a graph that gives something else than its file says', () => {
  const zeros = (...shape: number[]): Output => ({
    shape,
    values: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  })
  /** A session that gives this for every output. */
  const giving = (output: (name: string) => unknown) => ({
    open: async (): Promise<Session> => ({
      run: async (_, wanted) => Object.fromEntries(wanted.map((name) => [name, output(name)])) as never,
      close: async () => {},
    }),
  })
  const features = async (output: (name: string) => unknown) =>
    onnxFeatures(await openOnnxEncoder(join(graphs, 'encoder.onnx'), giving(output)), pictures)

  it('its own outputs pass', async () => {
    const own = await openOnnxEncoder(join(graphs, 'encoder.onnx'))
    const ones = { shape: [2, 3, 6, 6], values: new Float32Array(216).fill(90) }
    const made = await own.session.run(ones, ['cls', 'mean', 'patches'])
    expect([made.cls.shape, made.patches.shape]).toEqual([
      [2, 8],
      [2, 9, 8],
    ])
    await own.session.close()
    expect(valuesOf((await features(() => zeros(2, 8))).features, 'mean').width).toBe(8)
  })

  it.each<[string, unknown, RegExp]>([
    ['another width', zeros(2, 7), /output "cls" is \[2, 7\], expected \[2, 8\]/],
    ['another batch', zeros(1, 8), /is \[1, 8\], expected \[2, 8\]/],
    ['more dimensions', zeros(2, 8, 1), /is \[2, 8, 1\], expected \[2, 8\]/],
    ['whole numbers', { shape: [2, 8], values: new BigInt64Array(16) }, /"cls" is not of float32/],
    ['texts', { shape: [2, 8], values: Array(16).fill('x') }, /not of float32/],
    ['fewer numbers', { shape: [2, 8], values: new Float32Array(3) }, /has 3 numbers for \[2, 8\]/],
    [
      'NaN',
      { shape: [2, 8], values: new Float32Array(16).fill(Number.NaN, 9) },
      /has NaN for sample number 1/,
    ],
  ])('%s is refused', async (_, output, message) => {
    await expect(features(() => output)).rejects.toThrow(message)
  })

  it('fewer classes than it names are refused', async () => {
    const opened = await openOnnxClassifier(
      join(graphs, 'classifier.onnx'),
      giving(() => zeros(2, 2)),
    )
    await expect(onnxLogits(opened, pictures)).rejects.toThrow(/"logits" is \[2, 2\], expected \[2, 3\]/)
  })

  it('pixels of another size than its model has are refused where it is opened', async () => {
    const bytes = readFileSync(join(graphs, 'encoder.onnx'))
    const [from, to] = ['"shape":[3,6,6]', '"shape":[3,6,7]']
    const at = bytes.indexOf(from)
    expect(at).toBeGreaterThan(0)
    bytes.write(to, at)
    const other = join(work, 'other.onnx')
    writeFileSync(other, bytes)
    let isClosed = false
    const open = async (): Promise<Session> => ({
      run: async () => ({}) as never,
      close: async () => {
        isClosed = true
      },
    })
    await expect(openOnnxModel(other, { open })).rejects.toThrow(/takes pixels of \[3, 6, 7\]/)
    expect(isClosed).toBe(true)
  })
})
