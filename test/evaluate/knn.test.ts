import { describe, expect, it } from 'vitest'
import { knnVotes } from '../../src/evaluate/knn.ts'
import type { Labelled } from '../../src/evaluate/labelled-features.ts'
import { scoresOf } from '../../src/evaluate/scores.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { expectClose } from '../tolerance.ts'
import { clusters, shuffled } from './toy-sets.ts'

const set = (rows: readonly (readonly [label: number, ...vector: number[]])[]): Labelled => ({
  count: rows.length,
  width: rows[0]!.length - 1,
  vectors: Float32Array.from(rows.flatMap(([, ...vector]) => vector)),
  labels: Int32Array.from(rows, ([label]) => label),
})

describe('knnVotes', () => {
  it('by hand: cosines of 1, 0.8 and 0.6 vote with exp(s / T), whatever the lengths', async () => {
    const train = set([
      [0, 5, 0],
      [1, 0.8, 0.6],
      [1, 6, 8],
      [2, -1, 0],
    ])
    const votes = await knnVotes(train, set([[0, 2, 0]]), 3, {
      neighbours: [1, 3],
      temperature: 0.5,
      device: 'cpu',
    })
    expectClose(votes.get(1)!, [Math.exp(2), 0, 0], 1e-5)
    // Two weaker neighbours outvote the strongest: e^1.6 + e^1.2 = 8.27 > e² = 7.39.
    expectClose(votes.get(3)!, [Math.exp(2), Math.exp(1.6) + Math.exp(1.2), 0], 1e-5)
  })

  it('finds every class of a separable set, and chance in a shuffled one; more test images than one comparison takes', async () => {
    const before = liveTensors()
    const [train, test] = [clusters(300, 5, 1), clusters(1100, 5, 2)]
    const names = ['a', 'b', 'c', 'd', 'e']
    const options = { neighbours: [5, 20], temperature: 0.07, device: 'cpu' }
    for (const values of (await knnVotes(train, test, 5, options)).values())
      expect(scoresOf(values, test.labels, names).top1).toBe(1)
    for (const values of (await knnVotes(shuffled(train, 5), test, 5, options)).values())
      expect(scoresOf(values, test.labels, names).top1).toBeLessThan(0.35)
    expect(liveTensors()).toBe(before)
  })

  it('refuses more neighbours than there are', async () => {
    await expect(
      knnVotes(clusters(9, 3, 1), clusters(3, 3, 2), 3, {
        neighbours: [5, 10],
        temperature: 0.1,
        device: 'cpu',
      }),
    ).rejects.toThrow(
      '10 neighbours were asked for, but there are 9 training images. Take fewer with --neighbours.',
    )
  })
})
