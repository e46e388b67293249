import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { importWeights } from '../../src/import/import.ts'
import { readMetadata } from '../../src/onnx/onnx-file.ts'
import { packageRoot } from '../../src/package-root.ts'
import { inherit } from '../../src/run/inherit.ts'
import { findModels } from '../../src/serve/models.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { findWeights } from '../../src/weights/open-encoder.ts'
import { tinyConfig } from '../run/tiny.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-not-imported-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const pointer = join(work, 'pointer.safetensors')
writeFileSync(pointer, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 343249461\n')
copyFileSync(join(fixtures, 'mae.pth'), join(work, 'renamed.weights'))

/** Everything that opens a model. */
const openers: Record<string, (path: string) => unknown> = {
  '--model': (model) => findWeights({ model }),
  '--model with a preset': (model) => findWeights({ model, config: tinyConfig() }),
  '--init': (path) => inherit(path, [], tinyConfig()),
  'reconstruct --run': (dir) => loadModel(dir, 'cpu'),
  serve: (path) => findModels(path),
}

describe.each(Object.entries(openers))('where %s takes weights', (kind, open) => {
  const isServe = kind === 'serve'
  it.each<[string, string, RegExp]>([
    [
      'a PyTorch file',
      join(fixtures, 'mae.pth'),
      /a PyTorch file: import it first.*\n {2}sherd import .*mae\.pth --out mae\.safetensors\n/,
    ],
    ['of whatever name', join(work, 'renamed.weights'), /a PyTorch file: import it first/],
    ['of old PyTorch', join(fixtures, 'legacy.pth'), /a PyTorch file: import it first/],
    [
      'a folder of transformers',
      join(fixtures, 'huggingface-mae'),
      /a folder of Hugging Face.*import it first.*\n {2}sherd import .*huggingface-mae --out huggingface-mae\.safetensors/,
    ],
    ['with weights of PyTorch', join(fixtures, 'huggingface-vit'), /a folder of Hugging Face/],
    ['a folder of timm', join(fixtures, 'timm'), /a folder of Hugging Face \(transformers or timm\)/],
    ['a pointer of Git LFS', pointer, /pointer\.safetensors: it is a Git LFS pointer.*run "git lfs pull"/],
  ])('%s is called what it is', (_, path, message) => {
    expect(() => open(path)).toThrow(message)
  })

  it
    .skipIf(isServe || kind.startsWith('reconstruct'))
    .each(['huggingface-mae/model.safetensors', 'timm/model.safetensors'])(
    '%s is of another program',
    (name) => {
      expect(() => open(join(fixtures, name))).toThrow(
        /a file of another program.*import it first.*\n.*--out model-imported\.safetensors/,
      )
    },
  )
})

it('what was imported is taken, and a pointer in the place of a graph is one', async () => {
  const { path } = await importWeights({ from: join(fixtures, 'timm'), out: join(work, 'timm.safetensors') })
  expect(findWeights({ model: path }).weights).toBe(path)
  const graph = join(work, 'encoder.onnx')
  copyFileSync(pointer, graph)
  expect(() => readMetadata(graph)).toThrow(/encoder\.onnx.*Git LFS pointer/)
  await expect(importWeights({ from: pointer, out: join(work, 'x.safetensors') })).rejects.toThrow(
    /git lfs pull/,
  )
})
