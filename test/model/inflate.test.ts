import { describe, expect, it } from 'vitest'
import { bandKernels, inflate } from '../../src/model/inflate.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { embedPatches } from '../../src/model/stem/patch-embedding.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, wave } from '../tolerance.ts'

const RGB = ['b4', 'b3', 'b2']
// Two units, three bands, patches of 1 × 2: red, green, blue of unit 0, then of unit 1.
const weight = () =>
  tensor([...[1, 2], ...[3, 4], ...[5, 9], ...[10, 20], ...[30, 40], ...[50, 90]], [2, 3, 1, 2])

describe('inflate', () => {
  it('by hand: RGB → B2, B3, B4, B8: blue, green, red, their mean, three quarters of each', () =>
    scope(() => {
      const made = inflate(bandKernels(weight(), RGB), ['b2', 'b3', 'b4', 'b8'])
      expect(made.shape).toEqual([2, 4, 1, 2])
      const unit = [...[5, 9], ...[3, 4], ...[1, 2], ...[3, 5]].map((x) => 0.75 * x)
      expectClose(made, [...unit, ...unit.map((x) => 10 * x)], 1e-5)
    }))

  it('of a group of two is larger by half', () =>
    scope(() => {
      const made = inflate(bandKernels(weight(), RGB), ['b11', 'b4'])
      expectClose(made, [...[4.5, 7.5], ...[1.5, 3], ...[45, 75], ...[15, 30]], 1e-5)
    }))

  it('of the same bands in the same order is what it was, and in another order moves the kernels', () =>
    scope(() => {
      expectClose(inflate(bandKernels(weight(), RGB), RGB), weight(), 0)
      const made = inflate(bandKernels(weight(), RGB), ['b3', 'b2', 'b4'])
      expectClose(made, [...[3, 4], ...[5, 9], ...[1, 2], ...[30, 40], ...[50, 90], ...[10, 20]], 0)
    }))

  it('takes each band of several groups at the size of its own group', () =>
    scope(() => {
      // b5 was alone in its token, b6 and b7 shared one: of three bands now, they are 1/3 and 2/3.
      const alone = bandKernels(tensor([3], [1, 1, 1, 1]), ['b5'])
      const shared = bandKernels(tensor([6, 9], [1, 2, 1, 1]), ['b6', 'b7'])
      const made = inflate([...alone, ...shared], ['b7', 'b5', 'b1'])
      expectClose(made, [6, 1, (1 + 4 + 6) / 3], 1e-6)
    }))

  it.each([
    [['b2', 'b3', 'b4', 'b8']],
    [['b5', 'b6']],
    [['b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7', 'b8', 'b8a', 'b9', 'b10', 'b11', 'b12']],
  ])('a patch whose bands are all alike is embedded as before: %j', (bands) =>
    scope(() => {
      const donor = tensor(wave(5 * 3 * 4), [5, 3, 2, 2])
      const pixels = wave(4, 9)
      const patch = (count: number) =>
        tensor(
          pixels.flatMap((value) => Array<number>(count).fill(value)),
          [1, 1, 4 * count],
        )
      const embed = (kernel: Tensor, count: number) =>
        embedPatches(
          patch(count),
          weightsOf(
            new Map([
              ['proj.weight', kernel],
              ['proj.bias', tensor(wave(5, 2), [5])],
            ]),
          ),
        )
      const made = embed(inflate(bandKernels(donor, RGB), bands), bands.length)
      expectClose(made, embed(donor, 3), 1e-5)
    }),
  )

  it('keeps only what it made', () =>
    scope(() => {
      const known = bandKernels(weight(), RGB)
      const before = liveTensors()
      inflate(known, ['b1', 'b4'])
      expect(liveTensors() - before).toBe(1)
    }))
})
