// Images whose sides are no multiples of the patch, as those of SigLIP So400m at 384 pixels with patches of 14: what fills no patch is left out.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fittingOf } from '../../src/config/assemble.ts'
import type { Config } from '../../src/config/schema.ts'
import { exportHuggingface } from '../../src/export/export-huggingface.ts'
import { exportTimm } from '../../src/export/export-timm.ts'
import { openSession } from '../../src/onnx/session.ts'
import { packageRoot } from '../../src/package-root.ts'
import { fitted } from '../../src/prepare/fit.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'

const dir = mkdtempSync(join(tmpdir(), 'sherd-uneven-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const model = join(dir, 'siglip')
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>

beforeAll(() => {
  cpSync(join(packageRoot(), '../shared/reference/layouts/siglip-vision'), model, { recursive: true })
  const config = join(model, 'config.json')
  writeFileSync(config, JSON.stringify({ ...json(config), image_size: 39 })) // 4 patches of 8, and 7 pixels
})

const configOf = async (path: string, given: object = {}): Promise<Config> =>
  (await openEncoder({ model: path, ...given })).config

it('are brought to the size of the file, and their upper left part is taken', async () => {
  const config = await configOf(model)
  expect(config.model.imageSize).toEqual([32, 32])
  expect(config.data).toMatchObject({ resize: 'squash', inputSize: [39, 39] })
  expect(fitted({ width: 90, height: 60 }, { width: 32, height: 32 }, fittingOf(config))).toEqual({
    box: { left: 0, top: 0, width: 90, height: 60 },
    cut: { size: { width: 39, height: 39 }, left: 0, top: 0 },
  })
  // 39 / 0.9 = 43.3: the middle 39 of 43 begin at 2, and the first 32 of them are taken.
  const cut = {
    ...fittingOf(config)!,
    resize: 'shortest' as const,
    cropShare: 0.9,
    cutRule: 'before' as const,
  }
  expect(fitted({ width: 86, height: 43 }, { width: 32, height: 32 }, cut).cut).toEqual({
    size: { width: 86, height: 43 },
    left: 23,
    top: 2,
  })
})

it('have no part left out at a size that is given', async () => {
  const config = await configOf(model, { imageSize: [40, 24] })
  expect([config.model.imageSize, config.data]).toEqual([
    [40, 24],
    expect.objectContaining({ inputSize: null }),
  ])
})

it.each([
  ['transformers', exportHuggingface, ({ image_size }: Record<string, unknown>) => image_size],
  [
    'timm',
    exportTimm,
    ({ model_args }: Record<string, unknown>) => (model_args as Record<string, unknown>).img_size,
  ],
] as const)('keep their size in a folder for %s', async (name, write, sizeIn) => {
  const out = join(dir, name)
  await write({ model, out })
  expect(sizeIn(json(join(out, 'config.json')))).toBe(39)
  const [first, again] = [await configOf(model), await configOf(out)]
  expect([again.model.imageSize, again.data]).toEqual([first.model.imageSize, first.data])
})

it('reach a graph of transformers.js whole', async () => {
  const out = join(dir, 'web')
  await exportHuggingface({ model, out, onnx: ['fp32'] })
  const session = await openSession(join(out, 'onnx/model.onnx'), { threads: 1 })
  const run = async (side: number, values: Float32Array) =>
    (await session.run({ values, shape: [1, 3, side, side] }, ['last_hidden_state'])).last_hidden_state.values
  try {
    const pixels = Float32Array.from({ length: 3 * 39 * 39 }, (_, i) => Math.sin(i))
    const beyond = pixels.map((x, i) => (i % 39 >= 32 || Math.floor(i / 39) % 39 >= 32 ? -5 : x))
    const tokens = await run(39, pixels)
    expect(tokens).toHaveLength(16 * 32)
    expect(await run(39, beyond)).toEqual(tokens)
    await expect(run(32, pixels.slice(0, 3 * 32 * 32))).rejects.toThrow()
  } finally {
    await session.close()
  }
})
