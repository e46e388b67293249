import { describe, expect, it } from 'vitest'
import { factsOf, factsOfFile, isSameModel } from '../../playground/src/model-facts.ts'
import { besideSources, namedSources, servedSources } from '../../playground/src/model-sources.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import type { Graph } from '../../src/onnx/graph.ts'
import { onnxParts } from '../../src/onnx/onnx-file.ts'
import { tinyConfig } from '../run/tiny.ts'

const statistics = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] }

function metadata(over: ConfigInput = {}, more: Record<string, string> = {}) {
  const config = tinyConfig(over)
  const C = config.model.channels!
  const own = { mean: Array<number>(C).fill(0.5), std: Array<number>(C).fill(0.2) }
  return {
    'sherd.format': 'sherd-autoencoder/1',
    'sherd.precision': 'fp16',
    'sherd.step': '120',
    ...weightsMetadata({ config, statistics: C === 3 ? statistics : own }),
    'sherd.outputs': JSON.stringify({ prediction: 'every patch' }),
    ...more,
  }
}

const empty: Graph = {
  ...{ name: 'test', opset: 17, nodes: [], initializers: [], inputs: [], outputs: [], values: [] },
}
const fileOf = (told: Record<string, string>) => Buffer.concat([...onnxParts(empty, told, '1')])

describe('the facts of a model', () => {
  it('are those of its file', () => {
    const data = { resize: 'squash', interpolation: 'bilinear' } as const
    const told = metadata({ data, model: { imageSize: [12, 20] }, mask: { ratio: 0.6 } })
    expect(factsOfFile('a.onnx', fileOf(told))).toEqual({
      kind: 'autoencoder',
      name: 'ViT-tiny/4',
      size: { width: 20, height: 12 },
      preparing: {
        fitting: { resize: 'squash', inputSize: null, cropShare: 1, cutRule: 'before', isExact: false },
        rules: { interpolation: 'bilinear' },
      },
      ...{ patchSize: [4, 4], channels: 3, grid: { h: 3, w: 5 }, statistics },
      ...{
        normalizeTarget: true,
        learned: 'normalised patches',
        ratio: 0.6,
        step: 120,
        precision: 'fp16',
        attending: null,
        hasPooling: false,
      },
    })
  })

  it('are those of an encoder that has learned without pixels, or without masks and targets', () => {
    const read = (over: object) => {
      const told = metadata({}, { 'sherd.format': 'sherd-encoder/1' })
      const { config, statistics } = JSON.parse(told['sherd' as keyof typeof told])
      return factsOf('a', { ...told, sherd: JSON.stringify({ config: { ...config, ...over }, statistics }) })
    }
    const hog = read({ objective: 'maskfeat', target: { kind: 'hog', bins: 9 }, mask: { ratio: 0.4 } })
    expect([hog.learned, hog.normalizeTarget, hog.ratio]).toEqual(['hog', false, 0.4])
    const bare = read({ objective: 'vqkd', target: undefined, mask: undefined, decoder: undefined })
    expect([bare.learned, bare.normalizeTarget, bare.ratio]).toEqual(['by objective vqkd', false, null])
  })

  it('are those of a file of version 0.1, too', () => {
    const told = metadata()
    const { config, statistics } = JSON.parse(told['sherd' as keyof typeof told])
    const {
      version: _,
      decoder: { width },
      ...rest
    } = config
    const old = {
      ...{ ...rest, data: { ...config.data, kind: undefined, bands: null } },
      model: { ...config.model, frames: 1, decoderWidth: width },
    }
    expect(factsOf('a', { ...told, sherd: JSON.stringify({ config: old, statistics }) })).toEqual(
      factsOf('a', told),
    )
    const bands = {
      ...old,
      data: { ...old.data, bands: ['B2', 'B3', 'B4'] },
      model: { ...old.model, frames: 2 },
    }
    const ofBands = { ...told, sherd: JSON.stringify({ config: bands, statistics }) }
    expect(() => factsOf('a', ofBands)).toThrow('a takes rasters of 3 bands and 2 dates')
    const later = { ...told, sherd: JSON.stringify({ config: { ...config, version: 4 }, statistics }) }
    expect(() => factsOf('a', later)).toThrow(
      'a: its configuration is of version 4, and this sherd reads 1 to 3',
    )
  })

  it('tell of attention, and of a step that nobody knows', () => {
    const { 'sherd.step': _, ...told } = metadata(
      { target: { normalize: false }, model: { channels: 1 } },
      { 'sherd.format': 'sherd-encoder/1', 'sherd.outputs': JSON.stringify({ cls: '', attention: '' }) },
    )
    const facts = factsOf('encoder.onnx', told)
    expect(facts).toMatchObject({ kind: 'encoder', attending: 'cls', step: null, channels: 1 })
    expect(facts.normalizeTarget).toBe(false)
  })

  it('are of the size that the server reads, where the graph takes any', () => {
    const asked = { height: 8, width: 24 }
    const input = (grid: unknown) => metadata({}, { 'sherd.input': JSON.stringify({ grid }) })
    const free = factsOf('a', input({ multipleOf: 4, most: 64 }), asked)
    expect([free.size, free.grid]).toEqual([asked, { h: 2, w: 6 }])
    expect(factsOf('a', input(null), asked).size).toEqual({ height: 16, width: 16 })
    expect(factsOf('a', input({ multipleOf: 4, most: 64 })).size).toEqual({ height: 16, width: 16 })
  })

  it('say whether two files belong together', () => {
    const one = factsOf('a', metadata())
    expect(isSameModel(one, factsOf('b', metadata({}, { 'sherd.format': 'sherd-encoder/1' })))).toBe(true)
    expect(isSameModel(one, factsOf('b', metadata({}, { 'sherd.step': '121' })))).toBe(false)
    expect(isSameModel(one, factsOf('b', metadata({ model: { patchSize: 8 } })))).toBe(false)
  })

  it.each<[string, () => Buffer, string]>([
    [
      'a text',
      () => Buffer.from('hello, this is no model'),
      'x.onnx is no ONNX file: expected an autoencoder.onnx',
    ],
    ['nothing', () => Buffer.alloc(0), 'x.onnx is no ONNX file'],
    [
      'a graph of others',
      () => fileOf({ author: 'me' }),
      'x.onnx says nothing of itself: expected a file of "sherd',
    ],
    [
      'a classifier',
      () => fileOf(metadata({}, { 'sherd.format': 'sherd-classifier/1' })),
      'expected sherd-autoencoder/1 (rebuilds) or sherd-encoder/1 (attention), got sherd-classifier/1',
    ],
    ['broken metadata', () => fileOf(metadata({}, { sherd: '{' })), 'has lost its metadata "sherd"'],
    [
      'rasters',
      () => fileOf(metadata({ data: { bands: ['B2', 'B3', 'B4', 'B8'] } })),
      'x.onnx takes rasters of 4 bands, and a browser shows photographs',
    ],
    [
      'five channels',
      () => fileOf(metadata({ model: { channels: 5 } })),
      'x.onnx takes 5 channels: expected 3 (RGB) or 1 (grey).',
    ],
    [
      'targets of single bands',
      () => fileOf(metadata({ target: { statistics: 'band' } })),
      'normalised band by band (target.statistics band)',
    ],
  ])('refuse %s', (_, file, message) => {
    expect(() => factsOfFile('x.onnx', file())).toThrow(message)
  })
})

describe('where models come from', () => {
  const page = 'https://example.org/play/?model='
  const files = (sources: readonly { urls: readonly string[] }[] | null) =>
    sources?.map(({ urls }) => urls[0])

  it('a file or folder that the address names, relative to the page', () => {
    expect(namedSources('https://example.org/play/#ratio=3')).toBeNull()
    expect(namedSources(page)).toBeNull()
    expect(() => namedSources(`${page}http://`)).toThrow('?model=http:// is no address')
    expect(files(namedSources(`${page}../a.onnx&model=b/encoder-int8.onnx`))).toEqual([
      'https://example.org/a.onnx',
      'https://example.org/play/b/encoder-int8.onnx',
    ])
    expect(files(namedSources(`${page}https://other.org/vit`))).toEqual([
      'https://other.org/vit/autoencoder.onnx',
      'https://other.org/vit/encoder.onnx',
    ])
  })

  it('what the server lists, beside the page', () => {
    const models = [
      { graph: 'encoder', url: '/models/encoder-fp16.onnx', shape: [3, 112, 168] },
      { graph: 'classifier', url: '/models/classifier.onnx' },
      { graph: 'autoencoder', url: '/models/autoencoder.onnx' },
    ]
    expect(servedSources('http://127.0.0.1:80/', { models })).toEqual([
      { urls: ['http://127.0.0.1/models/autoencoder.onnx'], required: true },
      {
        ...{ urls: ['http://127.0.0.1/models/encoder-fp16.onnx'], required: true },
        size: { height: 112, width: 168 },
      },
    ])
    expect(files(servedSources('https://example.org/vit/', { models: models.slice(0, 1) }))).toEqual([
      'https://example.org/vit/models/encoder-fp16.onnx',
    ])
    for (const other of [null, 'text', {}, { models: 3 }, { models: [null, { graph: 'encoder' }] }])
      expect(servedSources('http://127.0.0.1/', other)).toEqual([])
  })

  it('the folder beside the page, where nothing is a must', () => {
    const sources = besideSources('https://example.org/play/index.html?x#y')
    expect(sources[0]).toEqual({
      urls: ['', '-fp16', '-int8'].map((end) => `https://example.org/play/models/autoencoder${end}.onnx`),
      required: false,
    })
    expect(sources.length).toBe(2)
  })
})
