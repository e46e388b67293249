import { describe, expect, it } from 'vitest'
import { applyBlocks } from '../../src/model/block.ts'
import { decodeAll, decodeHidden, decoderRows } from '../../src/model/decoder.ts'
import { decoderBlocks } from '../../src/model/dimensions.ts'
import { weightsOf, within } from '../../src/model/parameters.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { add, cat, expand, linear, narrow } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { planFromNoise } from '../../src/token/mask.ts'
import { take } from '../../src/token/take.ts'
import { positions } from '../token/positions.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'
import { stirredParameters, tinySizes } from './tiny-model.ts'

const [B, N, K] = [2, 15, 6]
const parameters = stirredParameters({ rows: decoderRows(tinySizes) })
const weights = weightsOf(parameters)
const make = () => ({
  latent: tensor(wave(B * (1 + K) * 24, 3), [B, 1 + K, 24]),
  plan: planFromNoise(tensor(wave(B * N, 5), [B, N]), K),
  positions: positions({ h: 3, w: 5 }, 16, 'cpu'),
})

describe('the decoder', () => {
  it('does what the reference does with shuffled tokens: embed, fill with mask tokens, restore, add positions', () =>
    noGrad(() =>
      scope(() => {
        const { latent, plan, positions: where } = make()
        const embedded = linear(latent, weights('decoder_embed.weight'), weights('decoder_embed.bias'))
        const cls = narrow(embedded, 1, 0, 1)
        const sequence = cat([narrow(embedded, 1, 1, K), expand(weights('mask_token'), [B, N - K, 16])], 1)
        const inOrder = add(take(sequence, plan.restore), where) // cls has the position 0
        const [blocks, norm] = ['decoder_blocks', 'decoder_norm'].map((name) => within(weights, name))
        const normed = applyBlocks(cat([cls, inOrder], 1), blocks!, norm!, decoderBlocks(tinySizes))
        const expected = narrow(
          linear(normed, weights('decoder_pred.weight'), weights('decoder_pred.bias')),
          1,
          1,
          N,
        )
        const all = decodeAll(make(), weights, tinySizes)
        expect(all.shape).toEqual([B, N, 12])
        expectClose(all, expected, 2e-6)
      }),
    ))

  it('predicts the hidden patches alike in both ways, in the order of the plan', () =>
    noGrad(() =>
      scope(() => {
        const input = make()
        const hidden = decodeHidden(input, weights, tinySizes)
        expect(hidden.shape).toEqual([B, N - K, 12])
        expectClose(hidden, take(decodeAll(input, weights, tinySizes), input.plan.hidden), 2e-6)
      }),
    ))

  it('looks at cls, and at every kept token', () =>
    noGrad(() =>
      scope(() => {
        const input = make()
        const before = numbers(decodeHidden(input, weights, tinySizes))
        for (let token = 0; token <= K; token++) {
          const changed = wave(B * (1 + K) * 24, 3)
          changed[token * 24]! += 1 // in the first image
          const after = numbers(
            decodeHidden({ ...input, latent: tensor(changed, [B, 1 + K, 24]) }, weights, tinySizes),
          )
          const half = before.length / 2
          expect(after.slice(0, half)).not.toEqual(before.slice(0, half))
          expect(after.slice(half)).toEqual(before.slice(half))
        }
      }),
    ))

  it('tells hidden patches apart by their positions alone', () =>
    noGrad(() =>
      scope(() => {
        const rows = numbers(decodeHidden(make(), weights, tinySizes))
        const patches = Array.from({ length: N - K }, (_, m) => rows.slice(m * 12, (m + 1) * 12).join())
        expect(new Set(patches).size).toBe(N - K)
      }),
    ))

  it('refuses a latent that does not belong to the plan', () =>
    scope(() => {
      const input = make()
      const refused = (latent: Tensor) => expect(() => decodeHidden({ ...input, latent }, weights, tinySizes))
      refused(tensor(wave(B * K * 24), [B, K, 24])).toThrow(
        'decode: latent: expected [2, 7, 24], got float32[2, 6, 24]',
      )
      refused(tensor(wave(7 * 24), [1, 7, 24])).toThrow(
        'decode: latent: expected [2, 7, 24], got float32[1, 7, 24]',
      )
    }))
})
