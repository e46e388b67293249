import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { importWeights } from '../../src/import/import.ts'
import { hasForeignNames } from '../../src/import/not-imported.ts'
import { readMetadata } from '../../src/onnx/onnx-file.ts'
import { packageRoot } from '../../src/package-root.ts'
import { inherit } from '../../src/run/inherit.ts'
import { findModels } from '../../src/serve/models.ts'
import { findWeights } from '../../src/weights/open-encoder.ts'
import { tinyConfig } from '../run/tiny.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const heads = ['model.heads=2']
const work = mkdtempSync(join(tmpdir(), 'sherd-not-imported-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const pointer = join(work, 'pointer.safetensors')
writeFileSync(pointer, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 343249461\n')
copyFileSync(join(fixtures, 'mae.pth'), join(work, 'renamed.weights'))

/** What reads weights of sherd alone. */
const openers: Record<string, (path: string) => unknown> = {
  inherit: (path) => inherit(path, [], tinyConfig()),
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

  it.skipIf(isServe).each(['huggingface-mae/model.safetensors', 'timm/model.safetensors'])(
    '%s is of another program',
    (name) => {
      expect(() => open(join(fixtures, name))).toThrow(
        /a file of another program.*import it first.*\n.*--out model-imported\.safetensors/,
      )
    },
  )
})

describe('where --model takes weights of another program', () => {
  it.each<[string, readonly string[]]>([
    ['mae.pth', ['decoder.heads=2']],
    ['huggingface-mae', []],
    ['huggingface-vit', []],
    ['timm', []],
  ])('%s is opened as it lies', async (name, more) => {
    const set = [...heads, ...more]
    const from = join(fixtures, name)
    const out = join(work, `${name}-opened.safetensors`)
    const { rows, config } = await importWeights({ from, out, set })
    const imported = await findWeights({ model: out })
    const found = await findWeights({ model: from, set })
    expect(found.config).toEqual(config)
    expect([...found.stored.keys()]).toEqual([...imported.stored.keys()])
    expect(await found.load(() => true)).toEqual(await imported.load(() => true))
    expect(found.statistics).toEqual(imported.statistics)
    expect(rows.length).toBeGreaterThan(10)
  })

  it('a preset is refused, and keys of a model of sherd', async () => {
    await expect(findWeights({ model: join(fixtures, 'mae.pth'), config: tinyConfig() })).rejects.toThrow(
      /mae\.pth says itself what the model is: leave the preset/,
    )
    const out = join(work, 'own.safetensors')
    await importWeights({ from: join(fixtures, 'timm'), out, set: heads })
    await expect(findWeights({ model: out, set: heads })).rejects.toThrow(
      /--set model\.heads would change nothing/,
    )
  })

  it('what the file leaves open is said with its path, and no preset is advised that would be refused', () =>
    expect(findWeights({ model: join(fixtures, 'mae.pth') })).rejects.toThrow(
      /mae\.pth: The file does not say model\.heads.*--set model\.heads=….*where it is imported, --preset NAME/,
    ))

  it('a pointer of Git LFS is called what it is', () =>
    expect(findWeights({ model: pointer })).rejects.toThrow(/pointer\.safetensors: it is a Git LFS pointer/))
})

it('what was imported is taken, and a pointer in the place of a graph is one', async () => {
  const { path } = await importWeights({ from: join(fixtures, 'timm'), out: join(work, 'timm.safetensors') })
  expect((await findWeights({ model: path })).files).toEqual([path])
  const graph = join(work, 'encoder.onnx')
  copyFileSync(pointer, graph)
  expect(() => readMetadata(graph)).toThrow(/encoder\.onnx.*Git LFS pointer/)
  await expect(importWeights({ from: pointer, out: join(work, 'x.safetensors') })).rejects.toThrow(
    /git lfs pull/,
  )
})

it('names tell files of other programs from files of sherd without metadata', () => {
  const of = (...names: string[]) =>
    hasForeignNames({
      entries: new Map(names.map((name) => [name, { dtype: 'float32', shape: [1], begin: 0, end: 4 }])),
    })
  const block = ['blocks.0.norm1.weight', 'blocks.0.attn.qkv.weight']
  expect(of('patch_embed.proj.weight', ...block, 'norm.weight')).toBe(false)
  expect(of(...block, 'blocks.0.ls1.gamma', 'register_tokens')).toBe(false)
  expect(of(...block, 'blocks.0.gamma_1', 'reg_token')).toBe(true) // timm's Eva
  expect(of(...block, 'rope_embed.periods')).toBe(true) // DINOv3 of its authors
  expect(of('visual.conv1.weight', 'visual.transformer.resblocks.0.ln_1.weight')).toBe(true)
})
