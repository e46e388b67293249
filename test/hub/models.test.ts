// A model of the hub through the library: the same vectors as of the folder, and its commit wherever a model is named.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import { resolveConfig, targetKeysOf } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { openExported } from '../../src/export/exported-model.ts'
import { importWeights } from '../../src/import/import.ts'
import { inspect } from '../../src/inspect/inspect.ts'
import { adaptersOf } from '../../src/model/adapt.ts'
import { packageRoot } from '../../src/package-root.ts'
import { findDonor, startingFrom } from '../../src/run/donor.ts'
import { existingRun } from '../../src/run/existing.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { findModels } from '../../src/serve/models.ts'
import { full, ones } from '../../src/tensor/ops.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { sealOfModel, sealOfWeights } from '../../src/weights/found-weights.ts'
import { locate } from '../../src/weights/frozen-model.ts'
import { findWeights, openEncoder } from '../../src/weights/open-encoder.ts'
import { saveAdapter } from '../../src/weights/save-adapter.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'
import { useHubPlace } from './hub-place.ts'
import { filesOf, type HubServer, serveHub } from './hub-server.ts'

const commit = 'f'.repeat(40)
const layouts = resolve('../shared/reference/layouts')
const served = ['dinov2', 'timm-dinov2', 'openclip', 'dino-pth']

let hub: HubServer
beforeAll(async () => {
  const repos = served.map((name) => [
    `owner/${name}`,
    { files: filesOf(join(layouts, name), ['expected.safetensors']), commit, card: { license: 'mit' } },
  ])
  hub = await serveHub(Object.fromEntries(repos))
})
afterAll(() => hub.close())
const place = useHubPlace(() => hub.endpoint)

it.each(served)('%s is opened as its folder is', async (layout) => {
  const set = layout === 'dino-pth' ? ['model.heads=2'] : []
  const local = await findWeights({ model: join(layouts, layout), set })
  const found = await findWeights({ model: `hf:owner/${layout}`, set })
  expect(found.hub).toBe(`hf:owner/${layout}@${commit}`)
  expect(sealOfWeights(found)).toBe(sealOfWeights(local))
  expect([found.config, found.statistics, found.notes]).toEqual([local.config, local.statistics, local.notes])
})

it('reports, teachers and exports name the commit', async () => {
  const model = 'hf:owner/dinov2'
  const name = `${model}@${commit}`
  const { origin, parameters } = await openEncoder({ model, device: 'cpu' })
  const local = await openEncoder({ model: join(layouts, 'dinov2'), device: 'cpu' })
  expect(origin.path).toBe(name)
  for (const [key, value] of local.parameters) expect(toFloats(parameters.get(key)!)).toEqual(toFloats(value))
  expect(await locate.frozen(model)).toEqual({ path: name, width: local.dimensions.width })
  expect((await openExported({ model })).path).toBe(name)
  hub.log.length = 0
  expect((await openEncoder({ model: name, device: 'cpu' })).origin.path).toBe(name) // as a run records it
  expect(hub.log).toEqual([])
})

it('import and inspect take it, and serve says what to type', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sherd-hub-'))
  const made = await importWeights({ from: 'hf:owner/dinov2', out: join(dir, 'x.safetensors') })
  const local = await importWeights({ from: join(layouts, 'dinov2'), out: join(dir, 'y.safetensors') })
  expect(readFileSync(made.path)).toEqual(readFileSync(local.path))
  // A file of sherd on the hub is taken for what it is.
  hub.repos.set('owner/mine', { files: filesOf(dir, ['y.safetensors']), commit })
  expect(await findWeights({ model: 'hf:owner/mine' })).toMatchObject({
    config: made.config,
    hub: `hf:owner/mine@${commit}`,
  })
  rmSync(dir, { recursive: true })
  const said = await inspect('hf:owner/dinov2', { limits: {} })
  expect(said).toMatchObject({ path: `hf:owner/dinov2@${commit}`, what: 'huggingface', usable: true })
  expect(said.next[0]).toMatch(new RegExp(`^sherd import '?hf:owner/dinov2@${commit}`))
  expect(() => findModels('hf:owner/dinov2')).toThrow(
    /sherd export onnx --model hf:owner\/dinov2 --out dinov2-onnx/,
  )
})

it('an exported graph is taken by its name, as its file is', async () => {
  const graphs = join(packageRoot(), 'test/fixtures/v0.1/bands')
  hub.repos.set('owner/graphs', { files: filesOf(graphs), commit })
  const [ofHub, local] = [
    await openEmbedder('hf:owner/graphs/encoder.onnx'),
    await openEmbedder(join(graphs, 'encoder.onnx')),
  ]
  expect([ofHub.sha256, ofHub.preparation, ofHub.feature]).toEqual([
    local.sha256,
    local.preparation,
    local.feature,
  ])
  expect(ofHub.origin.path).toContain(`models--owner--graphs/snapshots/${commit}/encoder.onnx`)
})

it('runs begin with it, and learn from it as a teacher', async () => {
  const model = 'hf:owner/dinov2'
  const name = `${model}@${commit}`
  const [dir, data] = [await workFolder(), await sampleFolder(10)]
  const preset = tinyConfig({ train: { steps: 1, batchSize: 4 } })
  const config = resolveConfig(startingFrom(preset, await findDonor(model, {}), {}) as ConfigInput)
  const target = { kind: 'features', model, loss: 'cosine' } as const
  const taught = resolveConfig({ ...config, target } as ConfigInput)
  const out = join(dir, 'run')
  const events = await run({ config: taught, data, out, init: model })
  expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', step: 1 })
  const { facts, config: kept } = openRun(out)
  const found = await findWeights({ model: join(layouts, 'dinov2') })
  expect([facts.init, facts.initSha256]).toEqual([name, sealOfWeights(found)])
  expect(targetKeysOf(kept)).toMatchObject({ model: name, width: found.config.model.width })
  expect(facts.frozen?.['target.model']).toBe(sealOfModel(found))
  const begun = events.find(({ kind }) => kind === 'inherited') as unknown as {
    path: string
    loaded: string[]
  }
  expect(begun.path).toBe(name)
  expect(begun.loaded).toEqual(
    expect.arrayContaining(['cls_token', 'blocks.1.mlp.fc2.weight', 'norm.weight']),
  )
  // The same command finds the run, by the name without a commit, and without a request.
  hub.log.length = 0
  expect(await existingRun({ config: taught, preset: 'tiny', data, out, init: model })).toMatchObject({
    state: 'complete',
  })
  expect(hub.log).toEqual([])
})

it.each([
  ['hf:owner/dinov2', {}, false],
  ['owner/dinov2', {}, true],
  ['owner/dinov2', { revision: 'v1' }, true],
])('an adapter whose base is %s %j is merged with it', async (base, more, isPlain) => {
  hub.repos.set('owner/dinov2', { ...hub.repos.get('owner/dinov2')!, refs: { v1: commit } })
  const dir = await workFolder()
  const encoder = await openEncoder({ model: join(layouts, 'dinov2'), device: 'cpu' })
  const { width } = encoder.dimensions
  const [a, b] = adaptersOf('blocks.0.attn.proj.weight') as [string, string]
  const learned = new Map([
    [a, full([2, width], 0.5)],
    [b, ones([width, 2])],
  ])
  const adapt = { kind: 'lora', rank: 2, alpha: 4, targets: ['proj'] } as const
  saveAdapter(join(dir, 'adapter_model.safetensors'), encoder, { adapt, learned })
  const path = join(dir, 'adapter_config.json')
  const written = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...written, base_model_name_or_path: base, ...more }))
  const opened = await openEncoder({ model: dir, device: 'cpu' })
  const name = 'blocks.0.attn.proj.weight'
  // alpha / rank · B·A: 2 · 2 · (1 · 0.5)
  const expected = Array.from(toFloats(encoder.parameters.get(name)!), (value) => Math.fround(value + 2))
  expectClose(opened.parameters.get(name)!, expected, 1e-6)
  const said = place.notes.filter((line) => line.includes('is no folder here'))
  expect(said).toEqual(
    isPlain ? [expect.stringContaining(`is taken: hf:owner/dinov2${'revision' in more ? '@v1' : ''}`)] : [],
  )
})

it('what the authors of an encoder restrict stands in its notes, and in the card of what is made of it', async () => {
  const name = 'hf:facebook/vit-mae-base'
  hub.repos.set('facebook/vit-mae-base', {
    ...{ files: filesOf(join(layouts, 'vit-mae-pretraining'), ['expected.safetensors']), commit },
    card: { license: 'apache-2.0' },
  })
  const said =
    'he licence of the authors of facebook/vit-mae-base is CC BY-NC 4.0 (not for commercial use); its page on the hub says Apache 2.0'
  expect((await findWeights({ model: name })).notes?.at(-1)).toBe(`t${said}`)
  const out = mkdtempSync(join(tmpdir(), 'sherd-hub-'))
  const cardOf = async (license?: string) => {
    await exportHuggingface({ model: name, out, onnx: [], ...(license && { license }) })
    return readFileSync(join(out, 'README.md'), 'utf8')
  }
  const card = await cardOf()
  expect(card).toMatch(/^license: cc-by-nc-4\.0\nbase_model: facebook\/vit-mae-base$/m)
  expect(card).toContain(`- T${said}.\n`)
  expect(card).not.toContain('licence is not stated')
  const other = await cardOf('mit') // of who publishes it; what the authors say stays
  expect(other).toMatch(/^license: mit$/m)
  expect(other).toContain(`- T${said}.\n`)
  rmSync(out, { recursive: true })
})

it('a path that is not there, and looks like a name of the hub, is advised', async () => {
  for (const model of [
    'facebook/dinov2-small',
    'dinov2-small',
    'https://huggingface.co/facebook/dinov2-small',
  ])
    await expect(findWeights({ model })).rejects.toThrow(
      "If the Hugging Face hub's model is meant: hf:facebook/dinov2-small.",
    )
  await expect(findWeights({ model: 'runs/../x/y' })).rejects.toThrow(/or hf:owner\/name\.$/)
})
