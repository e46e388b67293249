import { describe, expect, it } from 'vitest'
import { plainBackbone } from '../../../src/model/backbone-shape.ts'
import { applyBlocks } from '../../../src/model/block.ts'
import { openDecoder } from '../../../src/model/decoder/decoders.ts'
import { decoderBlocks } from '../../../src/model/dimensions.ts'
import { weightsOf, within } from '../../../src/model/parameters.ts'
import { noGrad } from '../../../src/tensor/context.ts'
import { add, cat, expand, linear, narrow } from '../../../src/tensor/ops.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { planFromNoise } from '../../../src/token/mask.ts'
import { clsPrefix } from '../../../src/token/prefix.ts'
import { take } from '../../../src/token/take.ts'
import { positions } from '../../token/positions.ts'
import { expectClose, numbers, wave } from '../../tolerance.ts'
import { stirredParameters, tiny, tinyDecoder, tinySizes } from '../tiny-model.ts'

const [B, N, K] = [2, 15, 6]
const decoder = openDecoder(tinyDecoder, { shape: plainBackbone(tiny), device: 'cpu' })
const parameters = stirredParameters(decoder)
const weights = weightsOf(parameters)
const encodedOf = (sequence: Tensor) => ({ sequence, prefix: clsPrefix, taps: [] })
const make = () => ({
  encoded: encodedOf(tensor(wave(B * (1 + K) * 24, 3), [B, 1 + K, 24])),
  plan: planFromNoise(tensor(wave(B * N, 5), [B, N]), K),
  view: { times: null, resolution: null },
})

describe('the decoder', () => {
  it('does what the reference does with shuffled tokens: embed, fill with mask tokens, restore, add positions', () =>
    noGrad(() =>
      scope(() => {
        const { encoded, plan } = make()
        const where = positions({ h: 3, w: 5 }, 16, 'cpu')
        const embedded = linear(
          encoded.sequence,
          weights('decoder_embed.weight'),
          weights('decoder_embed.bias'),
        )
        const cls = narrow(embedded, 1, 0, 1)
        const sequence = cat([narrow(embedded, 1, 1, K), expand(weights('mask_token'), [B, N - K, 16])], 1)
        const inOrder = add(take(sequence, plan.restore), where) // cls has the position 0
        const [blocks, norm] = ['decoder_blocks', 'decoder_norm'].map((name) => within(weights, name))
        const normed = applyBlocks(cat([cls, inOrder], 1), blocks!, norm!, decoderBlocks(tinySizes))
        const all = decoder.decode(make(), weights, 'all')
        expect(all.shape).toEqual([B, N, 16])
        expectClose(all, narrow(normed, 1, 1, N), 2e-6)
      }),
    ))

  it('gives the features of hidden patches alike in both ways, in the order of the plan', () =>
    noGrad(() =>
      scope(() => {
        const input = make()
        const hidden = decoder.decode(input, weights, 'hidden')
        expect(hidden.shape).toEqual([B, N - K, 16])
        expectClose(hidden, take(decoder.decode(input, weights, 'all'), input.plan.hidden), 2e-6)
      }),
    ))

  it('looks at cls, and at every kept token', () =>
    noGrad(() =>
      scope(() => {
        const input = make()
        const before = numbers(decoder.decode(input, weights, 'hidden'))
        for (let token = 0; token <= K; token++) {
          const changed = wave(B * (1 + K) * 24, 3)
          changed[token * 24]! += 1 // in the first image
          const encoded = encodedOf(tensor(changed, [B, 1 + K, 24]))
          const after = numbers(decoder.decode({ ...input, encoded }, weights, 'hidden'))
          const half = before.length / 2
          expect(after.slice(0, half)).not.toEqual(before.slice(0, half))
          expect(after.slice(half)).toEqual(before.slice(half))
        }
      }),
    ))

  it('tells hidden patches apart by their positions alone', () =>
    noGrad(() =>
      scope(() => {
        const rows = numbers(decoder.decode(make(), weights, 'hidden'))
        const patches = Array.from({ length: N - K }, (_, m) => rows.slice(m * 16, (m + 1) * 16).join())
        expect(new Set(patches).size).toBe(N - K)
      }),
    ))

  it('refuses a latent that does not belong to the plan', () =>
    scope(() => {
      const input = make()
      const refused = (latent: Tensor) =>
        expect(() => decoder.decode({ ...input, encoded: encodedOf(latent) }, weights, 'hidden'))
      refused(tensor(wave(B * K * 24), [B, K, 24])).toThrow(
        'decode: encoded: expected [2, 7, 24], got float32[2, 6, 24]',
      )
      refused(tensor(wave(7 * 24), [1, 7, 24])).toThrow(
        'decode: encoded: expected [2, 7, 24], got float32[1, 7, 24]',
      )
    }))
})
