import { describe, expect, it } from 'vitest'
import { backboneRows } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EncoderDimensions } from '../../src/model/dimensions.ts'
import { parameterCount } from '../../src/model/parameters.ts'
import { type SizeName, sizeNames, sizes } from '../../src/model/sizes.ts'
import { decoderRows } from './decoder-rows.ts'

// Published counts of the classifiers without their heads (DeiT tiny and small, ViT-B/16, L/16, H/14), which learn a
// position for each patch and for cls; ours are fixed.
const published: Record<SizeName, { parameters: number; tokens: number }> = {
  tiny: { parameters: 5_717_416 - (192 * 1000 + 1000), tokens: 197 },
  small: { parameters: 22_050_664 - (384 * 1000 + 1000), tokens: 197 },
  base: { parameters: 85_798_656, tokens: 197 },
  large: { parameters: 304_326_632 - (1024 * 1000 + 1000), tokens: 197 },
  huge: { parameters: 632_045_800 - (1280 * 1000 + 1000), tokens: 257 },
}

const dimensionsOf = (name: SizeName): EncoderDimensions => ({
  ...sizes[name],
  patchSize: [sizes[name].patchSize, sizes[name].patchSize],
  imageSize: [224, 224],
  channels: 3,
  mlpRatio: 4,
  layerNormEpsilon: 1e-6,
})

describe.each(sizeNames)('%s', (name) => {
  const d = dimensionsOf(name)
  const { parameters, tokens } = published[name]

  it('has the published number of parameters', () =>
    expect(parameterCount(backboneRows(plainBackbone(d)))).toBe(parameters - tokens * d.width))

  it('has the number that the equations say', () => {
    // Per block: qkv 3w² + 3w, projection w² + w, MLP 8w² + 5w, two norms 4w.
    const blocks = (width: number, depth: number) => depth * (12 * width ** 2 + 13 * width)
    const patch = 3 * sizes[name].patchSize ** 2
    const encoder = patch * d.width + d.width + d.width + blocks(d.width, d.depth) + 2 * d.width
    const decoder = d.width * 512 + 512 + 512 + blocks(512, 8) + 2 * 512 + 512 * patch + patch
    expect(parameterCount(backboneRows(plainBackbone(d)))).toBe(encoder)
    expect(parameterCount(decoderRows({ encoder: d, decoder: { width: 512, depth: 8, heads: 16 } }))).toBe(
      decoder,
    )
  })

  it('has heads of 64 numbers, or 80 in the huge one', () =>
    expect(d.width / d.heads).toBe(name === 'huge' ? 80 : 64))
})
