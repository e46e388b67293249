// Every kind of published encoder, as its library wrote it, through what is done with an encoder: judged, fine-tuned, segmented, indexed.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { randomImages } from '../../src/evaluate/beside-random.ts'
import { type JudgeOptions, judge, judgeWithMap } from '../../src/evaluate/evaluate.ts'
import { segment } from '../../src/evaluate/evaluate-segmentation.ts'
import { finetune } from '../../src/evaluate/finetune.ts'
import { finetuneDefaults } from '../../src/evaluate/finetune-settings.ts'
import { writeMasks } from '../../src/evaluate/mask-files.ts'
import { openImages } from '../../src/evaluate/open-images.ts'
import { saveProbe } from '../../src/evaluate/save-probe.ts'
import { scoresOf } from '../../src/evaluate/scores.ts'
import { extractTokens, openMasked } from '../../src/evaluate/segmentation-data.ts'
import { classifierLayouts } from '../../src/export/classifier-layouts.ts'
import { classifierRows, headsOf, type TrainedHeadName } from '../../src/model/classifier.ts'
import { outputRows } from '../../src/model/own-output.ts'
import { layerOf } from '../../src/optim/layer-decay.ts'
import { packageRoot } from '../../src/package-root.ts'
import { embedFiles, openEmbedder } from '../../src/search/embedder.ts'
import { openIndex } from '../../src/search/index-folder.ts'
import { indexFolder } from '../../src/search/make-index.ts'
import { searchIndex } from '../../src/search/search-index.ts'
import { disposeAll } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import type { FeatureName, VectorFeature } from '../../src/token/feature.ts'
import { sidesOf } from '../../src/token/grid.ts'
import type { FolderFeatures } from '../../src/weights/folder-features.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { classifierLogits, openClassifier } from '../../src/weights/open-classifier.ts'
import { type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { openSegmenter, segmentationOf } from '../../src/weights/open-segmenter.ts'
import { competingFeatures, ownFeature } from '../../src/weights/own-feature.ts'
import { writeMaskedSet } from '../prepare/masks/make-masked.ts'
import { colourFolder } from '../run/colour-folder.ts'
import { workFolder } from '../run/tiny.ts'

const layouts = join(packageRoot(), '../shared/reference/layouts')

interface Row {
  /** The vector that its authors take. */
  readonly own: VectorFeature
  readonly authors: string
  /** How its images are: the beginning of what is said of it. */
  readonly prepared: string
  /** Those that compete. */
  readonly competing: readonly VectorFeature[]
  readonly heads: readonly TrainedHeadName[]
  /** Parameters outside the blocks that learn with a head on the mean, and their layers: 0 before the blocks, 3 behind both. */
  readonly outer: Readonly<Record<string, 0 | 3>>
  /** The class of transformers for a classifier with a head on the mean, or with others. */
  readonly transformers?: Partial<Record<TrainedHeadName, string>>
}

const patches = { 'patch_embed.proj.weight': 0, 'patch_embed.proj.bias': 0 } as const
const behind = { 'fc_norm.weight': 3, 'fc_norm.bias': 3, 'head.weight': 3, 'head.bias': 3 } as const
const plain = { cls_token: 0, pos_embed: 0, ...patches, ...behind } as const
const ofCls = ['mean', 'normed-mean', 'cls', 'cls+mean'] as const
const noCls = ['mean', 'normed-mean'] as const
const beit = (name: string) => ({ mean: name, cls: name })
const dinov2 = (name: string) => ({ cls: name, 'normed-mean': name, 'cls+mean': name })

/** A row for each kind. */
const kinds: Readonly<Record<string, Row>> = {
  ijepa: {
    authors: "I-JEPA's authors",
    prepared: 'by the shorter side, the middle 87.5 % of its sides, bicubic',
    ...{ own: 'mean', competing: ['mean'], heads: noCls, outer: { pos_embed: 0, ...patches, ...behind } },
    transformers: { 'normed-mean': 'IJepaForImageClassification' },
  },
  'dinov2-registers': {
    authors: "DINOv2's authors",
    prepared: 'by the shorter side, the middle 87.5 % of its sides, bicubic',
    ...{ own: 'cls', competing: ['cls', 'mean'], heads: ofCls, outer: { ...plain, register_tokens: 0 } },
    transformers: dinov2('Dinov2WithRegistersForImageClassification'),
  },
  dinov3: {
    authors: "DINOv3's authors",
    prepared: 'squashed, bilinear',
    ...{ own: 'cls', competing: ['cls', 'mean'], heads: ofCls },
    outer: { cls_token: 0, register_tokens: 0, ...patches, ...behind },
  },
  'data2vec-vision': {
    authors: "data2vec's authors",
    prepared: 'the largest centred box, bicubic',
    ...{ own: 'mean', competing: ['mean', 'cls'], heads: ofCls },
    outer: { cls_token: 0, 'rel_pos_bias.relative_position_bias_table': 3, ...patches, ...behind },
    transformers: beit('BeitForImageClassification'),
  },
  'timm-beitv2': {
    authors: "BEiT v2's authors",
    prepared: 'by the shorter side, the middle 90 % of its sides, bicubic',
    ...{
      own: 'mean',
      competing: ['mean', 'cls'],
      heads: ofCls,
      outer: { cls_token: 0, ...patches, ...behind },
    },
  },
  'clip-vision': {
    authors: "CLIP's authors",
    prepared: 'by the shorter side, bicubic',
    ...{ own: 'pooled', competing: ['cls', 'mean', 'pooled'], heads: [...ofCls, 'pooled'] },
    outer: {
      ...{ cls_token: 0, pos_embed: 0, 'patch_embed.proj.weight': 0, ...behind },
      ...{ 'norm_pre.weight': 0, 'norm_pre.bias': 0 },
    },
  },
  'timm-siglip': {
    authors: "SigLIP's authors",
    prepared: 'by the shorter side, the middle 90 % of its sides, bicubic',
    ...{ own: 'pooled', competing: ['mean', 'pooled'], heads: [...noCls, 'pooled'] },
    outer: { pos_embed: 0, ...patches, ...behind },
    transformers: { 'normed-mean': 'IJepaForImageClassification' }, // a ViT without cls
  },
}

const there = Object.keys(kinds).filter((name) => existsSync(join(layouts, name)))

let [images, masked, work] = ['', '', '']
beforeAll(async () => {
  work = await workFolder()
  masked = join(work, 'masked')
  images = await colourFolder(24, 1)
  await writeMaskedSet({ dir: masked, count: 5, width: 48, height: 32, seed: 1 })
})

const opened = (name: string, imageSize?: OpenedEncoder['dimensions']['imageSize']) =>
  openEncoder({ model: join(layouts, name), device: 'cpu', ...(imageSize && { imageSize }) })

/** Two patches by three. */
async function oblong(name: string): Promise<OpenedEncoder> {
  const { config } = await opened(name)
  const [h, w] = sidesOf(config.model.patchSize)
  return opened(name, [2 * h, 3 * w])
}

const judging: JudgeOptions = {
  protocol: 'knn',
  seeds: [0],
  settings: {
    ...{ neighbours: [3], temperature: 0.07, shots: [{ perClass: 2 }], optimizer: 'lars', epochs: 2 },
    ...{ baseLearningRates: [1, 30], batchSize: 16 },
  },
}

const tuning = (encoder: OpenedEncoder, head: TrainedHeadName, save: string) =>
  finetune({
    ...{
      encoder,
      save,
      data: { train: images, test: null },
      seeds: [0],
      fromScratch: false,
      precision: 'fp32',
    },
    settings: {
      ...{ ...finetuneDefaults, head, epochs: 1, batchSize: 12, warmupEpochs: 0, baseLearningRate: 0.02 },
      ...{ weightDecay: 0, dropPath: 0 },
    },
    signal: new AbortController().signal,
  })

/** With one of its features. */
const only = (folder: FolderFeatures, feature: FeatureName): FolderFeatures => ({
  ...folder,
  features: { ...folder.features, of: new Map([[feature, valuesOf(folder.features, feature)]]) },
})

/** Top-1 of a saved classifier on the images that a report was made of. */
async function top1Of(file: string, rows: readonly number[]) {
  const classifier = await openClassifier({ model: file, device: 'cpu' })
  const { logits, indices, source, classes } = await classifierLogits(classifier, images)
  const picked = Float32Array.from(
    rows.flatMap((row) => [...logits.subarray(row * classes.length, (row + 1) * classes.length)]),
  )
  const labels = Int32Array.from(rows, (row) => source.labels![indices[row]!]!)
  return { classifier, top1: scoresOf(picked, labels, classes).top1 }
}

describe.skipIf(there.length === 0).each(there)('%s', (name) => {
  const { own, authors, prepared, competing, heads, outer, transformers = {} } = kinds[name]!

  it('is judged beside chance and beside random weights, and each probe that wins is kept', async () => {
    const encoder = await opened(name)
    expect([ownFeature(encoder), competingFeatures(encoder).toSorted()]).toEqual([own, competing.toSorted()])
    const every = [...competing, 'layer:0' as const]
    const options = { encoder, data: { train: images, test: null }, features: every }
    const [read, random] = [await openImages(options), await randomImages(options)]
    const [report, beside] = [await judge(read, judging), await judge(random, judging)]
    expect(new Set(report.rows.map(({ pooling }) => pooling))).toEqual(new Set(every))
    expect(report.reads).toEqual({
      ...{ feature: own, convention: authors, imageSize: encoder.dimensions.imageSize },
      preparation: expect.stringMatching(new RegExp(`^${prepared}.*, mean 0\\.\\d+, .*, deviation 0\\.\\d+`)),
    })
    const ways = ({ rows }: typeof report) => rows.map(({ pooling, setting }) => [pooling, setting])
    expect(ways(beside)).toEqual(ways(report))
    expect(report.chance).toBeCloseTo(1 / 3, 9)
    for (const feature of [own, 'layer:0'] as const) {
      const one = { ...read, train: only(read.train, feature), test: only(read.test, feature) }
      const { report, map } = await judgeWithMap(one, { ...judging, protocol: 'linear' })
      expect(map!.pooling).toBe(feature)
      const file = join(work, `${name}-${feature.replace(':', '-')}.safetensors`)
      saveProbe(file, encoder, { map: map!, classes: report.classes })
      const { top1, classifier } = await top1Of(file, read.testRows)
      expect([feature, top1]).toEqual([feature, report.scores.top1])
      expect(classifier.dimensions.depth).toBe(feature === 'layer:0' ? 1 : encoder.dimensions.depth)
    }
    disposeAll([...encoder.parameters.values()])
  })

  it('learns whole, each parameter at the rate of its layer, and is kept', async () => {
    const encoder = await oblong(name)
    expect(headsOf(encoder)).toEqual(heads)
    const backbone = encoder.shape
    const rows = classifierRows({ backbone, classes: 3, head: 'mean' })
    const outside = rows.filter(({ name }) => !name.startsWith('blocks.'))
    const layers = Object.fromEntries(outside.map(({ name }) => [name, layerOf(name, 2)]))
    expect(layers).toEqual(outer)
    for (const { name } of outputRows(backbone.dimensions))
      expect([name, layerOf(name, 2)]).toEqual([name, 3])

    const file = join(work, `${name}-tuned.safetensors`)
    const report = await tuning(encoder, 'mean', file)
    const tuned = await openClassifier({ model: file, device: 'cpu' })
    expect(tuned.dimensions.imageSize).toEqual(encoder.dimensions.imageSize)
    const still = [...tuned.parameters].filter(([name, value]) => {
      const before = encoder.parameters.get(name)
      return before !== undefined && toFloats(before).every((x, i) => x === toFloats(value)[i])
    })
    expect(still.map(([name]) => name)).toEqual([])
    const found = await classifierLogits(tuned, images)
    expect(found.logits.every(Number.isFinite)).toBe(true)
    const { imageSize } = encoder.dimensions
    expect(report.reads).toMatchObject({ feature: 'mean', convention: null, imageSize })
    expect(report.scores.images).toBe(6)
    disposeAll([...encoder.parameters.values(), ...tuned.parameters.values()])
  })

  it('refuses a head on what it lacks before anything is read, and knows whose class a classifier would be', async () => {
    const encoder = await opened(name)
    const lacking = (['cls', 'cls+mean', 'pooled'] as const).filter(
      (head) => !heads.includes(head) && !(head === 'pooled' && encoder.norm === 'fc_norm'),
    )
    const classes = heads.flatMap((head) =>
      classifierLayouts(encoder, head).flatMap(({ program, name }) =>
        program === 'transformers' && name !== null ? [[head, name]] : [],
      ),
    )
    expect(Object.fromEntries(classes)).toEqual(transformers)
    for (const head of lacking)
      await expect(
        tuning({ ...encoder, parameters: new Map() }, head, join(work, 'never.safetensors')),
      ).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.stringContaining(`--head ${heads.filter((each) => each !== 'pooled').join(', ')}`),
      })
    expect(existsSync(join(work, 'never.safetensors'))).toBe(false)
    disposeAll([...encoder.parameters.values()])
  })

  it('segments by the tokens of its patches alone, at a size that is no square, and by its file', async () => {
    const encoder = await oblong(name)
    const { train } = await openMasked(encoder, { train: masked, test: null })
    const { set, indices } = await extractTokens(encoder, train)
    expect(set.tokens.shape).toEqual([4, 6, encoder.dimensions.width])
    disposeAll([set.tokens])
    expect(indices).toHaveLength(4)
    const file = join(work, `${name}-segmenter.safetensors`)
    const { report } = await segment({
      ...{
        encoder,
        data: { train: masked, test: null },
        heads: ['conv'],
        seeds: [0],
        ignored: 255,
        save: file,
      },
      settings: { epochs: 1, batchSize: 4, learningRate: 1e-3, weightDecay: 0 },
    })
    expect(report.classes).toHaveLength(3)
    const { imageSize } = encoder.dimensions
    const preparation = expect.stringMatching(/^the largest centred box, (?:bicubic|bilinear), mean /)
    expect(report.reads).toEqual({ feature: 'patches', convention: null, imageSize, preparation })
    const segmenter = await openSegmenter({ model: file, device: 'cpu' })
    const out = join(work, `${name}-masks`)
    const { images: written } = await writeMasks(out, await segmentationOf(segmenter, join(masked, 'images')))
    expect(written).toBe(5)
    disposeAll([...encoder.parameters.values(), ...segmenter.parameters.values()])
  })

  it('makes an index by its own vector, in which each image finds itself', async () => {
    const out = join(work, `${name}-index`)
    const embedder = await openEmbedder(join(layouts, name), { device: 'cpu' })
    const { facts } = await indexFolder(images, embedder, { out })
    expect(facts.pooling).toBe(own)
    const index = await openIndex(out)
    const asked = index.images.slice(0, 3).map(({ file }) => file)
    const paths = asked.map((file) => join(images, file))
    const { values } = await embedFiles(embedder, paths, facts.pooling)
    const found = await searchIndex(index, values, 1)
    expect(found.map(([near]) => near!.file)).toEqual(asked)
  })
})
