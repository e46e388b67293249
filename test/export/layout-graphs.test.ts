// Graphs of every published layout in ONNX Runtime, at both sizes of its folder, against what its own library computed.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { graphs } from '../../src/export/graphs.ts'
import { checkGraph } from '../../src/onnx/check-graph.ts'
import { onnxParts, writeParts } from '../../src/onnx/onnx-file.ts'
import { openSession } from '../../src/onnx/session.ts'
import { packageRoot } from '../../src/package-root.ts'
import { type Tensor, toFloats } from '../../src/tensor/tensor.ts'
import { openClassifier } from '../../src/weights/open-classifier.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose } from '../tolerance.ts'
import { runGraph, workFolder } from './run-graph.ts'

const layouts = join(packageRoot(), '../shared/reference/layouts')
const all = existsSync(layouts) ? readdirSync(layouts) : []
// Without moving pictures, masked images, which no graph of an encoder has, and further files of the same networks.
const names = all.filter(
  (name) => !/^videomae-|pretraining|-training$|-4$|^timm-vit-(?:dino|mae)$/.test(name),
)
const classifiers = ['vit-classifier', 'timm-vit-classifier', 'timm-beitv2']

/** A graph divides by 255, and the files' pixels are normalised. */
const unit = { mean: [0, 0, 0], std: [1, 1, 1] }
const samples = (images: Tensor) => toFloats(images).map((x) => x * 255)
const read = (name: string) => readSafetensors(join(layouts, name, 'expected.safetensors'))

/** Part `[from, to)` of the middle dimension of [B, T, D]. */
function tokensIn(x: Tensor, from: number, to: number): Float32Array {
  const [B, T, D] = x.shape as readonly [number, number, number]
  const values = toFloats(x)
  const parts = Array.from({ length: B }, (_, b) => [
    ...values.subarray((b * T + from) * D, (b * T + to) * D),
  ])
  return Float32Array.from(parts.flat())
}

describe.skipIf(names.length === 0)('the graph of a layout, of any size', () => {
  it.each(names)('%s', async (name) => {
    const { tensors, metadata } = read(name)
    const tolerance = Number(metadata.tolerance)
    const heads = tensors.get('expected.attention')?.shape[1] ?? 4
    const opened = await openEncoder({
      ...{ model: join(layouts, name), base: { model: { heads } }, device: 'cpu' },
    })
    const encoder = { ...opened, rasters: false, statistics: unit }
    const graph = graphs.encoder.graph(encoder, {
      dynamicGrid: { most: Math.max(80, ...opened.dimensions.imageSize) },
    })
    checkGraph(graph)
    const file = join(await workFolder(), `${name}.onnx`)
    writeParts(file, onnxParts(graph, {}, '0'))
    const session = await openSession(file, { threads: 1 })
    let compared = 0
    try {
      for (const at of ['', 'resized.']) {
        const images = tensors.get(`input.${at}pixel_values`)
        if (!images) continue
        const made = await session.run(
          { [graph.inputs[0]!.name]: { values: samples(images), shape: images.shape } },
          graph.outputs.map((each) => each.name),
        )
        const compare = (output: string, wanted: ArrayLike<number> | undefined) => {
          if (!wanted) return
          expectClose(made[output]!.values, wanted, tolerance)
          compared++
        }
        const expected = (of: string) => tensors.get(`expected.${at}${of}`)
        // CLIP returns tokens from before its last norm, but not with timm.
        const isRaw = metadata.class!.startsWith('CLIP') && !metadata.library!.startsWith('timm')
        const tokens = isRaw ? undefined : expected('last_hidden_state')
        const N = made.patches!.shape[1]!
        if (tokens) {
          const T = tokens.shape[1]!
          compare('patches', tokensIn(tokens, T - N, T))
          // fc_norm is behind the mean, and cls before it.
          if (made.cls && opened.norm === 'norm') compare('cls', tokensIn(tokens, 0, 1))
        }
        const { feature } = opened.config.model
        const own = opened.dimensions.variant?.attentionPool ? 'pooled' : feature === 'mean' ? 'mean' : 'cls'
        const pooled = expected('pooled')
        // transformers' ViT has one more layer there, which most releases leave untrained.
        if (pooled && metadata.class !== 'ViTModel') compare(own, toFloats(pooled))
        const embeds = expected('image_embeds')
        if (embeds) compare('pooled', toFloats(embeds))
      }
    } finally {
      await session.close()
    }
    expect(compared).toBeGreaterThan(tensors.has('input.resized.pixel_values') ? 1 : 0)
  })

  it.each(classifiers)('classes of %s', async (name) => {
    const { tensors, metadata } = read(name)
    const { head, classes, ...own } = await openClassifier({ model: join(layouts, name), device: 'cpu' })
    const model = { ...own, rasters: false, statistics: unit, classifier: { head, classes } }
    const images = tensors.get('input.pixel_values')!
    const { logits } = await runGraph(graphs.classifier.graph(model, {}), samples(images), images.shape)
    expectClose(logits!.values, toFloats(tensors.get('expected.logits')!), Number(metadata.tolerance))
  })
})
