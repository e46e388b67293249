import { afterEach, describe, expect, it, vi } from 'vitest'
import { pixelsAddon } from '../../../src/native/pixels-addon.ts'
import { placeNumbers, resample, sampleBytes } from '../../../src/prepare/decode/resample-pixels.ts'
import { type PixelRules, resizeBicubic } from '../../../src/prepare/decode/resize.ts'
import { storeSample } from '../../../src/prepare/decode/sample-layout.ts'
import { draws } from '../../../src/random/draws.ts'

vi.mock('../../../src/native/pixels-addon.ts', { spy: true })
afterEach(() => {
  vi.mocked(pixelsAddon).mockReset()
  addon.useVectors(true)
})

const addon = pixelsAddon()!
const cases = Array.from({ length: 60 }, (_, index) => {
  const draw = draws({ seed: 5, stream: 'crop', epoch: 0, index })
  const between = (low: number, high: number) => low + draw.below(high - low + 1)
  const image = { width: between(1, 90), height: between(1, 90) }
  const width = between(1, image.width)
  const height = between(1, image.height)
  const box = { left: between(0, image.width - width), top: between(0, image.height - height), width, height }
  const target = { width: between(1, 70), height: between(1, 70) }
  // Extremes among them: black and white beside each other overshoot most.
  const value = index % 2 ? () => between(0, 255) : () => 255 * between(0, 1)
  const pixels = Uint8Array.from({ length: image.width * image.height * 3 }, value)
  return { image, pixels, box, target, flip: index % 3 === 0 }
})

/** The same, cut out of a larger or a smaller box, by each rule. */
const cut = cases.map((each, index) => {
  const { target } = each
  const size = { width: target.width + ((index * 7) % 40), height: Math.max(1, target.height - (index % 9)) }
  const begin = (side: number, of: number) => Math.trunc((side - of) / 2)
  const left = begin(size.width, target.width)
  const top = begin(size.height, target.height)
  const rules: PixelRules = {
    interpolation: index % 2 ? 'bilinear' : 'bicubic',
    isExact: index % 5 === 0,
    fill: index % 4 ? [10, 200, 30] : null,
  }
  return { ...each, cut: { size, left, top }, rules }
})

const byTypeScript = ({ image, pixels, box, target, flip }: (typeof cases)[0], channels: number) => {
  const out = new Uint8Array(target.width * target.height * channels)
  const resized = resizeBicubic({ ...image, pixels }, box, target)
  storeSample(resized, out, { width: target.width, channels, flip })
  return out
}

describe('resample', () => {
  it('is there', () => expect(addon).not.toBeNull())

  it.each([
    [3, true],
    [1, true],
    [3, false],
  ])('gives the bytes of the TypeScript, for %i channels, with vectors: %s', (channels, vectors) => {
    addon.useVectors(vectors)
    for (const each of cases) {
      const { image, pixels, target } = each
      const out = new Uint8Array(target.width * target.height * channels)
      resample({ ...image, pixels }, each, { target, channels, out })
      expect(Buffer.compare(out, byTypeScript(each, channels)), JSON.stringify({ ...each, pixels: 0 })).toBe(
        0,
      )
    }
  })

  it.each([true, false])('cuts and fills as the TypeScript does, with vectors: %s', (vectors) => {
    addon.useVectors(vectors)
    for (const { image, pixels, target, rules, ...placement } of cut)
      for (const channels of [1, 3]) {
        const [one, other] = [true, false].map((isByAddon) => {
          vi.mocked(pixelsAddon).mockReturnValue(isByAddon ? addon : null)
          const out = new Uint8Array(sampleBytes({ target, channels, rules }))
          resample({ ...image, pixels }, placement, { target, channels, rules, out })
          return rules.isExact ? new Float32Array(out.buffer) : out
        }) as [Float32Array, Float32Array]
        const largest = one.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0)
        expect(largest).toBeLessThanOrEqual(rules.isExact ? 1e-4 : 0) // sums of float32 in two orders
      }
  })

  it('gives the same without the addon', () => {
    const each = cases[3]!
    vi.mocked(pixelsAddon).mockReturnValue(null)
    const out = new Uint8Array(each.target.width * each.target.height * 3)
    resample({ ...each.image, pixels: each.pixels }, each, { target: each.target, channels: 3, out })
    expect(out).toEqual(byTypeScript(each, 3))
  })

  it('treats each of any number of channels alike', () => {
    for (const channels of [1, 2, 4, 7]) {
      const each = cases[channels]!
      const { image, box, target } = each
      const from = (c: number) => (i: number) =>
        each.pixels[(Math.floor(i / channels) * 3 + c) % each.pixels.length]!
      const pixels = Uint8Array.from({ length: image.width * image.height * channels }, (_, i) =>
        from(i % channels)(i),
      )
      const out = new Uint8Array(target.width * target.height * channels)
      const { width, height } = target
      addon.resize(
        pixels,
        image.width,
        image.height,
        channels,
        Float64Array.from(placeNumbers(each, { target })),
        width,
        height,
        channels,
        out,
      )
      for (let c = 0; c < channels; c++) {
        const grey = Uint8Array.from(
          { length: image.width * image.height * 3 },
          (_, i) => pixels[Math.floor(i / 3) * channels + c]!,
        )
        const expected = new Uint8Array(width * height * 3)
        const resized = resizeBicubic({ ...image, pixels: grey }, box, target)
        storeSample(resized, expected, { width, channels: 3, flip: each.flip })
        expect(out.filter((_, i) => i % channels === c)).toEqual(expected.filter((_, i) => i % 3 === 0))
      }
    }
  })
})
