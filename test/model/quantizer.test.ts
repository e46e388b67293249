// By hand: vectors in the plane, with lengths of 3-4-5.
import { describe, expect, it } from 'vitest'
import {
  codebookAfter,
  healthOf,
  kMeans,
  nearestCodes,
  quantize,
  revived,
  rowsOf,
  usesOf,
} from '../../src/model/quantizer.ts'
import { autocast, backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import { add, mul, sum } from '../../src/tensor/ops.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers } from '../tolerance.ts'

const axes = () => tensor([1, 0, 0, 1, -1, 0], [3, 2]) // right, up, left

describe('one call', () => {
  it('codes, vectors, uses and the commitment', () => {
    const { codes, quantized, commitment, uses, sums } = quantize(tensor([8, 6, 3, 4, 0, 2], [3, 2]), axes())
    expect(numbers(codes)).toEqual([0, 1, 1])
    expectClose(quantized, [1, 0, 0, 1, 0, 1], 1e-7)
    // (0.8, 0.6) − (1, 0): 0.04 + 0.36; (0.6, 0.8) − (0, 1): 0.36 + 0.04; 0. Over six numbers.
    expectClose(commitment, [0.8 / 6], 1e-7)
    expect(numbers(uses)).toEqual([1, 2, 0])
    expectClose(sums, [0.8, 0.6, 0.6, 1.8, 0, 0], 1e-6)
  })

  it('the gradient of the output is that of the unit vector', () => {
    const z = requireGradient(tensor([3, 4], [1, 2]))
    backward(sum(mul(quantize(z, axes()).quantized, tensor([1, 0], [1, 2]))))
    // d(x / r) / dx = y² / r³, d(x / r) / dy = −x y / r³
    expectClose(gradient(z)!, [16 / 125, -12 / 125], 1e-6)
  })

  it('the gradient of the commitment reaches the vectors and not the codebook', () => {
    const [z, codebook] = [tensor([3, 4], [1, 2]), axes()].map((x) => requireGradient(x)) as [never, never]
    backward(quantize(z, codebook).commitment)
    // Of ((x/r)² + (y/r − 1)²) / 2 = 1 − y/r: d/dx = x y / r³, d/dy = −x² / r³
    expectClose(gradient(z)!, [12 / 125, -9 / 125], 1e-6)
    expect(gradient(codebook)).toBe(null)
  })

  it('is in float32 under autocast', () => {
    const z = tensor([8.03, 6.01, 3, 4.007], [2, 2])
    const under = autocast({ device: 'cpu', dtype: 'bfloat16' }, () => quantize(z, axes()))
    expect(under.quantized.dtype).toBe('float32')
    expect(item(under.commitment)).toBe(item(quantize(z, axes()).commitment))
  })

  it('in pieces, codes are those of the whole', () => {
    const circle = (n: number) =>
      tensor(Array.from({ length: n }, (_, i) => [Math.cos(i), Math.sin(i)]).flat(), [n, 2])
    const whole = numbers(nearestCodes(circle(11), circle(5)))
    expect(numbers(nearestCodes(circle(11), circle(5), 15))).toEqual(whole)
  })
})

describe('the codebook after a step', () => {
  const moved = (decay: number) =>
    codebookAfter(
      { codebook: axes(), counts: tensor([4, 0, 2], [3]) },
      { uses: tensor([1, 2, 0], [3]), sums: tensor([0.8, 0.6, 0, 2, 0, 0], [3, 2]) },
      decay,
    )

  it('moves towards the means of used codes; what is not used stays', () => {
    const { codebook, counts } = moved(0.5)
    const long = Math.hypot(0.9, 0.3)
    expectClose(codebook, [0.9 / long, 0.3 / long, 0, 1, -1, 0], 1e-6)
    expectClose(counts, [2.5, 1, 1], 1e-6)
  })

  it('is the means where nothing is remembered', () =>
    expectClose(moved(0).codebook, [0.8, 0.6, 0, 1, -1, 0], 1e-6))
})

describe('k-means', () => {
  it('finds two bundles, and keeps the mean of an empty cluster', () => {
    const bundles = tensor([0.6, 0.8, -0.6, 0.8, 0.6, -0.8, -0.6, -0.8], [4, 2]) // two up, two down
    const found = kMeans(bundles, tensor([0.28, 0.96, 0.28, -0.96, 1, 0], [3, 2]), 3)
    expectClose(found.codebook, [0, 1, 0, -1, 1, 0], 1e-6)
    expect(numbers(found.counts)).toEqual([2, 2, 0])
  })
})

describe('health', () => {
  it('four codes alike are a perplexity of four; unused ones do not count', () => {
    const { perplexity, inUse } = healthOf(tensor([3, 3, 3, 3, 0, 0], [6]), 0.99)
    expectClose(perplexity, [4], 1e-5)
    expect(item(inUse)).toBe(4)
  })

  it('unequal ones: exp of the entropy', () =>
    // −¾ ln ¾ − ¼ ln ¼
    expectClose(healthOf(tensor([3, 1], [2]), 0.99).perplexity, [Math.exp(0.5623351446188083)], 1e-5))

  it('a code is in use for 1 / (1 − decay) steps after its only use', () => {
    const after = (steps: number) => 0.1 * 0.9 ** steps
    const inUse = (steps: number) => item(healthOf(tensor([1, after(steps)], [2]), 0.9).inUse)
    expect([inUse(9), inUse(11)]).toEqual([2, 1])
  })

  it('nothing counted yet is a perplexity of one', () =>
    expectClose(healthOf(tensor([0, 0], [2]), 0.99).perplexity, [1], 0))
})

it('revives codes below a share of the mean use, on their candidates', () => {
  const candidates = tensor([0.6, 0.8, -0.6, 0.8, 0, -1], [3, 2])
  const counts = tensor([5.8, 0.1, 0.1], [3]) // mean 2
  const { codebook, counts: now } = revived({ codebook: axes(), counts }, { candidates, least: 0.1 })
  expectClose(codebook, [1, 0, -0.6, 0.8, 0, -1], 1e-7)
  expectClose(now, [5.8, 2, 2], 1e-6)
})

it('sums over micro-batches are those of the whole', () => {
  const z = tensor([1, 2, 3, 4, 5, 6, 7, 8], [4, 2])
  const codes = (values: bigint[]) => rowsOf(tensor([0, 1, 2, 3], [4]), values.map(Number))
  expect(codes([0n]).shape).toEqual([1])
  const half = (rows: number[]) => usesOf(rowsOf(z, rows), nearestCodes(rowsOf(z, rows), axes()), 3)
  const [all, first, second] = [half([0, 1, 2, 3]), half([0, 1]), half([2, 3])]
  expectClose(add(first.sums, second.sums), all.sums, 0)
  expectClose(add(first.uses, second.uses), all.uses, 0)
})
