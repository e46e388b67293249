/** A trained model from a run's folder. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadWeights } from '../checkpoint/checkpoint.ts'
import { openRun, trustedWeights } from '../checkpoint/run-folder.ts'
import { objectiveOf } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { refuseForeign } from '../import/not-imported.ts'
import { type MachineRequest, type PrecisionName, planMachine } from '../machine/plan.ts'
import type { Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { MaskedAutoencoder } from '../objective/mae.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { setThreads } from '../tensor/context.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Precision } from '../train/trainee.ts'
import { expectFit } from './open-encoder.ts'

export interface Model {
  readonly config: Config
  readonly objective: MaskedAutoencoder
  readonly parameters: Parameters
  readonly statistics: ChannelStatistics
  readonly device: Device
  /** The type of matrix products in pictures; float32 by default, also of a run that trains in bfloat16. */
  readonly precision?: Precision
}

export interface LoadedModel extends Model {
  readonly precision: Precision
  /** Optimizer steps that the weights have seen. */
  readonly step: number
  /** Checkpoints that are damaged and were passed over. */
  readonly warnings: readonly string[]
}

/** The model of a run's latest checkpoint, to compute in float32 unless it is asked for in another precision. Throws `RUN` without one. */
export function loadModel(
  dir: string,
  device: MachineRequest['device'] = 'auto',
  precision: PrecisionName = 'fp32',
): LoadedModel {
  if (existsSync(dir)) refuseForeign(dir)
  const { config, facts } = openRun(dir)
  const { checkpoint, warnings } = trustedWeights(dir)
  expectFit(join(checkpoint.path, 'model.safetensors'), config)
  const machine = planMachine({ ...config.train, device, precision, workers: config.data.workers })
  setThreads(machine.threads)
  const objective = objectiveOf(config, machine.device)
  const parameters = loadWeights(checkpoint.path, allRows(objective), machine.device)
  return {
    config,
    objective,
    parameters,
    statistics: facts.statistics,
    device: machine.device,
    precision: machine.precision,
    step: checkpoint.step,
    warnings,
  }
}
