/** Rates of matrix products: large squares, and the shapes of a model's training step. */
import type { Config } from '../config/schema.ts'
import { stepProducts } from '../config/step-cost.ts'
import { pause } from '../errors.ts'
import { type GemmShape, measureGemm, peakShapes } from '../machine/gemm.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { setThreads } from '../tensor/context.ts'

export interface GemmRow {
  /** `square`, or a layer such as `blocks.mlp.fc1`. */
  readonly name: string
  readonly shape: Required<GemmShape>
  /** GFLOP/s, medians. */
  readonly float32: number
  readonly bfloat16: number
}

export interface GemmBench {
  readonly machine: MachinePlan
  readonly rows: readonly GemmRow[]
  /** Best rate over all rows, in GFLOP/s. */
  readonly peak: { readonly float32: number; readonly bfloat16: number }
}

/** Distinct products of a batch's forward pass. Linear layers multiply the rows of all images as one matrix. */
export function modelShapes(config: Config): { name: string; shape: Required<GemmShape> }[] {
  const { batchSize } = config.train
  return stepProducts(config).map(({ name, rows, inner, columns, perImage, together = 1 }) => ({
    name,
    shape: perImage
      ? { rows, inner, columns, batch: batchSize * together }
      : { rows: batchSize * rows, inner, columns, batch: 1 },
  }))
}

export interface GemmBenchOptions {
  /** Products of each shape. */
  readonly repeats?: number
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Throws `INTERRUPTED`. */
export async function benchGemm(
  config: Config,
  { repeats = 5, onProgress, signal }: GemmBenchOptions = {},
): Promise<GemmBench> {
  const machine = planMachine({ ...config.train, workers: config.data.workers })
  setThreads(machine.threads)
  const { device } = machine
  const squares = peakShapes(device).map((shape) => ({ name: 'square', shape: { ...shape, batch: 1 } }))
  const all = [...squares, ...modelShapes(config)]
  const rows: GemmRow[] = []
  for (const { name, shape } of all) {
    await pause(signal, { done: rows.length, of: all.length, unit: 'products', continues: false })
    const rate = (dtype: 'float32' | 'bfloat16') => measureGemm({ dtype, device, shape, repeats })
    rows.push({ name, shape, float32: rate('float32'), bfloat16: rate('bfloat16') })
    onProgress?.(rows.length, all.length)
  }
  const best = (dtype: 'float32' | 'bfloat16') => Math.max(...rows.map((row) => row[dtype]))
  return { machine, rows, peak: { float32: best('float32'), bfloat16: best('bfloat16') } }
}
