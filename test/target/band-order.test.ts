import { expect, it } from 'vitest'
import { bandGroups } from '../../src/model/stem/patch-embedding.ts'
import { inBandOrder } from '../../src/target/band-order.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { patchify, patchifyGroups } from '../../src/token/patchify.ts'
import { numbers } from '../tolerance.ts'

// Four bands of 4 × 4 pixels, two samples: the number of a value says where it stands.
const counted = Array.from({ length: 2 * 4 * 16 }, (_, i) => i + 1)
const images = () => tensor(counted, [2, 4, 4, 4])
const size = { patchSize: [2, 2], channels: 4 } as const

const joined = (groups: readonly (readonly number[])[]) => {
  const parts = patchifyGroups(tensor(counted, [2, 1, 4, 4, 4]), groups, 2)
  return numbers(inBandOrder(parts, bandGroups(groups, 4), size))
}

it('by hand: a head of bands 3 and 1, a head of band 0, zeros for band 2', () =>
  scope(() => {
    const first = tensor([31, 11, 32, 12, 33, 13, 34, 14], [1, 1, 8])
    const second = tensor([1, 2, 3, 4], [1, 1, 4])
    const made = inBandOrder([first, second], bandGroups([[3, 1], [0]], 4), size)
    expect(made.shape).toEqual([1, 1, 16])
    expect(numbers(made)).toEqual([
      ...[1, 11, 0, 31],
      ...[2, 12, 0, 32],
      ...[3, 13, 0, 33],
      ...[4, 14, 0, 34],
    ])
  }))

it.each([
  [[[0, 1, 2, 3]]],
  [[[3, 1], [0], [2]]],
  [[[1], [0, 3, 2]]],
  [
    [
      [0, 1],
      [2, 3],
    ],
  ],
])('gives the patches of all bands back from those of the groups %j', (groups) =>
  scope(() => {
    expect(joined(groups)).toEqual(numbers(patchify(images(), 2)))
  }),
)

it('has zeros for the bands that no group has, whichever they are', () =>
  scope(() => {
    const whole = numbers(patchify(images(), 2))
    for (const groups of [[[2, 0]], [[3], [1]], [[0]]])
      expect(joined(groups)).toEqual(whole.map((value, i) => (groups.flat().includes(i % 4) ? value : 0)))
  }))

it('keeps what it made alone', () =>
  scope(() => {
    const parts = patchifyGroups(tensor(counted, [2, 1, 4, 4, 4]), [[3, 1], [0]], 2)
    const before = liveTensors()
    inBandOrder(parts, bandGroups([[3, 1], [0]], 4), size)
    expect(liveTensors() - before).toBe(1)
  }))
