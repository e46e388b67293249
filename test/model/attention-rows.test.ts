import { describe, expect, it } from 'vitest'
import { attentionOfBlocks, attentionTaps } from '../../src/model/attention-rows.ts'
import { backboneRows, openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { witnessing } from '../../src/tensor/call.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { meanAttentionShares, selfAttention, selfAttentionShares } from '../../src/tensor/fused.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor, toFloats } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { stirredParameters, tiny, tinyImages } from './tiny-model.ts'
import { H, series, seriesValues, T, tokenAt, viewsOfValues, W } from './tiny-series.ts'

it('attention by hand: two heads of one number, three tokens', () => {
  const [ln2, ln3] = [Math.log(2), Math.log(3)]
  const qkv = [
    // query, key and value of head 0 and head 1
    ...[1, 2, /**/ 0, ln2, /**/ 8, 1],
    ...[0, 0, /**/ ln3, 0, /**/ 4, 2],
    ...[-1, 1, /**/ ln2, 0, /**/ 0, 3],
  ]
  const [out, seen, ...means] = scope(() => {
    const given = tensor(qkv, [1, 3, 6])
    // The rows of both heads at once, and one at a time.
    const means = [100, 1].map((most) => numbers(meanAttentionShares([given], 2, 1, {}, most)))
    return [
      toFloats(selfAttention([given], 2)),
      numbers(selfAttentionShares([given], 2, 3)),
      ...means,
    ] as const
  })
  const [a, b, c] = [
    [1 / 6, 3 / 6, 2 / 6], // e^0 : e^ln3 : e^ln2
    [1 / 3, 1 / 3, 1 / 3],
    [6 / 11, 2 / 11, 3 / 11], // 1 : 1/3 : 1/2
  ]
  const [d, e, f] = [
    [4 / 6, 1 / 6, 1 / 6], // e^(2 ln2) : 1 : 1
    [1 / 3, 1 / 3, 1 / 3],
    [2 / 4, 1 / 4, 1 / 4],
  ]
  expectClose(seen, [a, b, c, d, e, f].flat() as number[], 1e-6)
  const half = (x: readonly number[], y: readonly number[]) => x.map((value, i) => (value + y[i]!) / 2)
  for (const mean of means) expectClose(mean, [half(b!, c!), half(e!, f!)].flat(), 1e-6)
  expectClose(out, [20 / 6, 9 / 6, 4, 2, 56 / 11, 7 / 4], 1e-6)
})

const shape = plainBackbone(tiny)

it('the mean over the patches of a large image is computed some rows at a time, and that of cls is one row', () => {
  const side = 80
  for (const prefix of [[], undefined]) {
    const variant = prefix ? { prefix } : {}
    const size = { imageSize: [2 * side, 2 * side] as const, patchSize: [2, 2] as const }
    const large = { ...tiny, ...size, depth: 1, variant }
    const shape = plainBackbone(large)
    const weights = weightsOf(stirredParameters({ rows: backboneRows(shape) }))
    let most = 0
    const row = noGrad(() =>
      scope(() => {
        const images = tensor(wave(3 * 4 * side * side), [1, 1, 3, 2 * side, 2 * side])
        return witnessing(
          ({ results }) => {
            for (const { shape } of results) most = Math.max(most, product(shape))
          },
          () => {
            const { taps } = openBackbone(shape, 'cpu').encodeAll(viewOf(images), weights, {
              taps: attentionTaps(large),
            })
            return numbers(attentionOfBlocks(taps, large))
          },
        )
      }),
    )
    const pairs = side ** 4
    expect(most).toBeLessThanOrEqual(prefix ? 2 ** 25 : pairs / 10)
    expect(2 ** 25).toBeLessThan(large.heads * pairs)
    for (let head = 0; head < large.heads; head++) {
      const own = row.slice((head * row.length) / large.heads, ((head + 1) * row.length) / large.heads)
      expect(own.reduce((a, b) => a + b)).toBeCloseTo(1, 4)
    }
  }
})

describe('the attention of cls', () => {
  it('is a share of every block and head, and changes nothing', () =>
    noGrad(() => {
      const weights = weightsOf(stirredParameters({ rows: backboneRows(shape) }))
      scope(() => {
        const images = tinyImages(2)
        const backbone = openBackbone(shape, 'cpu')
        const before = numbers(backbone.encodeAll(viewOf(images), weights).sequence)
        const made = backbone.encodeAll(viewOf(images), weights, { taps: attentionTaps(tiny) })
        const attention = attentionOfBlocks(made.taps, tiny)
        expect(numbers(made.sequence)).toEqual(before)
        expect(attention.shape).toEqual([2, tiny.depth, tiny.heads, 16])
        const values = numbers(attention)
        for (let at = 0; at < values.length; at += 16) {
          const row = values.slice(at, at + 16)
          expect(Math.min(...row)).toBeGreaterThan(0)
          expect(row.reduce((x, y) => x + y)).toBeCloseTo(1, 5)
        }
        expect(new Set(values.map((x) => x.toFixed(6))).size).toBeGreaterThan(150) // no block, head or sample is another's
      })
    }))

  it('of a token without data is zero', () =>
    noGrad(() =>
      scope(() => {
        const plain = { ...series, time: null }
        const weights = weightsOf(stirredParameters({ rows: backboneRows(plain) }))
        const values = seriesValues(1)
        for (let row = 0; row < 2; row++)
          for (let column = 0; column < 2; column++) values[row * W + column] = Number.NaN
        const backbone = openBackbone(plain, 'cpu')
        const taps = attentionTaps(plain.dimensions)
        const attention = attentionOfBlocks(
          backbone.encodeAll(viewsOfValues(1, values), weights, { taps }).taps,
          plain.dimensions,
        )
        const gone = [1 + tokenAt(0, 0, 0, 0), 1 + tokenAt(0, 1, 0, 0)]
        const [all] = [attention.shape[3]!]
        expect([all, H, T]).toEqual([25, 4, 2])
        const row = numbers(attention).slice(0, all)
        expect(row.flatMap((x, n) => (x === 0 ? [n] : []))).toEqual(gone.sort((a, b) => a - b))
        expect(row.reduce((x, y) => x + y)).toBeCloseTo(1, 5)
      }),
    ))
})
