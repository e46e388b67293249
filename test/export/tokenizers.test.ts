/** Tokenizers as graphs: ONNX Runtime gives sherd's own codes, and what they say; their files say what they are. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { openModel, usualGraphs } from '../../src/export/model-parts.ts'
import { areSame } from '../../src/export/prove-onnx.ts'
import { openOnnxModel } from '../../src/infer/onnx-model.ts'
import { describeOnnx, describeRun } from '../../src/inspect/model.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { openSession } from '../../src/onnx/session.ts'
import { toView } from '../../src/prepare/normalize.ts'
import { findModels } from '../../src/serve/models.ts'
import { scope } from '../../src/tensor/scope.ts'
import { openTokenizer } from '../../src/weights/frozen-tokenizer.ts'
import { run, sampleFolder, tinyConfig, tinyModel, workFolder } from '../run/tiny.ts'
import { numbers, wave } from '../tolerance.ts'

const runs: Record<string, string> = {}
let data = ''
beforeAll(async () => {
  data = await sampleFolder(16)
  const teacher = join(await workFolder(), 'teacher')
  const train = { batchSize: 8, steps: 2, threads: 1 }
  await run({ config: tinyConfig({ train: { steps: 1 } }), data, out: teacher })
  const made = async (name: 'vqkd' | 'vq-pixels', over: ConfigInput) => {
    runs[name] = join(await workFolder(), 'run')
    const config = resolveConfig({ objective: name, codebook: { size: 16, width: 4 }, train, ...over })
    await run({ config, data, out: runs[name] })
  }
  await made('vqkd', {
    model: { ...tinyModel, positions: 'learned', qkvBias: 'qv' },
    target: { model: teacher },
  })
  await made('vq-pixels', { model: { imageSize: 16, patchSize: 4, width: 8, depth: 1 } })
})

const exported = async (model: string, precisions: readonly ('fp32' | 'fp16')[] = ['fp32']) => {
  const out = await workFolder()
  const graphs = await usualGraphs({ model })
  const files: string[] = []
  const made = exportOnnx({
    ...{ model: await openModel({ model, device: 'cpu' }, graphs), out, graphs, precisions, images: data },
  })
  for await (const { file, comparisons } of made) {
    files.push(file)
    for (const { largest } of comparisons) expect(largest).toBeLessThan(1e-4)
    expect(comparisons.map(({ samples }) => samples)).toEqual(['random', 'images'])
  }
  return { out, files }
}

describe.each(['vqkd', 'vq-pixels'])('%s', (name) => {
  it('encode and decode agree with LibTorch, and with each other', async () => {
    const { out, files } = await exported(runs[name]!)
    expect(files).toEqual(['encode', 'decode'].map((stem) => join(out, `${stem}.onnx`)))
    const { objective, parameters, statistics } = await openTokenizer({ model: runs[name]!, device: 'cpu' })
    const bytes = Uint8Array.from(wave(2 * 16 * 16 * 3), (x) => Math.round(127 + 127 * x))
    const right = scope(() => {
      const view = toView({ pixels: bytes, shape: [2, 16, 16, 3] }, statistics, 'cpu')
      const codes = objective.encode(view, weightsOf(parameters))
      return { codes: numbers(codes), said: numbers(objective.decode(codes, weightsOf(parameters))) }
    })
    const pixels = new Float32Array(bytes.length) // [B, C, H, W]
    for (let i = 0; i < bytes.length; i++) {
      const [b, rest] = [Math.floor(i / 768), i % 768]
      pixels[b * 768 + (rest % 3) * 256 + Math.floor(rest / 3)] = bytes[i]!
    }
    const [encode, decode] = await Promise.all(files.map((file) => openSession(file, { threads: 1 })))
    const { codes, similarity } = await encode!.run({ pixels: { values: pixels, shape: [2, 3, 16, 16] } }, [
      'codes',
      'similarity',
    ])
    const ids = Array.from(codes!.values as never as BigInt64Array, Number)
    expect([codes!.shape, similarity!.shape]).toEqual([
      [2, 16],
      [2, 16],
    ])
    expect(ids).toEqual(right.codes)
    expect(similarity!.values.every((x) => x > -1 && x < 1 + 1e-5)).toBe(true)

    const output = name === 'vqkd' ? 'features' : 'images'
    const given = { values: BigInt64Array.from(ids, BigInt), shape: [2, 16] }
    const { [output]: said } = await decode!.run({ codes: given }, [output])
    expect(said!.shape).toEqual(name === 'vqkd' ? [2, 16, 32] : [2, 3, 16, 16])
    const { mean, std } = statistics
    const wanted =
      name === 'vqkd'
        ? right.said
        : right.said.map((x, i) => {
            const c = Math.floor(i / 256) % 3
            return Math.min(255, Math.max(0, 255 * (x * std[c]! + mean[c]!)))
          })
    for (const [i, x] of wanted.entries()) expect(Math.abs(said!.values[i]! - x)).toBeLessThan(2e-3)
    for (const each of [encode!, decode!]) await each.close()
    await expect(openOnnxModel(files[0]!)).rejects.toThrow(/is the encode graph of a tokenizer/)
    expect(() => findModels(out)).toThrow(/has none of encoder\.onnx/)
  })

  it('files and runs say what they are', async () => {
    const { files } = await exported(runs[name]!)
    for (const [i, file] of files.entries()) {
      const { title, rows } = (await describeOnnx(file)) as never as { title: string; rows: string[][] }
      expect(JSON.stringify([title, rows])).toContain('16 of 4 numbers')
      expect(JSON.stringify(await describeOnnx(file))).toContain(
        i === 0 ? 'exported encode' : 'exported decode',
      )
    }
    const said = JSON.stringify(await describeRun(runs[name]!))
    expect(said).toContain('target.tokenizer=')
    expect(said.includes('evaluate linear')).toBe(name === 'vqkd')
    expect(said.includes('ViT of')).toBe(name === 'vqkd')
  })
})

it('a smaller precision is refused, and nothing is written', async () => {
  const out = await workFolder()
  const model = await openModel({ model: runs['vq-pixels']!, device: 'cpu' }, ['encode'])
  const made = exportOnnx({ model, out, graphs: ['encode'], precisions: ['fp32', 'fp16'] })
  await expect(made.next()).rejects.toThrow(/"encode" is written in fp32 alone/)
  expect(existsSync(join(out, 'encode.onnx'))).toBe(false)
})

it('graphs of tokenizers are of tokenizers, and by themselves', async () => {
  await expect(openModel({ model: runs.vqkd!, device: 'cpu' }, ['encoder', 'encode'])).rejects.toThrow(
    /encode and decode are written by themselves/,
  )
  expect((await openModel({ model: runs.vqkd!, device: 'cpu' }, ['encoder'])).tokenizer).toBe(undefined)
  await expect(openModel({ model: runs['vq-pixels']!, device: 'cpu' }, ['encoder'])).rejects.toThrow(
    /whose encoder is convolutional/,
  )
})

it('codes are the same but for a hundredth, which ties may change', () => {
  const ids = Array.from({ length: 200 }, (_, i) => BigInt(i))
  const changed = (n: number) => ids.map((id, i) => (i < n ? -1 : Number(id)))
  expect([0, 2, 3].map((n) => areSame(ids, changed(n)))).toEqual([true, true, false])
  expect(areSame(ids, [])).toBe(false)
})
