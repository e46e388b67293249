// Encoder and classifier of images that keep their shape as ONNX: embedded, classified and served as by LibTorch.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import type { OpenedModel } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { onnxLogits, openOnnxClassifier } from '../../src/infer/onnx-classifier.ts'
import { initialParameters } from '../../src/model/parameters.ts'
import { embedFiles, openEmbedder } from '../../src/search/embedder.ts'
import { classifierLogits } from '../../src/weights/open-classifier.ts'
import { openFor } from '../../src/weights/open-encoder.ts'
import { workFolder } from '../run/tiny.ts'
import { bodyOf, classes, exportTiny, startServer } from '../serve/make-served.ts'
import { expectClose } from '../tolerance.ts'
import { naflexFolder, naflexPictures } from '../weights/naflex-pictures.ts'

let dir = ''
let folder = ''
let model: OpenedModel
beforeAll(async () => {
  dir = await workFolder()
  await naflexPictures(dir)
  const opened = await openModel({ model: naflexFolder, device: 'cpu' }, ['encoder'])
  const rows = [
    { name: 'head.weight', shape: [3, 32], initial: 'token' as const },
    { name: 'head.bias', shape: [3], initial: 'zeros' as const },
  ]
  const parameters = new Map([...opened.parameters, ...initialParameters(rows, { seed: 4, device: 'cpu' })])
  model = { ...opened, parameters, classifier: { head: 'normed-mean', classes } }
  folder = await exportTiny(model, ['encoder', 'classifier'])
})

const shapes = ['wide', 'tall', 'square', 'ribbon']

it('embeds files as the model does, also over HTTP', async () => {
  const paths = shapes.map((name) => join(dir, `${name}.png`))
  const own = await embedFiles(await openEmbedder(naflexFolder, { device: 'cpu' }), paths, 'pooled')
  const onnx = await openEmbedder(join(folder, 'encoder.onnx'))
  expectClose((await embedFiles(onnx, paths, 'pooled')).values, own.values, 1e-4)
  const { url } = await startServer({ model: folder })
  for (const [row, path] of paths.entries()) {
    const answer = await fetch(`${url}/v1/embed?pool=pooled`, bodyOf(readFileSync(path), 'image/png'))
    const { results } = (await answer.json()) as { results: { embedding: number[] }[] }
    expectClose(results[0]!.embedding, own.values.subarray(row * 32, (row + 1) * 32), 1e-4)
  }
})

it('classifies files as the model does', async () => {
  const classifier = await openOnnxClassifier(join(folder, 'classifier.onnx'))
  const found = await onnxLogits(classifier, dir)
  await classifier.session.close()
  const expected = await classifierLogits({ ...model, ...model.classifier!, precision: 'float32' }, dir)
  expect(found.indices).toEqual(expected.indices)
  expect(found.source.files).toEqual((await openFor(model, dir)).files)
  expectClose(found.logits, expected.logits, 1e-4)
})

it('is written for transformers with the processor and the words for it', async () => {
  const out = join(await workFolder(), 'huggingface')
  await exportHuggingface({ model: naflexFolder, out })
  const text = (name: string) => readFileSync(join(out, name), 'utf8')
  expect(JSON.parse(text('preprocessor_config.json'))).toMatchObject({
    ...{ image_processor_type: 'Siglip2ImageProcessor', patch_size: 8, max_num_patches: 24, resample: 2 },
  })
  expect(JSON.parse(text('config.json'))).toMatchObject({ num_patches: 16 })
  expect(text('README.md')).toContain(
    'Images of any shape, up to 24 patches, 3 channels, values from 0 to 1: (x − mean) / deviation, mean 0.5, 0.5, 0.5, deviation 0.5, 0.5, 0.5. sherd resizes an image so that it keeps its shape, bilinearly.',
  )
})
