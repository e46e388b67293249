// The probe against PyTorch's batch norm, linear map and autograd (scripts/reference/make_probe.py), and on sets whose
// answer is known.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { foldNorm, linearProbe, sweeps, trainMaps, valuesOf } from '../../src/evaluate/linear-probe.ts'
import { scoresOf } from '../../src/evaluate/scores.ts'
import { cat } from '../../src/tensor/ops.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../tolerance.ts'
import { clusters, shuffled } from './toy-sets.ts'

interface Reference {
  shape: { N: number; D: number; C: number; epochs: number }
  x: number[]
  labels: number[]
  start: number[]
  test: number[]
  runs: {
    optimizer: 'lars' | 'sgd'
    rate: number
    weight: number[]
    bias: number[]
    runningMean: number[]
    runningVariance: number[]
    values: number[]
  }[]
}
const reference = JSON.parse(
  readFileSync(join(import.meta.dirname, 'probe-reference.json'), 'utf8'),
) as Reference
const { N, D, C, epochs } = reference.shape

describe.each(['lars', 'sgd'] as const)('%s', (optimizer) => {
  it('trains every map of a sweep as PyTorch trains one', async () => {
    const runs = reference.runs.filter((run) => run.optimizer === optimizer)
    expect(runs).toHaveLength(2)
    const start = tensor(reference.start, [1, C, D])
    const maps = { weight: cat([start, start], 0), bias: tensor(new Float32Array(2 * C), [2, 1, C]) }
    const labels = fromArray(BigInt64Array.from(reference.labels, BigInt), [N], 'int64')
    const running = await trainMaps({ x: tensor(reference.x, [N, D]), labels }, maps, {
      ...{ optimizer, epochs, batchSize: N, seed: 3 },
      baseLearningRates: runs.map(({ rate }) => rate),
    })
    const all = (of: (run: (typeof runs)[number]) => number[]) => runs.flatMap(of)
    expectClose(
      maps.weight,
      all(({ weight }) => weight),
      2e-6,
    )
    expectClose(
      maps.bias,
      all(({ bias }) => bias),
      2e-6,
    )
    expectClose(running.mean, runs[0]!.runningMean, 2e-6)
    expectClose(running.variance, runs[0]!.runningVariance, 2e-5)
    expectClose(
      valuesOf(tensor(reference.test, [4, D]), running, maps),
      all(({ values }) => values),
      5e-6,
    )
  })

  it('parts a separable set without an error, and a shuffled one no better than chance', async () => {
    const settings = {
      optimizer,
      baseLearningRates: sweeps[optimizer],
      epochs: 30,
      batchSize: 64,
      seed: 1,
      device: 'cpu',
    }
    const before = liveTensors()
    const [train, test] = [clusters(300, 5, 1), clusters(100, 5, 2)]
    const right = (await linearProbe(train, test, 5, settings)).map(
      ({ values }) => scoresOf(values, test.labels, ['a', 'b', 'c', 'd', 'e']).top1,
    )
    expect(Math.max(...right)).toBe(1)
    const chance = (await linearProbe(shuffled(train, 5), test, 5, settings)).map(
      ({ values }) => scoresOf(values, test.labels, ['a', 'b', 'c', 'd', 'e']).top1,
    )
    for (const top1 of chance) expect(top1).toBeLessThan(0.45)
    expect(liveTensors()).toBe(before)
  })

  it('depends on the seed alone', async () => {
    const settings = { optimizer, baseLearningRates: [0.1], epochs: 3, batchSize: 16, device: 'cpu' }
    const [train, test] = [clusters(50, 3, 1), clusters(9, 3, 2)]
    const run = (seed: number) => linearProbe(train, test, 3, { ...settings, seed })
    expect(await run(4)).toEqual(await run(4))
    expect(await run(4)).not.toEqual(await run(5))
  })
})

describe('the map that takes the norm in', () => {
  it('is that of hand: deviation 2, mean 3', () => {
    const [variance, mean] = [Float32Array.of(4, 1), Float32Array.of(3, -1)]
    const map = foldNorm(
      { weight: Float32Array.of(8, 5, 2, 0), bias: Float32Array.of(1, 0.5) },
      mean,
      variance,
    )
    // 8 (x − 3) / 2 + 5 (y + 1) + 1 = 4 x + 5 y − 6; 2 (x − 3) / 2 + 0.5 = x − 2.5. The norm adds 1e-6 to the variance.
    expectClose(map.weight, [4, 5, 1, 0], 1e-5)
    expectClose(map.bias, [-6, -2.5], 1e-5)
  })

  it('says of the test images what the report was made of', async () => {
    const settings = { optimizer: 'lars', epochs: 5, batchSize: 16, seed: 1, device: 'cpu' } as const
    const [train, test] = [clusters(50, 3, 1), clusters(20, 3, 2)]
    const found = await linearProbe(train, test, 3, { ...settings, baseLearningRates: [0.1, 1] })
    for (const { values, map } of found) {
      const made = Array.from(values, (_, i) => {
        const [row, label] = [Math.floor(i / 3), i % 3]
        const x = test.vectors.subarray(row * test.width, (row + 1) * test.width)
        return x.reduce(
          (sum, value, d) => sum + value * map.weight[label * test.width + d]!,
          map.bias[label]!,
        )
      })
      expectClose(made, values, 1e-4)
    }
  })
})
