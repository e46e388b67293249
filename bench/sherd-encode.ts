/** An exported encoder on ONNX Runtime as a program of rounds; the counterpart of `peers/encode.py`. */
import { openSession } from '../src/onnx/session.ts'
import { answerRounds } from './rounds.ts'

const { file, shape, threads } = JSON.parse(process.argv[2] ?? '{}') as {
  file: string
  shape: readonly number[]
  threads: number
}
const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => (i * 7919) % 256)
const session = await openSession(file, { threads })
const encode = () => session.run({ values, shape }, ['cls', 'mean'])
await encode()

await answerRounds<{ batches: number }>({ ready: true }, async ({ batches }) => {
  const seconds: number[] = []
  for (let done = 0; done < batches; done++) {
    const started = performance.now()
    await encode()
    seconds.push((performance.now() - started) / 1000)
  }
  return { seconds }
})
