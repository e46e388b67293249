// Exported folders in the hands of their real consumer: transformers.js itself loads and runs them, in Node.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  AutoImageProcessor,
  AutoModel,
  env,
  LogLevel,
  pipeline,
  RawImage,
  Tensor,
  ViTForImageClassification,
  ViTModel,
} from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { inferenceOptions } from '../../src/config/assemble.ts'
import { exportHuggingface, type HuggingfaceOptions } from '../../src/export/export-huggingface.ts'
import { smallestCosine } from '../../src/export/feature-cost.ts'
import { importWeights } from '../../src/import/import.ts'
import { packageRoot } from '../../src/package-root.ts'
import { imagesInOrder } from '../../src/prepare/loader/in-order.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { tokensOf, viewFor } from '../../src/weights/frozen-encoder.ts'
import { type OpenedEncoder, openEncoder, openFor } from '../../src/weights/open-encoder.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose, numbers } from '../tolerance.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const { tensors: expected } = readArrays(join(fixtures, 'expected.safetensors'))
const want = (name: string) => expected.get(name)!.data as Float32Array
const given = () => {
  const { data, shape } = expected.get('input.images')!
  return new Tensor('float32', data as Float32Array, [...shape])
}

let work: string
beforeAll(async () => {
  work = await workFolder()
  env.allowRemoteModels = false
  env.logLevel = LogLevel.ERROR // it warns that it takes ViTMAEForPreTraining for an encoder, as which it is written
  env.localModelPath = `${work}/`
})

let count = 0
/** A folder of an imported fixture. */
async function exported(from: string, options: Partial<HuggingfaceOptions> = {}): Promise<string> {
  const name = `${from}-${count++}`
  const { path } = await importWeights({ from: join(fixtures, from), out: join(work, `${name}.safetensors`) })
  await exportHuggingface({ model: path, out: join(work, name), ...options })
  return name
}

describe("what PyTorch computed from another program's weights", () => {
  it('is the last_hidden_state of ViTMAEModel, with nothing masked', async () => {
    const model = await AutoModel.from_pretrained(await exported('huggingface-mae'))
    expect(model.constructor.name).toBe('ViTMAEModel')
    const { last_hidden_state } = await model({ pixel_values: given() })
    expect(last_hidden_state.dims).toEqual([2, 10, 8])
    expectClose(last_hidden_state.data, want('huggingface-mae.tokens'), 1e-5)
  })

  it('is the last_hidden_state of ViTModel', async () => {
    const model = await ViTModel.from_pretrained(await exported('huggingface-mae', { task: 'encoder' }))
    const { last_hidden_state } = await model({ pixel_values: given() })
    expectClose(last_hidden_state.data, want('huggingface-mae.tokens'), 1e-5)
  })

  it('are the logits of ViTForImageClassification, with its classes', async () => {
    const folder = await exported('huggingface-vit')
    const model = await ViTForImageClassification.from_pretrained(folder)
    const { logits } = await model({ pixel_values: given() })
    expect(logits.dims).toEqual([2, 3])
    expectClose(logits.data, want('huggingface-vit.logits'), 1e-5)
    const classify = await pipeline('image-classification', folder)
    const grey = new RawImage(new Uint8ClampedArray(6 * 6 * 3).fill(128), 6, 6, 3)
    const labels = (await classify(grey, { top_k: 3 })) as { label: string; score: number }[]
    expect(labels.map(({ label }) => label).sort()).toEqual(['ant', 'bee', 'cat'])
    expect(labels.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 5)
  })
})

it('smaller files are found by the names of their precision', async () => {
  const folder = await exported('huggingface-mae', { onnx: ['fp32', 'fp16', 'q8'] })
  for (const [dtype, bound] of [
    ['fp16', 5e-3],
    ['q8', 0.2],
  ] as const) {
    const model = await AutoModel.from_pretrained(folder, { dtype })
    const { last_hidden_state } = await model({ pixel_values: given() })
    expectClose(last_hidden_state.data, want('huggingface-mae.tokens'), bound)
  }
})

it('without q8, which browsers take by themselves, config.json names what there is', async () => {
  const configOf = (name: string) =>
    JSON.parse(readFileSync(join(work, name, 'config.json'), 'utf8')) as Record<string, unknown>
  const told = async (onnx: HuggingfaceOptions['onnx']) =>
    configOf(await exported('huggingface-vit', { onnx }))['transformers.js_config']
  expect(await told(['fp32'])).toEqual({ dtype: 'fp32' })
  expect(await told(['q8'])).toEqual({ dtype: 'q8' })
  expect([await told(['fp32', 'q8']), await told([])]).toEqual([undefined, undefined])
})

it('an export takes away graphs that were of other weights', async () => {
  const out = join(work, 'again')
  const { path } = await importWeights({
    from: join(fixtures, 'huggingface-vit'),
    out: join(work, 'again.safetensors'),
  })
  await exportHuggingface({ model: path, out })
  expect(existsSync(join(out, 'onnx/model.onnx'))).toBe(true)
  const { onnx } = await exportHuggingface({ model: path, out, onnx: [] })
  expect([onnx, existsSync(join(out, 'onnx/model.onnx'))]).toEqual([[], false])
})

describe('a run', () => {
  let encoder: OpenedEncoder
  beforeAll(async () => {
    const out = join(work, 'run')
    await run({ config: tinyConfig({ train: { precision: 'fp32' } }), out, data: await sampleFolder() })
    await exportHuggingface({ model: out, out: join(work, 'tiny') })
    encoder = await openEncoder({ model: out, device: 'cpu' })
  })

  /** Images of a folder [3, H, W] as sherd prepares them and as transformers.js does, and the tokens that each makes of its own. */
  async function bothSides(dir: string, resample?: number) {
    const source = await openFor(encoder, dir)
    const options = { ...inferenceOptions(encoder.config, source, encoder.machine), batchSize: 4 }
    const processor = await AutoImageProcessor.from_pretrained('tiny')
    const extract = await pipeline('image-feature-extraction', 'tiny')
    if (resample !== undefined)
      for (const each of [processor, extract.processor!.image_processor]) each!.resample = resample
    const sides = { pixels: [[], []] as number[][], tokens: [[], []] as number[][] }
    for await (const {
      parts: [part],
    } of imagesInOrder(options)) {
      const batch = part!.samples
      sides.pixels[0]!.push(...noGrad(() => scope(() => numbers(viewFor(encoder, batch).pixels))))
      sides.tokens[0]!.push(...scope(() => toFloats(tokensOf(encoder)(batch).sequence)))
    }
    for (const file of source.files) {
      const path = join(source.dir, file)
      sides.pixels[1]!.push(...((await processor(await RawImage.read(path))).pixel_values.data as number[]))
      sides.tokens[1]!.push(...((await extract(path)).data as number[]))
    }
    return sides
  }

  it('gives the tokens that LibTorch gives, from files of the size of the model', async () => {
    const dir = join(await workFolder(), 'exact')
    await writeSampleData({ dir, count: 10, size: 16, seed: 4 })
    const { pixels, tokens } = await bothSides(dir)
    expectClose(pixels[1]!, pixels[0]!, 1e-6)
    expectClose(tokens[1]!, tokens[0]!, 1e-4)
  })
  it('sees shrunk images as sherd does with Lanczos, as the card says; its bicubic samples them', async () => {
    const dir = join(await workFolder(), 'larger')
    await writeSampleData({ dir, count: 10, size: 64, seed: 4 })
    const lanczos = await bothSides(dir, 1)
    const own = await bothSides(dir)
    expect(meanDifference(lanczos.pixels)).toBeLessThan(0.06) // in deviations; measured 0.042
    expect(cosine(lanczos.tokens)).toBeGreaterThan(0.99) // 0.996
    // When this fails, transformers.js smooths, and the line in the card is no longer needed. Measured 0.39, and a cosine of 0.65.
    expect(meanDifference(own.pixels)).toBeGreaterThan(5 * meanDifference(lanczos.pixels))
    expect(readFileSync(join(work, 'tiny/README.md'), 'utf8')).toContain('image_processor.resample = 1 ')
  })
})

type Both = readonly number[][]
const meanDifference = ([a, b]: Both) =>
  a!.reduce((sum, value, i) => sum + Math.abs(value - b![i]!), 0) / a!.length
const cosine = ([a, b]: Both) => smallestCosine(Float32Array.from(a!), Float32Array.from(b!), 17 * 32)
