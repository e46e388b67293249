/** One row of training steps: sherd and the peer take turns, round by round, and every round is kept. */
import { join } from 'node:path'
import type { StepTimes } from '../src/bench/step-bench.ts'
import { dimensionsOf, resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { trainingFlops } from '../src/model/flops.ts'
import { packageRoot } from '../src/package-root.ts'
import { type Device, deviceMemory } from './device.ts'
import { isOutOfMemory, largestBatch } from './largest-batch.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { type Rounds, startRounds } from './rounds.ts'
import type { Variant, Work } from './works.ts'

export interface Side {
  /** The precision, and for the peer whether it is compiled. */
  readonly variant: string
  readonly medianStepSeconds: number
  readonly imagesPerSecond: number
  readonly modelTflops: number
  /** Of `gemmGflops` in the side's own precision. */
  readonly shareOfPeak: number
  /** On a CPU the largest resident set, on a GPU what the process holds of the device. */
  readonly peakBytes: number
  readonly seconds: readonly number[]
}

export interface StepRow {
  readonly name: string
  readonly work: string
  readonly batch: number
  /** The best rate of large matrix products that was measured up to then, in the same run. */
  readonly gemmGflops: Device['gemmGflops']
  readonly sherd: Side
  /** The best of its variants. */
  readonly peer: Side | null
  /** The other variants, from one round; or why they could not run. */
  readonly peerOthers: readonly (Side | { readonly variant: string; readonly failed: string })[]
  /** Of the medians: above 1, sherd is the faster. */
  readonly ratio: number | null
  /** The same ratio in each round. */
  readonly roundRatios: readonly number[]
}

export interface StepOptions {
  readonly peer: Peer | null
  readonly device: Device
  readonly threads: number
  readonly rounds: number
  /** Instead of the work's own. */
  readonly steps: number | null
  /** Instead of the largest that fits, which takes minutes to find. */
  readonly batch: number | null
}

type StepRounds = Rounds<{ steps: number }, StepTimes>
interface Contestant {
  readonly variant: string
  readonly precision: 'float32' | 'bfloat16'
  /** One round. */
  turn(): Promise<StepTimes>
  end(): Promise<void>
}

const root = packageRoot()

const configOf = (
  { model, decoder, device, precision }: Work,
  batch: number,
  threads: number,
): ConfigInput => ({
  ...{ model, decoder },
  train: { batchSize: batch, threads, device, precision },
})

const sherdCommand = (work: Work, batch: number, threads: number): string[] => [
  process.execPath,
  join(root, 'dist/bench/sherd-step.js'),
  JSON.stringify(configOf(work, batch, threads)),
]

interface PeerRun {
  readonly peer: Peer
  readonly variant: Variant
  readonly batch: number
  readonly threads: number
}

function peerCommand(work: Work, { peer, variant, batch, threads }: PeerRun): string[] {
  const { layerNormEpsilon: _, ...dimensions } = dimensionsOf(resolveConfig(configOf(work, batch, threads)))
  const { precision, compile, fusedAttention } = variant
  const config = {
    ...dimensions,
    ...{ maskRatio: 0.75, normalizeTarget: true },
    ...{ batch, precision, threads, device: work.device, compile, fusedAttention },
  }
  return [peer.python, '-B', join(root, 'bench/peers/step.py'), JSON.stringify(config)]
}

/** A program that is ready. One that must have the device to itself is started again for every round. */
async function enter(work: Work, command: string[], steps: number): Promise<Omit<Contestant, 'variant'>> {
  const isAlone = typeof work.batch !== 'number'
  const before = deviceMemory(work.device)
  let running: StepRounds | null = await startRounds(command)
  const { precision } = running.ready as { precision?: Contestant['precision'] }
  let held = 0
  return {
    precision: precision ?? 'float32',
    async turn() {
      running ??= await startRounds(command)
      const times = await running.ask({ steps })
      if (held === 0 && before !== null) held = (deviceMemory(work.device) ?? before) - before
      if (isAlone) {
        await running.end()
        running = null
      }
      return held > 0 ? { ...times, peakBytes: held } : times
    },
    async end() {
      await running?.end()
      running = null
    },
  }
}

async function batchOf(work: Work, { peer, threads, batch }: StepOptions): Promise<number> {
  if (typeof work.batch === 'number') return work.batch
  if (batch !== null) return batch
  const runs = async (command: string[]) => {
    try {
      await (await startRounds(command)).end()
      return true
    } catch (error) {
      if (isOutOfMemory(error)) return false
      throw error
    }
  }
  const eager = work.peers[0]!
  const fits = async (batch: number) =>
    (await runs(sherdCommand(work, batch, threads))) &&
    (!peer || (await runs(peerCommand(work, { peer, variant: eager, batch, threads }))))
  const found = await largestBatch(fits, work.batch)
  if (found === null) throw new Error(`${work.title}: not even ${work.batch.from} images fit`)
  return found
}

/** The peer's variants after one round each, the fastest first; and those that failed. */
async function tryPeers(work: Work, batch: number, { peer, threads, steps }: StepOptions) {
  const tried: { contestant: Contestant; first: StepTimes }[] = []
  const failed: { variant: string; failed: string }[] = []
  for (const variant of peer ? work.peers : []) {
    try {
      const command = peerCommand(work, { peer: peer!, variant, batch, threads })
      const entered = await enter(work, command, steps ?? work.steps)
      const precision = variant.precision === 'bf16' ? 'bfloat16' : 'float32'
      const contestant: Contestant = { ...entered, variant: variant.name, precision }
      tried.push({ contestant, first: await contestant.turn() })
    } catch (error) {
      failed.push({ variant: variant.name, failed: String(error).slice(-500) })
    }
  }
  tried.sort((a, b) => median(a.first.seconds) - median(b.first.seconds))
  return { tried, failed }
}

export async function measureStep(work: Work, options: StepOptions): Promise<StepRow> {
  const { rounds, threads, device } = options
  const batch = await batchOf(work, options)
  const config = resolveConfig(configOf(work, batch, threads))
  const flops = batch * trainingFlops(dimensionsOf(config), config.mask.ratio)
  const sideOf = ({ variant, precision }: Contestant, all: readonly StepTimes[]): Side => {
    const seconds = all.flatMap((each) => each.seconds)
    const typical = median(seconds)
    return {
      variant,
      medianStepSeconds: typical,
      imagesPerSecond: batch / typical,
      modelTflops: flops / typical / 1e12,
      shareOfPeak: flops / typical / (device.gemmGflops[precision] * 1e9),
      peakBytes: Math.max(...all.map(({ peakBytes }) => peakBytes)),
      seconds,
    }
  }

  const { tried, failed } = await tryPeers(work, batch, options)
  const [best, ...others] = tried
  for (const { contestant } of others) await contestant.end()
  const entered = await enter(work, sherdCommand(work, batch, threads), options.steps ?? work.steps)
  const sherd: Contestant = { ...entered, variant: entered.precision === 'bfloat16' ? 'bf16' : 'fp32' }
  await sherd.turn() // as the peer has had one
  const mine: StepTimes[] = []
  const theirs: StepTimes[] = []
  for (let round = 0; round < rounds; round++) {
    const turns = [async () => mine.push(await sherd.turn())]
    if (best) turns.push(async () => theirs.push(await best.contestant.turn()))
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn()
  }
  await Promise.all([sherd.end(), best?.contestant.end()])
  const [ours, peerSide] = [sideOf(sherd, mine), best ? sideOf(best.contestant, theirs) : null]
  return {
    name: work.name,
    work: typeof work.batch === 'number' ? work.title : `${work.title} (${batch})`,
    batch,
    gemmGflops: device.gemmGflops,
    sherd: ours,
    peer: peerSide,
    peerOthers: [...others.map(({ contestant, first }) => sideOf(contestant, [first])), ...failed],
    ratio: peerSide && peerSide.medianStepSeconds / ours.medianStepSeconds,
    roundRatios: theirs.map((each, i) => median(each.seconds) / median(mine[i]!.seconds)),
  }
}
