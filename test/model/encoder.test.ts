import { describe, expect, it } from 'vitest'
import { backboneRows } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { narrow, select } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { positions } from '../token/positions.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'
import { encodePatches, stirredParameters, tiny } from './tiny-model.ts'

const [B, N] = [2, 15]
const weights = weightsOf(stirredParameters({ rows: backboneRows(plainBackbone(tiny)) }))
const pixels = wave(B * N * 12, 4)
const at = (...rows: number[][]) =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')
const latent = (values: readonly number[], kept: Tensor | null) =>
  noGrad(() =>
    encodePatches(
      { patches: tensor(values, [B, N, 12]), kept, positions: positions({ h: 3, w: 5 }, 24, 'cpu') },
      weights,
      tiny,
    ),
  )

describe('encode', () => {
  const kept = [
    [3, 0, 14, 7],
    [1, 2, 9, 4],
  ]

  it('gives cls and the kept patches', () =>
    scope(() => expect(latent(pixels, at(...kept)).shape).toEqual([B, 1 + 4, 24])))

  it('never sees a hidden pixel: NaN there changes no bit', () =>
    scope(() => {
      const holes = pixels.map((value, i) => {
        const [patch, image] = [Math.floor(i / 12) % N, Math.floor(i / 12 / N)]
        return kept[image]!.includes(patch) ? value : Number.NaN
      })
      expect(holes.filter(Number.isNaN).length).toBe(B * 11 * 12)
      expect(numbers(latent(holes, at(...kept)))).toEqual(numbers(latent(pixels, at(...kept))))
    }))

  it('sees every kept pixel', () =>
    scope(() => {
      const before = numbers(latent(pixels, at(...kept)))
      for (const [image, patch] of kept.flatMap((row, b) => row.map((n) => [b, n] as const))) {
        const changed = pixels.map((value, i) => (i === (image * N + patch) * 12 + 5 ? value + 1 : value))
        const after = numbers(latent(changed, at(...kept)))
        const moved = after.map((value, i) => value !== before[i])
        expect(moved.slice(image * 120, (image + 1) * 120)).toContain(true)
        expect(moved.slice((1 - image) * 120, (2 - image) * 120)).not.toContain(true) // images do not mix
      }
    }))

  it('permutes with the patches that it is given', () =>
    scope(() => {
      const order = [2, 0, 3, 1]
      const permuted = kept.map((row) => order.map((i) => row[i]!))
      const [plain, shuffled] = [latent(pixels, at(...kept)), latent(pixels, at(...permuted))]
      expectClose(select(shuffled, 1, 0), select(plain, 1, 0), 2e-6) // cls does not care
      for (const [to, from] of order.entries())
        expectClose(select(shuffled, 1, 1 + to), select(plain, 1, 1 + from), 2e-6)
    }))

  it('knows where a patch is: the same patches elsewhere give something else', () =>
    scope(() => {
      const same = Array<number>(B * N * 12).fill(0.5)
      const rows = select(latent(same, at([0, 1, 5, 6], [0, 1, 5, 6])), 0, 0)
      for (const [a, b] of [
        [1, 2],
        [1, 3],
        [2, 3],
        [3, 4],
      ] as const)
        expect(numbers(select(rows, 0, a))).not.toEqual(numbers(select(rows, 0, b)))
    }))

  it('sees all patches in order when nothing is said', () =>
    scope(() => {
      const every = Array.from({ length: N }, (_, n) => n)
      expect(numbers(latent(pixels, null))).toEqual(numbers(latent(pixels, at(every, every))))
    }))

  it('ends in a norm: with its start values each token has mean 0 and variance 1', () =>
    scope(() => {
      const fresh = new Map(stirredParameters({ rows: backboneRows(plainBackbone(tiny)) }))
      fresh.set('norm.weight', tensor(Array(24).fill(1), [24]))
      fresh.set('norm.bias', tensor(Array(24).fill(0), [24]))
      const x = noGrad(() =>
        encodePatches(
          {
            patches: tensor(pixels, [B, N, 12]),
            kept: null,
            positions: positions({ h: 3, w: 5 }, 24, 'cpu'),
          },
          weightsOf(fresh),
          tiny,
        ),
      )
      for (let row = 0; row < 16; row++) {
        const token = numbers(select(narrow(x, 1, row, 1), 0, 0))
        const mean = token.reduce((a, b) => a + b, 0) / 24
        expect(mean).toBeCloseTo(0, 6)
        expect(token.reduce((a, b) => a + (b - mean) ** 2, 0) / 24).toBeCloseTo(1, 4)
      }
    }))

  it('refuses a plan of another batch', () =>
    scope(() => {
      expect(() => latent(pixels, at([1]))).toThrow('take: indices: expected [2, K], got int64[1, 1]')
      expect(() => latent(pixels, at([15], [0]))).toThrow(/out of bounds/)
    }))
})
