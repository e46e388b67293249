/**
 * What this machine can do with a preset: images a second, hours, memory. Whole steps on random samples, each batch in a process of its own,
 * whose peak memory is then a run's. Where the preset's own micro-batch would take long, two small ones are timed, and the straight line
 * through them says the rest.
 */
import { existsSync } from 'node:fs'
import { allModelsOf, completed, objectiveOf } from '../config/assemble.ts'
import { presetOf } from '../config/presets.ts'
import { resolveConfig } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { availableBytes } from '../machine/memory.ts'
import { inOwnProcess, type OwnProcessOptions } from '../machine/own-process.ts'
import { parameterCount } from '../model/parameters.ts'
import { locate } from '../weights/frozen-model.ts'
import type { Line, StepOrder } from './step-process.ts'

export interface PresetSpeed {
  readonly preset: string
  /** Of the preset's micro-batch. */
  readonly batch: number
  /** Null where the model does not fit into the memory. */
  readonly imagesPerSecond: number | null
  /** Of a hundred passes over ten thousand images. */
  readonly hours: number | null
  /** Peak of the process; where the model does not fit, what its weights need at least. */
  readonly memoryBytes: number
  /** Whether the preset's own micro-batch was timed; else two smaller ones. */
  readonly isMeasured: boolean
}

const SEEN = 1_000_000
/** Seconds that a step of the preset's own batch may take to be timed. */
const PATIENCE = 4
const SLOW = { cold: 1, steps: 2 }
const QUICK = { cold: 2, steps: 7 }
/** The small batches are these parts of the preset's. */
const PARTS = [16, 8] as const

/**
 * From two batches to that of a run: a step has a part that does not depend on the batch (the optimizer), and one for each sample. `parts`:
 * micro-batches of a step, which pay the fixed part once.
 */
export function extended([a, b]: readonly [Line, Line], batch: number, parts: number) {
  const slope = (of: (line: Line) => number) => Math.max(0, (of(b) - of(a)) / (b.batch - a.batch))
  const each = slope(({ seconds }) => seconds)
  // Where noise is larger than the difference, the larger batch alone says it.
  const perSample = each > 0 ? each : b.seconds / b.batch
  const fixed = Math.max(0, b.seconds - perSample * b.batch)
  return {
    seconds: fixed + perSample * batch * parts,
    bytes: b.bytes + slope(({ bytes }) => bytes) * (batch - b.batch),
  }
}

/** Weights, their gradients and two moments in float32. */
const leastBytes = (parameters: number): number => 16 * parameters
const MEMORY_SHARE = 0.9

type Measure = (order: StepOrder) => Promise<Line>

const measureSteps =
  (options: OwnProcessOptions): Measure =>
  (order) =>
    inOwnProcess<StepOrder, Line>('bench/step-process.js', order, options)

/** The models that a preset reads, such as a tokenizer, and that are not here. */
export const missingModels = (preset: string): readonly string[] =>
  allModelsOf(resolveConfig(presetOf(preset).config)).filter((path) => !existsSync(path))

/** Throws `PRESET_UNKNOWN`, `INTERRUPTED`, and what opening a model that the preset reads throws. */
export async function benchPreset(
  preset: string,
  options: Pick<OwnProcessOptions, 'signal'> = {},
  measure: Measure = measureSteps(options),
): Promise<PresetSpeed> {
  const config: Config = await completed(resolveConfig(presetOf(preset).config), locate)
  const { batchSize, accumulate } = config.train
  const least = leastBytes(parameterCount(objectiveOf(config, 'cpu').rows))
  const tooLarge = { ...{ preset, batch: batchSize, imagesPerSecond: null, hours: null }, memoryBytes: least }
  if (least > MEMORY_SHARE * availableBytes()) return { ...tooLarge, isMeasured: false }
  const [a, b] = PARTS.map((part) => Math.max(1, Math.floor(batchSize / part))) as [number, number]
  const first = await measure({ config, batch: a, ...SLOW })
  const isQuick = (first.seconds * batchSize) / a <= PATIENCE
  const second = await measure({
    config,
    batch: isQuick ? batchSize : Math.max(b, a + 1),
    ...(isQuick ? QUICK : SLOW),
  })
  const { seconds, bytes } = extended([first, second], batchSize, accumulate)
  const imagesPerSecond = (batchSize * accumulate) / seconds
  return {
    ...{ preset, batch: batchSize, imagesPerSecond, hours: SEEN / imagesPerSecond / 3600 },
    ...{ memoryBytes: bytes, isMeasured: isQuick },
  }
}
