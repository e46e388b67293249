/** Runs of tokenizers: trained, resumed, opened for their codes, and read as the target of another run. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { readArrays, readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { Config, ConfigInput } from '../../src/config/schema.ts'
import { expectUseful } from '../../src/config/useless.ts'
import { npyHead } from '../../src/files/npy.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { imageBytes, imagenetStatistics, toView } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { readMetrics } from '../../src/run/journal.ts'
import { loadExhibit, reconstructExhibit } from '../../src/run/pictures.ts'
import { tokenizeFolder } from '../../src/search/tokenize-folder.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { add, mul } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { codesOfFolder } from '../../src/weights/folder-codes.ts'
import { openFrozenTokenizer, openTokenizer } from '../../src/weights/frozen-tokenizer.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { numbers, wave } from '../tolerance.ts'
import { run, sampleFolder, tinyConfig, tinyModel, workFolder } from './tiny.ts'

const common = {
  optim: { baseLearningRate: 0.05 },
  train: { batchSize: 8, steps: 6, threads: 1 },
  checkpoint: { everySteps: 3 },
  log: { pictureEverySteps: 6 },
} satisfies ConfigInput
const codebook = { size: 16, width: 4 }
const pixelsConfig = (over: ConfigInput = {}) =>
  resolveConfig({
    ...{ ...common, ...over, objective: 'vq-pixels' },
    model: { imageSize: 16, patchSize: 4, width: 8, depth: 1, ...over.model },
    codebook: { ...codebook, decoderDepth: 1, ...over.codebook },
  })

let data = ''
let teacher = ''
let pixels = ''
let vqkd = ''
const vqkdConfig = (over: ConfigInput = {}) =>
  resolveConfig({
    ...{ ...common, codebook, ...over, objective: 'vqkd' },
    model: { ...tinyModel, ...over.model },
    target: { model: teacher, ...over.target },
  })
const twice = async (config: Config, given = {}) => {
  const [straight, stopped] = [join(await workFolder(), 'a'), join(await workFolder(), 'b')]
  await run({ config, data, out: straight, ...given })
  await run(
    { config, data, out: stopped, ...given },
    (event) => event.kind === 'checkpoint' && event.step === 3,
  )
  await run({ config, data, out: stopped, ...given, resume: true })
  const weights = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))
  expect(weights(stopped).equals(weights(straight))).toBe(true)
  return straight
}
beforeAll(async () => {
  data = await sampleFolder()
  teacher = join(await workFolder(), 'teacher')
  await run({ config: tinyConfig({ train: { steps: 1 } }), data, out: teacher })
})

describe('a run', () => {
  it('of vq-pixels resumes bit for bit, with its codebook, and logs its health', async () => {
    pixels = await twice(pixelsConfig())
    const metrics = readMetrics(runPaths(pixels).metrics)
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6])
    for (const { loss, parts, metrics: health } of metrics as never as Record<
      string,
      Record<string, number>
    >[]) {
      expect(Object.keys(parts!).sort()).toEqual(['commit', 'reconstruction'])
      expect(health!.perplexity!).toBeGreaterThan(1)
      expect(health!.perplexity!).toBeLessThanOrEqual(health!.codesInUse!)
      expect(Math.abs((loss as never as number) - parts!.commit! - parts!.reconstruction!)).toBeLessThan(1e-5)
    }
    expect(existsSync(join(runPaths(pixels).samples, 'step-00000006.png'))).toBe(true)
    const rows = JSON.parse(readFileSync(runPaths(pixels).metricsSchema, 'utf8')).rows
    expect(rows).toContainEqual(
      expect.objectContaining({
        name: 'metrics.perplexity',
        alarm: { below: 0.8, forSteps: 200, text: expect.stringContaining('codebook.revive=0.1') },
      }),
    )
  })

  it('of vqkd resumes bit for bit; its encoder is any reader’s, its teacher in no checkpoint', async () => {
    vqkd = await twice(vqkdConfig({ codebook: { ...codebook, revive: 0.3 }, target: { standardize: true } }))
    const { facts, config } = openRun(vqkd)
    expect(facts.frozen?.['target.model']).toMatch(/^[0-9a-f]{64}$/)
    expect(config).toMatchObject({ target: { kind: 'features', width: 32, loss: 'cosine' } })
    const encoder = await openEncoder({ model: vqkd, device: 'cpu' })
    const stored = scope(() => {
      const { tensors } = readSafetensors(join(openRun(vqkd).latest!.path, 'model.safetensors'))
      return new Map([...tensors].map(([name, x]) => [name, numbers(x)]))
    })
    for (const [name, x] of encoder.parameters) expect(numbers(x)).toEqual(stored.get(`encoder.${name}`))
    expect(
      [...stored.keys()].filter((name) => !/^(encoder|decoder|quantize|(en|de)code_task_layer)\./.test(name)),
    ).toEqual(['target.mean', 'target.deviation'])
    expect(Math.min(...stored.get('target.deviation')!)).toBeGreaterThan(0)
  })

  it('of vqkd learns from a teacher of another size and grid where that is asked for', async () => {
    const large = join(await workFolder(), 'large')
    await run({
      config: tinyConfig({ model: { imageSize: 24, patchSize: 8 }, train: { steps: 1 } }),
      data,
      out: large,
    })
    const config = (resample: boolean) =>
      vqkdConfig({ ...common, train: { ...common.train, steps: 1 }, target: { model: large, resample } })
    await expect(run({ config: config(false), data, out: join(await workFolder(), 'a') })).rejects.toThrow(
      /the teacher has 3 × 3 patches.*, and the model 4 × 4.*set target\.resample=true/,
    )
    const out = join(await workFolder(), 'b')
    await run({ config: config(true), data, out })
    expect(openRun(out).latest?.step).toBe(1)
  })
})

describe('a tokenizer', () => {
  const images = () => tensor(wave(2 * 3 * 16 * 16), [2, 3, 16, 16])
  const taught = (over: ConfigInput['model'] = {}) => ({
    config: tinyConfig({ model: over }),
    statistics: imagenetStatistics,
    machine: { device: 'cpu', precision: 'float32', threads: 1 } as const,
  })

  it.each(['vq-pixels', 'vqkd'])(
    '%s gives the same codes of a run, its checkpoint and its file',
    async (name) => {
      const model = name === 'vqkd' ? vqkd : pixels
      const { path } = openRun(model).latest!
      const codes: number[][] = []
      for (const each of [model, path, join(path, 'model.safetensors')]) {
        const { objective, parameters } = await openTokenizer({ model: each, device: 'cpu' })
        codes.push(scope(() => numbers(objective.encode(viewOf(images()), weightsOf(parameters)))))
      }
      expect(codes[0]!.length).toBe(32)
      expect(codes[0]!.every((code) => code >= 0 && code < 16)).toBe(true)
      expect([codes[1], codes[2]]).toEqual([codes[0], codes[0]])
    },
  )

  it('gets images in its own statistics, whatever the run’s are', async () => {
    const frozen = await openFrozenTokenizer(pixels, taught())
    const { objective, parameters, statistics } = await openTokenizer({ model: pixels, device: 'cpu' })
    scope(() => {
      const channels = (values: readonly number[]) => tensor([...values], [1, 3, 1, 1])
      const raw = add(mul(images(), channels(imagenetStatistics.std)), channels(imagenetStatistics.mean))
      const own = mul(
        add(raw, channels(statistics.mean.map((x) => -x))),
        channels(statistics.std.map((x) => 1 / x)),
      )
      expect(numbers(frozen.encode(viewOf(images())))).toEqual(
        numbers(objective.encode(viewOf(own), weightsOf(parameters))),
      )
      expect([frozen.codes, frozen.layout.grid]).toEqual([16, { h: 4, w: 4 }])
    })
  })

  it('is shown by its codes, and by images that come of them alone, or features as colours', async () => {
    const source = await openImageFolder(data)
    for (const [run, columns] of [
      [pixels, ['codes']],
      [vqkd, ['codes', 'target', 'prediction']],
    ] as const) {
      const model = await loadModel(run, 'cpu')
      const exhibit = await loadExhibit(model.config, source, 2)
      const { images, hiddenShare, more } = reconstructExhibit(model, exhibit, 0)
      expect([images.length, hiddenShare]).toEqual([2, null])
      expect(more?.columns.map(({ title }) => title)).toEqual(columns)
      if (run === vqkd) continue
      const { objective, parameters, statistics } = await openTokenizer({ model: run, device: 'cpu' })
      const wanted = scope(() => {
        const view = toView(exhibit, statistics, 'cpu')
        const weights = weightsOf(parameters)
        return numbers(imageBytes(objective.decode(objective.encode(view, weights), weights), statistics))
      })
      const tile = images[0]!.rebuilt![0]!.tile
      for (const at of [0, 100, 255])
        for (let c = 0; c < 3; c++)
          expect(Math.abs(tile.pixels[3 * at + c]! - wanted[256 * c + at]!)).toBeLessThan(1)
    }
  })

  it('gives the codes of a folder, with patches that have them', async () => {
    const tokenizer = await openTokenizer({ model: pixels, device: 'cpu' })
    const { codes, images, indices, grid, patches } = await codesOfFolder(tokenizer, data, { patches: 2 })
    expect([images, codes.length, grid]).toEqual([40, 40 * 16, { h: 4, w: 4 }])
    const exhibit = await loadExhibit(tokenizer.config, await openImageFolder(data), 40)
    const own = scope(() => {
      const view = toView(exhibit, tokenizer.statistics, 'cpu')
      return numbers(tokenizer.objective.encode(view, weightsOf(tokenizer.parameters)))
    })
    expect(exhibit.indices).toEqual(indices)
    expect([...codes]).toEqual(own)
    expect([...patches.keys()].sort((a, b) => a - b)).toEqual([...new Set(own)].sort((a, b) => a - b))
    for (const [code, found] of patches) {
      const at = own.indexOf(code)
      const [image, row, column] = [Math.floor(at / 16), Math.floor((at % 16) / 4), at % 4]
      const first = exhibit.pixels.slice(3 * ((image * 16 + row * 4) * 16 + column * 4)).slice(0, 12)
      expect(Array.from(found[0]!.pixels.subarray(0, 12))).toEqual(Array.from(first)) // its first row
      const having = new Set(own.flatMap((each, i) => (each === code ? [Math.floor(i / 16)] : [])))
      expect(found.length).toBe(Math.min(2, having.size))
    }
  })

  it('writes the codes of a folder, in NumPy’s format or as safetensors, with names, and a sheet', async () => {
    const tokenizer = await openTokenizer({ model: pixels, device: 'cpu' })
    const { codes } = await codesOfFolder(tokenizer, data)
    const work = await workFolder()
    const [npy, safetensors, sheet] = ['a.npy', 'b.safetensors', 'b.png'].map((name) => join(work, name))
    const { result, files } = await tokenizeFolder(data, tokenizer, { out: npy! })
    expect(files).toEqual([npy, join(work, 'a.json')])
    const used = new Set(codes).size
    expect(result).toMatchObject({ images: 40, grid: [4, 4], size: 16, used, skipped: [] })
    const bytes = readFileSync(npy!)
    const { dtype, shape, start } = npyHead(bytes)
    expect([dtype, shape]).toEqual(['<i4', [40, 4, 4]])
    expect(Array.from({ length: codes.length }, (_, i) => bytes.readInt32LE(start + 4 * i))).toEqual([
      ...codes,
    ])
    const about = JSON.parse(readFileSync(join(work, 'a.json'), 'utf8'))
    expect(about).toMatchObject({ format: 'sherd-codes/1', codes: 16, dir: data, skipped: [] })
    expect(about.images.length).toBe(40)
    expect(existsSync(join(data, about.images[39].file))).toBe(true)

    await tokenizeFolder(data, tokenizer, { out: safetensors!, sheet: sheet! })
    const stored = readArrays(safetensors!).tensors.get('codes')!
    expect([stored.shape, [...stored.data]]).toEqual([[40, 4, 4], [...codes]])
    expect(readFileSync(sheet!).subarray(1, 4).toString()).toBe('PNG')
    expect((await tokenizeFolder(data, tokenizer, { out: npy! })).wasThere).toBe(true)
    await expect(tokenizeFolder(data, tokenizer, { out: join(work, 'c.txt') })).rejects.toThrow(
      /Expected --out to end in \.npy or \.safetensors/,
    )
  })

  it('that was stopped continues, to the same bytes', async () => {
    const tokenizer = await openTokenizer({ model: pixels, device: 'cpu' })
    const work = await workFolder()
    const [out, whole] = [join(work, 'a.npy'), join(work, 'b.npy')]
    const stop = new AbortController()
    stop.abort()
    await expect(tokenizeFolder(data, tokenizer, { out, signal: stop.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
    expect(existsSync(out)).toBe(false)
    await tokenizeFolder(data, tokenizer, { out })
    await tokenizeFolder(data, tokenizer, { out: whole })
    expect(readFileSync(out).equals(readFileSync(whole))).toBe(true)
  })

  it('takes images of twice and half its size, and no others', async () => {
    for (const [imageSize, patchSize] of [
      [32, 8],
      [8, 2],
    ] as const) {
      const frozen = await openFrozenTokenizer(pixels, taught({ imageSize, patchSize }))
      scope(() => {
        const view = viewOf(tensor(wave(3 * imageSize ** 2), [1, 3, imageSize, imageSize]))
        expect(frozen.encode(view).shape).toEqual([1, 16])
      })
    }
    await expect(openFrozenTokenizer(pixels, taught({ imageSize: 24 }))).rejects.toThrow(
      /takes images of 16 × 16 pixels, and model\.imageSize is 24 × 24: expected the same, or k times/,
    )
    await expect(
      openFrozenTokenizer(pixels, { ...taught(), config: tinyConfig({ model: { channels: 1 } }) }),
    ).rejects.toThrow(/was trained on 3 channels, and this run has 1 channels/)
  })

  it('is the target of a run, which knows its hash and its number of codes', async () => {
    const out = join(await workFolder(), 'coded')
    const config = tinyConfig({ target: { kind: 'codes', tokenizer: pixels }, train: { steps: 2 } })
    await run({ config, data, out })
    const made = openRun(out)
    expect(made.config).toMatchObject({ target: { kind: 'codes', tokenizer: pixels, codes: 16 } })
    expect(made.facts.frozen?.['target.tokenizer']).toMatch(/^[0-9a-f]{64}$/)
  })

  it('a model that is none is refused, and a convolutional one gives no features', async () => {
    await expect(openTokenizer({ model: teacher, device: 'cpu' })).rejects.toThrow(
      /is no tokenizer, it has learned by objective mae: expected a run of objective vqkd or vq-pixels/,
    )
    await expect(openEncoder({ model: pixels, device: 'cpu' })).rejects.toThrow(
      /has learned by objective vq-pixels, whose encoder is convolutional: it gives codes/,
    )
  })

  it('whose file does not say what it is, is sent to one that does', async () => {
    const bare = join(await workFolder(), 'bare.safetensors')
    const file = join(openRun(pixels).latest!.path, 'model.safetensors')
    scope(() => writeSafetensors(bare, readSafetensors(file).tensors, {}))
    const config = tinyConfig({ target: { kind: 'codes', tokenizer: bare }, train: { steps: 1 } })
    const out = join(await workFolder(), 'coded')
    await expect(run({ config, data, out })).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(
        /bare\.safetensors .*no option or key says it here: expected a run of objective vqkd or vq-pixels/,
      ),
    })
  })

  it('of another codebook than the file has is refused', async () => {
    const { path } = openRun(pixels).latest!
    const changed = join(await workFolder(), 'changed.safetensors')
    scope(() => {
      const { tensors, metadata } = readSafetensors(join(path, 'model.safetensors'))
      const name = 'quantize.embedding.weight'
      writeSafetensors(changed, new Map(tensors).set(name, tensor(wave(20), [5, 4])), { ...metadata })
    })
    await expect(openTokenizer({ model: changed, device: 'cpu' })).rejects.toThrow(
      /quantize\.embedding\.weight: expected float32\[16, 4\], got float32\[5, 4\]/,
    )
  })
})

describe('a configuration', () => {
  it.each<[() => unknown, RegExp]>([
    [() => pixelsConfig({ codebook: { size: 129 } }), /codebook\.size is 129, and a step has 128 patches/],
    [() => pixelsConfig({ model: { patchSize: 2, imageSize: 18, width: 9 } }), /^$/],
    [() => pixelsConfig({ model: { imageSize: 15, patchSize: 5 } }), /a square of 2, 4, 8, 16/],
    [
      () => pixelsConfig({ adapt: { kind: 'lora' } }),
      /adapt\.kind is lora, and the convolutions of vq-pixels/,
    ],
    [() => vqkdConfig({ target: { kind: 'hog' } as never }), /target\.kind: expected "features", got "hog"/],
    [() => vqkdConfig({ mask: { ratio: 0.5 } }), /mask\.ratio is read only with/],
    [() => pixelsConfig({ data: { bands: ['B2', 'B3'] } }), /learns from images/],
  ])('%#: what does not fit', (make, message) => {
    if (message.source === '^$') expect(make).not.toThrow()
    else expect(make).toThrow(message)
  })

  it('keys of transformers would change nothing of convolutions', () =>
    expect(() => expectUseful(pixelsConfig({ model: { heads: 4 } }), ['model.heads=4'])).toThrow(
      /model\.heads would change nothing: it is of transformers/,
    ))
})
