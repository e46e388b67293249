import { it } from 'vitest'
import { tinyLoader, tinyOptions, tinyTrainee, trainAll } from './tiny-training.ts'
it('x', async () => {
  for (const peak of [3e-3, 1e-2, 3e-2]) for (const samples of [2, 16]) for (const n of [40, 100]) {
    const e = await trainAll(tinyOptions(tinyTrainee(), { loader: tinyLoader(8, samples), schedule: { peak, floor: 0, warmupSteps: 0, totalSteps: n } }))
    const m = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length
    console.log(peak, samples, n, m(e.slice(0, 2).map((v) => v.loss)).toFixed(3), m(e.slice(-5).map((v) => v.loss)).toFixed(3))
  }
})
