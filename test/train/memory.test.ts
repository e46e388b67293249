// V8 does not see the memory of tensors: that a step leaves nothing behind has to be counted.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { liveTensors } from '../../src/tensor/scope.ts'
import { train } from '../../src/train/loop.ts'
import { constantRate, tinyLoader, tinyOptions, tinyTrainee } from './tiny-training.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const options = (totalSteps: number) =>
  tinyOptions(
    { ...tinyTrainee(), clip: { by: 'all', most: 1 } },
    {
      loader: tinyLoader(4),
      accumulate: 2,
      schedules: { ...constantRate(1e-3), learningRate: { kind: 'cosine', from: 1e-3, to: 0, warmup: 5 } },
      totalSteps,
    },
  )

it('the number of live tensors is flat over 50 steps', async () => {
  const counts: number[] = []
  for await (const _ of train(options(50))) counts.push(liveTensors())
  expect(counts.length).toBe(50)
  expect([...new Set(counts)]).toEqual([counts[0]])
})

it('resident memory is stable over 300 steps', async () => {
  const resident: Record<number, number> = {}
  for await (const { step } of train(options(300)))
    if (step % 100 === 0) {
      collectGarbage()
      resident[step] = process.memoryUsage.rss() / 2 ** 20
    }
  expect(resident[300]! - resident[100]!).toBeLessThan(30)
})
