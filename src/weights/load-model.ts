/** Loads the trained model of a run. */
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
import { openFrozenModel } from './frozen-model.ts'
import { expectFit } from './open-encoder.ts'

export interface Model {
  readonly config: Config
  readonly objective: MaskedAutoencoder
  readonly parameters: Parameters
  readonly statistics: ChannelStatistics
  readonly device: Device
  /** Default float32, also for a run that trains in bfloat16. */
  readonly precision?: Precision
}

export interface LoadedModel extends Model {
  readonly precision: Precision
  /** Optimizer steps of the weights. */
  readonly step: number
  /** Damaged checkpoints that were skipped. */
  readonly warnings: readonly string[]
}

/** The model of a run's latest intact checkpoint. Throws `RUN` if there is none. */
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
  const { statistics } = facts
  const objective = objectiveOf(config, machine.device, {
    frozen: (path) => openFrozenModel(path, { config, statistics, machine }),
  })
  const parameters = loadWeights(checkpoint.path, allRows(objective), machine.device)
  return {
    config,
    objective,
    parameters,
    statistics,
    device: machine.device,
    precision: machine.precision,
    step: checkpoint.step,
    warnings,
  }
}
