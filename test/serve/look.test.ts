// What the server sees in images is what `sherd look` computes of them with LibTorch.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { OpenedModel } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { readNpy } from '../../src/files/npy.ts'
import { type LookOptions, lookAt } from '../../src/look/look.ts'
import { loadExhibit } from '../../src/run/pictures.ts'
import { lookRoute, mostImages } from '../../src/serve/look.ts'
import type { Server } from '../../src/serve/serve.ts'
import type { Answering } from '../../src/serve/service.ts'
import { openFor } from '../../src/weights/open-encoder.ts'
import { scene, temporaryFolder } from '../prepare/decode/make-images.ts'
import { tinyConfig } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'
import { hasLayouts, layouts } from '../weights/pipelines.ts'
import { bodyOf, exportTiny, formOf, startServer } from './make-served.ts'

const files = ['a.png', 'b.png', 'c.png']
let photos = ''

beforeAll(async () => {
  photos = await temporaryFolder()
  for (const [i, name] of files.entries())
    writeFileSync(join(photos, name), await (await scene(40, 30 + i, i)).png().toBuffer())
})

/** A server of a model whose patches are 3 × 5. */
async function served(attention: boolean): Promise<{ model: OpenedModel; server: Server }> {
  const config = tinyConfig({
    model: { imageSize: [12, 20], depth: 3 },
    train: { precision: 'fp32' },
  })
  const model = await openModel({ model: 'random', config, device: 'cpu', seed: 3 }, ['encoder'])
  return { model, server: await startServer({ model: await exportTiny(model, ['encoder'], { attention }) }) }
}

interface Answered {
  attention: { of: string; block: number | null } | null
  explained: number[]
  patch: { row: number; column: number }
  results: readonly {
    name: string
    grid: { rows: number; columns: number }
    heads: { onPrefix: number; patches: number[] }[] | null
    colours: number[]
    similarity: number[]
    nearest: { row: number; column: number; similarity: number }[]
    error?: { code: string; message: string }
  }[]
}

const form = (names: readonly string[] = files) =>
  formOf(Object.fromEntries(names.map((name) => [name, readFileSync(join(photos, name))])))
const ask = (server: Server, query: string, given = form()) => fetch(`${server.url}/v1/look${query}`, given)
async function answered(response: Response): Promise<Answered> {
  const body = await response.json()
  expect([response.status, body]).toMatchObject([200, { results: expect.anything() }])
  return body as Answered
}
const refusal = async (response: Response) => [
  response.status,
  ((await response.json()) as { error: unknown }).error,
]

async function expectAsLook(model: OpenedModel, said: Answered, options: LookOptions): Promise<void> {
  const source = await openFor(model, photos)
  const look = await lookAt(model, await loadExhibit(model.config, source, files.length), options)
  const { h, w } = look.grid
  expect(said.attention).toEqual({ of: look.attention.of, block: look.attention.block })
  expect(said.patch.row * w + said.patch.column).toBe(look.chosen)
  expectClose(said.explained, look.explained, 1e-4)
  expect(said.results.map(({ name }) => name)).toEqual(look.images.map(({ file }) => file))
  for (const [i, seen] of said.results.entries()) {
    const wanted = look.images[i]!
    expect(seen.grid).toEqual({ rows: h, columns: w })
    for (const [head, map] of wanted.attention.entries()) {
      expectClose(seen.heads![head]!.patches, map.patches, 1e-5)
      expectClose([seen.heads![head]!.onPrefix], [map.prefix], 1e-5)
    }
    expect(seen.heads).toHaveLength(wanted.attention.length)
    expectClose(seen.colours, wanted.colours, 2) // bytes of features that differ by 1e-6
    expectClose(seen.similarity, wanted.similarity, 1e-4)
    expectClose(
      seen.nearest.map(({ similarity }) => similarity),
      wanted.nearest.map(({ similarity }) => similarity),
      1e-4,
    )
    for (const { row, column, similarity } of seen.nearest)
      expect(seen.similarity[row * w + column]).toBe(similarity)
  }
}

describe('with attention', () => {
  let model: OpenedModel
  let server: Server
  beforeAll(async () => {
    ;({ model, server } = await served(true))
  })

  it.each([
    ['', {}],
    ['?block=0&patch=2,1&nearest=3', { block: 0, patch: [2, 1], nearest: 3 }],
  ] as const)('sees what look sees%s', async (query, options) => {
    await expectAsLook(model, await answered(await ask(server, query)), options)
  })

  it('sends features of length 1, whose products are the similarities for every patch', async () => {
    const response = await ask(server, '?format=npy')
    const path = join(await temporaryFolder(), 'patches.npy')
    writeFileSync(path, Buffer.from(await response.arrayBuffer()))
    const { values } = readNpy(path, { dtype: /^<f4$/, shape: [3, 15, 32] })
    const rows = new Float32Array(values.buffer, values.byteOffset, 3 * 15 * 32)
    const row = (n: number) => rows.subarray(32 * n, 32 * n + 32)
    const product = (a: number, b: number) => row(a).reduce((sum, x, i) => sum + x * row(b)[i]!, 0)
    for (const chosen of [0, 7, 14]) {
      const { results } = await answered(await ask(server, `?patch=${Math.floor(chosen / 5)},${chosen % 5}`))
      for (const [i, { similarity }] of results.entries())
        expectClose(
          similarity.map((_, place) => product(chosen, 15 * i + place)),
          similarity,
          1e-5,
        )
    }
  })

  it('has the error of an image in its place, but not of the first, whose patch is chosen', async () => {
    const bad = Buffer.from('no image')
    const [a, c] = [readFileSync(join(photos, 'a.png')), readFileSync(join(photos, 'c.png'))]
    const { results } = await answered(
      await ask(server, '', formOf({ 'a.png': a, 'bad.png': bad, 'c.png': c })),
    )
    expect([results[0]!.colours.length, results[1]!.error!.code, results[2]!.colours.length]).toEqual([
      45,
      'IMAGE',
      45,
    ])
    const two = await answered(await ask(server, '', form(['a.png', 'c.png'])))
    expect(results[2]!.colours).toEqual(two.results[1]!.colours)
    expect(await refusal(await ask(server, '', formOf({ 'bad.png': bad, 'a.png': a })))).toEqual([
      422,
      { code: 'IMAGE', message: expect.stringContaining('bad.png: the image cannot be used') },
    ])
  })

  it.each([
    ['?block=3', 'block must be <= 2'],
    ['?patch=3,0', 'patch 3,0: the grid has 3 rows and 5 columns, counted from 0'],
    ['?patch=1', 'patch must match pattern'],
    ['?nearest=0', 'nearest must be >= 1'],
    ['?heads=1', 'there is no query "heads" here'],
  ])('refuses %s', async (query, message) => {
    expect(await refusal(await ask(server, query))).toEqual([
      400,
      { code: 'QUERY', message: expect.stringContaining(message) },
    ])
  })
})

it('sees the rest without attention, and refuses a block by its reason', async () => {
  const { model, server } = await served(false)
  const said = await answered(await ask(server, '', bodyOf(readFileSync(join(photos, 'a.png')), 'image/png')))
  expect([said.attention, said.results[0]!.heads, said.results[0]!.similarity.length]).toEqual([
    null,
    null,
    15,
  ])
  expect(model.config.model.depth).toBe(3)
  expect(await refusal(await ask(server, '?block=1'))).toEqual([
    400,
    { code: 'QUERY', message: expect.stringContaining('it was exported without --attention') },
  ])
})

it('compares as many images as its memory holds, and refuses more', async () => {
  expect(mostImages(196 * 768)).toBe(27) // ViT-B/16 at 224
  expect(mostImages(2 ** 23)).toBe(1)
  // 64 × 64 patches of 512 numbers: two images.
  const config = tinyConfig({ model: { imageSize: 128, patchSize: 2, width: 512, depth: 1 } })
  const model = { graph: 'encoder', config, outputs: ['mean', 'patches'] }
  const route = lookRoute({ model } as unknown as Answering)
  const asked = { query: {}, signal: new AbortController().signal }
  await expect(route.of({ name: 'c.png', file: new Uint8Array(1) }, 2, asked)).rejects.toMatchObject({
    ...{ code: 'TOO_LARGE', message: expect.stringContaining('more than the 2 images whose patches') },
  })
})

describe.runIf(hasLayouts)('published encoders', () => {
  it.each([
    ['dinov2-registers', {}],
    ['siglip-vision', {}],
    ['siglip-vision', { block: 0 }],
    ['ijepa', {}],
  ] as const)('sees what look sees: %s %j', async (name, options) => {
    const model = await openModel({ model: join(layouts, name), device: 'cpu' }, ['encoder'])
    const server = await startServer({ model: await exportTiny(model, ['encoder'], { attention: true }) })
    const query = 'block' in options ? `?block=${options.block}` : ''
    await expectAsLook(model, await answered(await ask(server, query)), options)
  })
})
