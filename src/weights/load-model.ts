/** Loads a trained model with its decoder. */
import { resolve } from 'node:path'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { objectiveOf } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { type MachineRequest, type PrecisionName, planMachine } from '../machine/plan.ts'
import { loadParameters, type Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { MaskedAutoencoder } from '../objective/mae.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Precision } from '../train/trainee.ts'
import { openFrozenModel } from './frozen-model.ts'
import { findWeights } from './open-encoder.ts'

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
  /** Optimizer steps of the weights; null where the file does not say it. */
  readonly step: number | null
  /** Damaged checkpoints that were skipped. */
  readonly warnings: readonly string[]
}

/**
 * The model of a run's latest intact checkpoint, of one of its checkpoints, or of a `.safetensors` file of both halves. Throws as `findWeights`,
 * and `USAGE` for weights without a decoder.
 */
export function loadModel(
  path: string,
  device: MachineRequest['device'] = 'auto',
  precision: PrecisionName = 'fp32',
): LoadedModel {
  const { config, statistics, weights, step, warnings = [] } = findWeights({ model: resolve(path) })
  const machine = planMachine({ ...config.train, device, precision, workers: config.data.workers })
  setThreads(machine.threads)
  const objective = objectiveOf(config, machine.device, {
    frozen: (path) => openFrozenModel(path, { config, statistics, machine }),
  })
  const parameters = scope(() => {
    const { tensors } = readSafetensors(weights!)
    if (!tensors.has('decoder_embed.weight'))
      throw new SherdError(
        'USAGE',
        `${weights} has no decoder (decoder_embed.weight …): give a run of pretraining, a checkpoint of it, or weights of both halves.`,
      )
    return loadParameters(allRows(objective), tensors, machine.device)
  })
  return {
    ...{ config, objective, parameters, statistics, step, warnings },
    ...{ device: machine.device, precision: machine.precision },
  }
}
