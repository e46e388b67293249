/** An opened encoder, or a published one with random weights, from bytes to features, as a program of rounds; the counterpart of `peers/embed.py`. */
import { resolveConfig } from '../src/config/resolve.ts'
import type { PrecisionName } from '../src/machine/plan.ts'
import { publishedNamed } from '../src/published/encoders.ts'
import { setThreads } from '../src/tensor/context.ts'
import { featureSpecs, featuresOfBatch } from '../src/weights/frozen-encoder.ts'
import { openEncoder } from '../src/weights/open-encoder.ts'
import { ownFeature } from '../src/weights/own-feature.ts'
import { answerRounds } from './rounds.ts'

const { folder, published, precision, batch, threads } = JSON.parse(process.argv[2] ?? '{}') as {
  folder?: string
  /** A name of `sherd models`. */
  published?: string
  precision: PrecisionName
  batch: number
  threads: number
}
const model =
  published === undefined
    ? { model: folder! }
    : { model: 'random', config: resolveConfig({ model: publishedNamed(published)!.model }) }
const encoder = await openEncoder({ ...model, precision, device: 'cpu' })
setThreads(threads)
const { channels, imageSize } = encoder.dimensions
const shape = [batch, ...imageSize, channels] as const
const pixels = Uint8Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i * 7919) % 256)
const embed = featuresOfBatch(encoder, featureSpecs(encoder, [ownFeature(encoder)]))
embed({ pixels, shape })
const [features] = embed({ pixels, shape })

await answerRounds<{ batches: number }>({ ready: true, features: [...features!] }, ({ batches }) => {
  const seconds: number[] = []
  const before = process.cpuUsage()
  for (let done = 0; done < batches; done++) {
    const started = performance.now()
    embed({ pixels, shape })
    seconds.push((performance.now() - started) / 1000)
  }
  const { user, system } = process.cpuUsage(before)
  return { seconds, cpuSeconds: (user + system) / 1e6, peakKiB: process.resourceUsage().maxRSS }
})
