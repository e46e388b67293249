import { describe, expect, it } from 'vitest'
import { presetOf } from '../../src/config/presets.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { stepFlops } from '../../src/config/step-cost.ts'
import { matrixProducts, trainingFlops } from '../../src/model/flops.ts'
import { tinySizes } from './tiny-model.ts'

describe('trainingFlops', () => {
  it('is a sum that a pencil can check', () => {
    // 15 patches of 12 numbers, 6 of them kept; width 24, 2 blocks, 3 heads of 8; decoder 16, 1 block, 2 heads of 8.
    const multiplyAdds =
      6 * 12 * 24 + // embed the kept patches
      2 * (7 * 24 * 72 + 2 * 7 * 7 * 24 + 7 * 24 * 24 + 2 * 7 * 24 * 96) + // two blocks, 6 + 1 tokens
      7 * 24 * 16 + // to the decoder's width
      (16 * 16 * 48 + 2 * 16 * 16 * 16 + 16 * 16 * 16 + 2 * 16 * 16 * 64) + // one block, 15 + 1 tokens
      9 * 16 * 12 // predict the hidden patches
    expect(multiplyAdds).toBe(1728 + 2 * 50736 + 2688 + 57344 + 1728)
    expect(trainingFlops(tinySizes, 0.6)).toBe(6 * multiplyAdds)
  })

  it('with one linear head counts an encoder of all tokens, and no decoder', () => {
    const multiplyAdds =
      6 * 12 * 24 + // embed the kept patches
      2 * (16 * 24 * 72 + 2 * 16 * 16 * 24 + 16 * 24 * 24 + 2 * 16 * 24 * 96) + // two blocks, 15 + 1 tokens
      9 * 24 * 12 // predict the hidden patches
    expect(trainingFlops({ ...tinySizes, decoder: null }, 0.6)).toBe(6 * multiplyAdds)
  })

  it('of mask tokens that attend to seen ones counts those that are decoded', () => {
    const decoder = {
      kind: 'cross-attention',
      featureMaps: null,
      useInput: true,
      ...{ width: 16, depth: 3, heads: 2 },
    } as const
    const decoded = 4 // 6 of 15 patches are kept; 15 · (0.6 − 0.2) is 5.99… in floating point, so 5 are thrown
    const multiplyAdds =
      6 * 12 * 24 + // embed the kept patches
      2 * (7 * 24 * 72 + 2 * 7 * 7 * 24 + 7 * 24 * 24 + 2 * 7 * 24 * 96) + // two blocks, 6 + 1 tokens
      7 * 24 * 3 * 3 + // three mixtures of three maps
      3 *
        (decoded * 16 * 16 + 7 * 24 * 32 + 2 * decoded * 7 * 16 + decoded * 16 * 16 + 2 * decoded * 16 * 64) +
      decoded * 16 * 12 // predict
    expect(trainingFlops({ ...tinySizes, decoder: { ...decoder, decodeRatio: 0.2 } }, 0.6)).toBe(
      6 * multiplyAdds,
    )
  })

  it('counts what a mask ratio leaves to see', () => {
    const seen = (ratio: number) =>
      matrixProducts(tinySizes, ratio).find(({ name }) => name === 'blocks.mlp.fc1')!.rows
    expect([seen(0.6), seen(0.75), seen(0.2)]).toEqual([7, 4, 13])
  })

  it('counts attention by head: [T, 8] × [8, T] and [T, T] × [T, 8]', () => {
    const products = matrixProducts(tinySizes, 0.6).filter(({ perImage }) => perImage)
    expect(
      products.map(({ name, rows, inner, columns, count }) => [name, rows, inner, columns, count]),
    ).toEqual([
      ['blocks.attn.scores', 7, 8, 7, 6],
      ['blocks.attn.mix', 7, 7, 8, 6],
      ['decoder_blocks.attn.scores', 16, 8, 16, 2],
      ['decoder_blocks.attn.mix', 16, 16, 8, 2],
    ])
  })

  it('of ViT-Base/16 at 224 is near the rule of thumb, 6 operations for each parameter and token', () => {
    const config = resolveConfig(presetOf('mae-base-224').config)
    const encoder = 12 * 12 * 768 ** 2 // weights of the encoder's maps
    const decoder = 8 * 12 * 512 ** 2
    const rule = 6 * (50 * encoder + 197 * decoder)
    const ratio = stepFlops(config) / rule
    expect(ratio).toBeGreaterThan(1) // attention and the ends come on top
    expect(ratio).toBeLessThan(1.1)
  })
})
