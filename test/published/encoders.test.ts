// The table of published encoders: figures that follow from the options are those of the libraries, and every row can be built.
import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import { authorsLicence, licences } from '../../src/hub/licences.ts'
import { families, publishedEncoders, publishedNamed } from '../../src/published/encoders.ts'
import { figuresOf, numbersOf } from '../../src/published/figures.ts'

// Counted by timm 1.0.31 (num_classes=0), less the row of positions of cls, with CLIP's projection.
it.each([
  ['dinov2-small', 22_056_192 - 384],
  ['dinov2-giant', 1_136_479_232 - 1536],
  ['dinov2-registers-base', 86_582_016],
  ['dinov3-small', 21_596_160],
  ['dinov3-huge-plus', 840_591_360],
  ['dinov3-7b', 6_716_030_976],
  ['mae-huge', 630_764_800 - 1280],
  ['ijepa-huge', 630_762_240],
  ['beit-base', 85_761_984],
  ['clip-base-16', 85_799_424 - 768 + 768 * 512],
  ['openclip-huge', 630_766_080 - 1280 + 1280 * 1024],
  ['siglip-base', 92_884_224],
  ['siglip-so400m-384', 428_225_600],
  ['vit-tiny', 5_524_416 - 192],
])('%s has as many parameters as in timm', (name, count) => {
  expect(figuresOf(publishedNamed(name)!).parameters).toBe(count)
})

it('counts what an image costs by hand', () => {
  // 196 patches and cls, 12 blocks: 4 maps of 192², an MLP of 192 · 768 twice, both products of attention; the embedding of 16 · 16 · 3 values.
  const tokens = 197
  const block = tokens * (4 * 192 ** 2 + 2 * 192 * 768) + 2 * tokens ** 2 * 192
  expect(figuresOf(publishedNamed('vit-tiny')!).flops).toBe(2 * (12 * block + 196 * 768 * 192))
})

describe.each(families.map((each) => [each.family, each] as const))('%s', (_, family) => {
  it('has a known licence, statistics of three channels and names of its own', () => {
    const { mean, std } = numbersOf(family.statistics)
    expect([mean.length, std.length]).toEqual([3, 3])
    for (const { name, hub } of family.encoders) {
      expect(licences).toHaveProperty([authorsLicence(hub)?.licence ?? 'none', 'use'])
      expect(name).toMatch(/^[a-z0-9-]+$/)
      expect(hub).toMatch(/^[\w-]+\/[\w.-]+$/)
      expect(publishedEncoders.filter((each) => each.name === name || each.hub === hub)).toHaveLength(1)
    }
  })

  it('is built by its options, and gives the vector that its authors take', () => {
    for (const { model } of publishedEncoders.filter((each) => each.family === family.family)) {
      const config = resolveConfig({ model })
      expect(config.model.feature).toBe(model.feature)
      expect(figuresOf({ model }).width).toBeGreaterThan(100)
    }
  })
})
