// An image is prepared as the authors of a published encoder do, also for its exported graph: in a folder, and by the server.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportOnnx } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { openEmbedder } from '../../src/search/embedder.ts'
import { openSource } from '../../src/source/open.ts'
import { valuesOf } from '../../src/weights/frozen-encoder.ts'
import { expectClose } from '../tolerance.ts'
import { copyImages, hasLayouts, modelOf } from '../weights/pipelines.ts'
import { formOf, startServer } from './make-served.ts'

const work = mkdtempSync(join(tmpdir(), 'sherd-authors-'))
const images = join(work, 'images')
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Each mode of resizing, both filters, cuts of both rules, another shape, and values that are not rounded. */
const names = ['dinov2', 'dinov3', 'openclip, longest', 'timm-beitv2, squash']

describe.runIf(hasLayouts)('files for', () => {
  beforeAll(() => {
    mkdirSync(images)
    copyImages(images)
  })

  it.each(names)('%s', async (name) => {
    const request = { ...modelOf(name, work), device: 'cpu' } as const
    const model = await openModel(request, ['encoder'])
    const out = join(work, `${name} exported`)
    for await (const _ of exportOnnx({ model, out, graphs: ['encoder'], precisions: ['fp32'] }));
    const { model: path, ...rest } = request
    const source = await openSource(images)
    const vectors = async (embedder: Awaited<ReturnType<typeof openEmbedder>>) => {
      const { features } = await embedder.features(source, { features: [embedder.feature] })
      expect(features.count).toBe(source.files.length)
      return { feature: embedder.feature, ...valuesOf(features, embedder.feature) }
    }
    const own = await vectors(await openEmbedder(path, rest))
    const graph = await vectors(await openEmbedder(join(out, 'encoder.onnx')))
    expect(graph.feature).toBe(own.feature)
    expectClose(graph.values, own.values, 1e-4)

    const server = await startServer({ model: out })
    const form = formOf(
      Object.fromEntries(source.files.map((file) => [file, readFileSync(join(images, file))])),
    )
    const answer = await (await fetch(`${server.url}/v1/embed`, form)).json()
    const { results, pool } = answer as { results: { embedding: number[] }[]; pool: string }
    expect(pool).toBe(own.feature)
    expectClose(
      results.flatMap(({ embedding }) => embedding),
      graph.values,
      1e-5,
    )
  })

  it("another size than the model's, where the graph takes any", async () => {
    const { model: path, ...rest } = { ...modelOf('dinov2', work), device: 'cpu' } as const
    const model = await openModel({ model: path, ...rest }, ['encoder'])
    const [out, fixed] = ['any size', 'one size'].map((name) => join(work, name)) as [string, string]
    const given = { model, graphs: ['encoder'], precisions: ['fp32'] } as const
    for await (const _ of exportOnnx({ ...given, out, dynamicGrid: { most: 112 } }));
    for await (const _ of exportOnnx({ ...given, out: fixed }));
    const source = await openSource(images)
    const own = await openEmbedder(path, { ...rest, imageSize: [56, 84] })
    const { features } = await own.features(source, { features: ['cls'] })
    const { values } = valuesOf(features, 'cls')

    const server = await startServer({ model: out, imageSize: [56, 84] })
    const form = formOf(
      Object.fromEntries(source.files.map((file) => [file, readFileSync(join(images, file))])),
    )
    const answer = await (await fetch(`${server.url}/v1/embed?pool=cls`, form)).json()
    const { results } = answer as { results: { embedding: number[] }[] }
    expectClose(
      results.flatMap(({ embedding }) => embedding),
      values,
      1e-4,
    )

    await expect(startServer({ model: fixed, imageSize: [56, 84] })).rejects.toThrow(
      /takes images of 42 × 42 pixels alone: leave --image-size out, .*--dynamic-grid/,
    )
    await expect(startServer({ model: out, imageSize: [56, 126] })).rejects.toThrow('at most 112 pixels')
    await expect(startServer({ model: out, imageSize: [56, 85] })).rejects.toThrow('56x84, 56x98')
  })
})
