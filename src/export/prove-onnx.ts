/** Compares an exported file with LibTorch, in values and speed: on the same samples, in turns, with the same threads. */

import { inferenceOptions } from '../config/assemble.ts'
import { readingConfig } from '../config/reading.ts'
import { pause, type Standing } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { openSession, type Session } from '../onnx/session.ts'
import { imagesInOrder } from '../prepare/loader/in-order.ts'
import { type Pixels, pickSamples, sizeOf } from '../prepare/pixels.ts'
import { draws } from '../random/draws.ts'
import { subsetOf } from '../source/subset.ts'
import { layoutTokens } from '../token/layout.ts'
import { atSize, type FrozenEncoder } from '../weights/frozen-encoder.ts'
import { type OpenedEncoder, openFor } from '../weights/open-encoder.ts'
import type { ImageSize } from './dynamic-grid.ts'
import { type FeatureCost, featureCost, smallestCosine, type VectorPairs } from './feature-cost.ts'
import type { GraphName } from './formats.ts'
import { type GraphOptions, graphs, type ModelParts, type MoreInputs } from './graphs.ts'
import { type ExportedEncoder, inputName } from './pixels-input.ts'
import type { Agreement } from './precision.ts'
import { samplesOf } from './sample-input.ts'

export interface Comparison extends Agreement {
  readonly samples: 'random' | 'images'
  readonly count: number
  /** Batch sizes. */
  readonly batches: readonly number[]
  /** Height and width of the samples, if there were several. */
  readonly sizes?: readonly ImageSize[] | undefined
  /** Of the encoder, on images: by the name of the output. */
  readonly features?: Readonly<Record<string, FeatureCost>> | undefined
}

export interface Proof {
  readonly comparisons: readonly Comparison[]
  /** Images per second, in the median round. */
  readonly speed: { readonly onnx: number; readonly libtorch: number; readonly batch: number }
}

export interface ProofSamples {
  readonly kind: Comparison['samples']
  readonly batches: readonly Pixels[]
}

export const RANDOM_BATCHES = [1, 2, 5]
const MOST_IMAGES = 64
const BATCH_TOKENS = 2048
const ROUNDS = 3

/** Batch size for the timing. */
export const batchFor = ({ shape }: Pick<FrozenEncoder, 'shape'>) =>
  Math.max(1, Math.min(16, Math.floor(BATCH_TOKENS / layoutTokens(layoutOf(shape)))))

/** Random bytes, or values around the mean of each band with a corner of no data. */
function randomSamples({ shape, statistics, channels, config }: OpenedEncoder, B: number): Pixels {
  const [H, W] = shape.dimensions.imageSize
  const C = channels?.length ?? shape.dimensions.channels
  const { uniform } = draws({ seed: 0, stream: 'export/pixels', epoch: 0, index: B })
  if (config.data.kind === 'images')
    return {
      shape: [B, H, W, C],
      pixels: Uint8Array.from({ length: B * H * W * C }, () => Math.floor(uniform() * 256)),
    }
  const T = shape.frames
  const values = Float32Array.from({ length: B * T * C * H * W }, (_, i) => {
    const band = Math.floor(i / (H * W)) % C
    const channel = channels?.[band] ?? band
    const isMissing = i % W < W / 2 && Math.floor(i / W) % H < H / 2 && Math.floor(i / (C * H * W)) % 2 === 0
    return isMissing ? Number.NaN : statistics.mean[channel]! + (4 * uniform() - 2) * statistics.std[channel]!
  })
  // Dates from 2000 to 2030; every third is unknown, as are metres per pixel.
  const facts = Float64Array.from({ length: B * (1 + T) }, (_, i) =>
    i % (1 + T) === 0 || i % 3 === 0
      ? Number.NaN
      : Date.UTC(2000 + Math.floor(30 * uniform()), 12 * uniform()),
  )
  const times = facts.filter((_, i) => i % (1 + T) > 0)
  const resolution = new Float64Array(B).fill(Number.NaN)
  return { shape: [B, T, C, H, W], pixels: values, times, resolution }
}

/** Images spread evenly over a folder. Throws `SOURCE`, and `DATA_BROKEN` if too many are unreadable. */
export async function imageProof(
  encoder: OpenedEncoder,
  dir: string,
  { onProgress, signal, standing = nothingDone }: ProofWatch = {},
): Promise<ProofSamples> {
  const all = await openFor(encoder, dir)
  const { length } = all.files
  const count = Math.min(MOST_IMAGES, length)
  const some = Array.from({ length: count }, (_, i) => Math.floor((i * length) / count))
  const source = all.kind === 'packed' ? all : subsetOf(all, some)
  const options = inferenceOptions(readingConfig(encoder), source, encoder.machine)
  const batches: Pixels[] = []
  let done = 0
  for await (const batch of imagesInOrder({ ...options, batchSize: batchFor(encoder) })) {
    for (const { rows, samples } of batch.parts) batches.push(pickSamples(samples, [...rows.keys()])) // a copy: the loader reuses the memory
    done += batch.indices.length
    onProgress?.(Math.min(done, count), count)
    await pause(signal, standing)
    if (done >= MOST_IMAGES) break
  }
  return { kind: 'images', batches }
}

/** Random samples in batches of several sizes, of images of these sizes. */
export const randomProof = (
  encoder: OpenedEncoder & ExportedEncoder,
  sizes: readonly ImageSize[],
): ProofSamples => ({
  kind: 'random',
  batches: sizes.flatMap((size) => RANDOM_BATCHES.map((B) => randomSamples(atSize(encoder, size), B))),
})

/** Progress in batches, and a stop between them. */
export interface ProofWatch {
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** What is done when it is stopped. */
  readonly standing?: Standing | undefined
}

const nothingDone: Standing = { done: 0, of: 1, unit: 'files', continues: false }

export interface ProofSubject {
  readonly graph: GraphName
  readonly model: OpenedEncoder & ModelParts
  readonly options: GraphOptions
  readonly samples: readonly ProofSamples[]
}

/** NaN if a value is NaN or the lengths differ. */
export function differenceOrNaN(a: Float32Array, b: Float32Array): number {
  let largest = a.length === b.length ? 0 : Number.NaN
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!)
    if (Number.isNaN(difference)) return difference
    if (difference > largest) largest = difference
  }
  return largest
}

const inputsOf = (batch: Pixels, others: MoreInputs, hasPixels: boolean) => ({
  ...(hasPixels && { [inputName]: samplesOf(batch) }),
  ...others,
})

/** Of ids that a tie between nearly equal numbers may change. */
const LEAST_SAME = 0.99

/** Whether whole numbers are the same but for a few. */
export function areSame(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): boolean {
  if (a.length !== b.length) return false
  const same = Array.from(a).filter((x, i) => Number(x) === Number(b[i])).length
  return same >= LEAST_SAME * a.length
}

async function compare(
  session: Session,
  { graph, model, options }: Omit<ProofSubject, 'samples'>,
  samples: ProofSamples,
  step: () => Promise<void>,
): Promise<Comparison> {
  const { outputs, more, reference, vectors, ids = [], hasPixels = true } = graphs[graph]
  const names = outputs(model, options)
  const widths = vectors(model)
  const worst = { largest: 0, cosine: 1 }
  const isCosted = graph === 'encoder' && samples.kind === 'images'
  const pairs = new Map<string, VectorPairs>()
  for (const [i, batch] of samples.batches.entries()) {
    const [H, W] = sizeOf(batch)
    const own = atSize(model, [H, W])
    const others = more(own, batch, i)
    const made = await session.run(inputsOf(batch, others, hasPixels), names)
    const right = reference(own, names)(batch, others)
    for (const name of names) {
      const [a, b] = [made[name]!.values, right[name]!]
      if (ids.includes(name)) {
        worst.largest = Math.max(worst.largest, areSame(a, b) ? 0 : Number.NaN)
        continue
      }
      worst.largest = Math.max(worst.largest, differenceOrNaN(a, b))
      const width = widths[name]
      if (width === undefined) continue
      worst.cosine = Math.min(worst.cosine, smallestCosine(a as Float32Array, b, width))
      if (!isCosted) continue
      const { made: before, right: rightBefore } = pairs.get(name) ?? { made: [], right: [] }
      pairs.set(name, { width, made: [...before, a as Float32Array], right: [...rightBefore, b] })
    }
    await step()
  }
  const batches = samples.batches.map(({ shape }) => shape[0])
  const sizes = new Map(samples.batches.map(sizeOf).map((size) => [size.join(' × '), size]))
  return {
    ...{ samples: samples.kind, count: batches.reduce((a, b) => a + b, 0), batches },
    ...(sizes.size > 1 && { sizes: [...sizes.values()] }),
    ...worst,
    ...(isCosted && {
      features: Object.fromEntries([...pairs].map(([name, each]) => [name, featureCost(each)])),
    }),
  }
}

function race(
  session: Session,
  { graph, model }: ProofSubject,
  step: () => Promise<void>,
): Promise<Proof['speed']> {
  const { more, reference, timed: timedOf, hasPixels = true } = graphs[graph]
  const timed = timedOf(model)
  const batch = batchFor(model)
  const pixels = randomSamples(model, batch)
  const others = more(model, pixels, 0)
  const input = inputsOf(pixels, others, hasPixels)
  const compute = reference(model, timed)
  return inTurns(batch, {
    onnx: () => session.run(input, timed),
    libtorch: async () => {
      compute(pixels, others)
      await step()
    },
  })
}

/** Called after each batch of a comparison, of so many beside the timed ones. */
export function stepper(
  compared: number,
  { onProgress, signal, standing = nothingDone }: ProofWatch,
): () => Promise<void> {
  let done = 0
  return async () => {
    onProgress?.(++done, compared + ROUNDS + 1)
    await pause(signal, standing)
  }
}

export async function inTurns(
  batch: number,
  sides: Readonly<Record<'onnx' | 'libtorch', () => Promise<unknown>>>,
): Promise<Proof['speed']> {
  const seconds = { onnx: [] as number[], libtorch: [] as number[] }
  for (let round = 0; round <= ROUNDS; round++)
    for (const side of ['onnx', 'libtorch'] as const) {
      const begun = performance.now()
      await sides[side]()
      if (round > 0) seconds[side].push((performance.now() - begun) / 1000) // the first round warms up
    }
  const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!
  return { onnx: batch / median(seconds.onnx), libtorch: batch / median(seconds.libtorch), batch }
}

/** Throws `INTERRUPTED` when the signal is aborted. */
export async function proveOnnx(path: string, subject: ProofSubject, watch: ProofWatch = {}): Promise<Proof> {
  const step = stepper(
    subject.samples.reduce((sum, { batches }) => sum + batches.length, 0),
    watch,
  )
  const session = await openSession(path, { threads: subject.model.machine.threads })
  try {
    const comparisons: Comparison[] = []
    for (const each of subject.samples) comparisons.push(await compare(session, subject, each, step))
    return { comparisons, speed: await race(session, subject, step) }
  } finally {
    await session.close()
  }
}
