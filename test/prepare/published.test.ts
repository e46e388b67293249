/** Pictures of the layout folders, prepared as the libraries that wrote the folders prepare them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { preprocessingOf } from '../../src/import/preprocessing.ts'
import { pixelsAddon } from '../../src/native/pixels-addon.ts'
import { packageRoot } from '../../src/package-root.ts'
import { resample, sampleBytes } from '../../src/prepare/decode/resample-pixels.ts'
import { fitted } from '../../src/prepare/fit.ts'

vi.mock('../../src/native/pixels-addon.ts', { spy: true })
afterEach(() => void vi.mocked(pixelsAddon).mockReset())

const layouts = join(packageRoot(), '../shared/reference/layouts')
const addon = pixelsAddon()
const json = (path: string) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null)

const folders = readdirSync(layouts)
  .filter((name) => existsSync(join(layouts, name, 'preprocessor_config.json')) && !/^videomae/.test(name))
  .filter((name) => name !== 'siglip2-naflex') // a grid of its own for every image

interface Difference {
  readonly largest: number
  readonly mean: number
}

function differences(name: string, prepared: Float32Array, key: string): Difference | null {
  const { tensors } = read(name)
  const expected = tensors.get(key)
  if (!expected) return null
  const apart = Array.from(expected.data as Float32Array, (value, i) => Math.abs(value - prepared[i]!))
  expect(prepared.length).toBe(apart.length)
  return { largest: Math.max(...apart), mean: apart.reduce((a, b) => a + b, 0) / apart.length }
}

const read = (name: string) => readArrays(join(layouts, name, 'expected.safetensors'))

function prepare(name: string): Float32Array {
  const folder = join(layouts, name)
  const { statistics, data, imageSize } = preprocessingOf({
    path: folder,
    config: json(join(folder, 'config.json')),
    preprocessor: json(join(folder, 'preprocessor_config.json')),
  })
  const picture = read(name).tensors.get('input.picture')!
  const [height, width] = picture.shape as [number, number]
  const target = { height: imageSize![0], width: imageSize![1] }
  const rules = { interpolation: data.interpolation!, isExact: data.rounding === 'none' }
  const fitting = { resize: data.resize!, cropShare: data.cropShare ?? 1, cutRule: data.cutRule! }
  const space = { target, channels: 3, rules }
  const out = new Uint8Array(sampleBytes(space))
  const image = { pixels: picture.data as Uint8Array, width, height }
  resample(
    image,
    { ...fitted(image, target, { ...fitting, isExact: rules.isExact }), flip: false },
    { ...space, out },
  )
  const values = rules.isExact ? new Float32Array(out.buffer) : out
  const { mean, std } = statistics!
  const area = target.height * target.width
  return Float32Array.from(
    { length: 3 * area },
    (_, i) =>
      (values[(i % area) * 3 + Math.floor(i / area)]! / 255 - mean[Math.floor(i / area)]!) /
      std[Math.floor(i / area)]!,
  )
}

describe.each(['by the addon', 'by TypeScript'])('a picture prepared %s', (by) => {
  it.each(folders)('is as the library of %s has it', (name) => {
    vi.mocked(pixelsAddon).mockReturnValue(by === 'by TypeScript' ? null : addon)
    const prepared = prepare(name)
    const usual = differences(name, prepared, 'expected.preprocessed')!
    expect(usual.largest).toBeLessThanOrEqual(0.035)
    expect(usual.mean).toBeLessThanOrEqual(1e-3)
    const pillow = differences(name, prepared, 'expected.preprocessedPil')
    if (pillow)
      expect(pillow.largest).toBeLessThanOrEqual(2e-6) // the same bytes
    else expect(usual.largest).toBeLessThanOrEqual(2e-5) // float32 all the way
  })
})
