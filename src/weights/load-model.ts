/** Loads a trained model with its decoder. */
import { objectiveOf } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { readOfModel } from '../config/tables.ts'
import { SherdError } from '../errors.ts'
import { type MachineRequest, type PrecisionName, planMachine } from '../machine/plan.ts'
import type { Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { ImageObjective } from '../objective/image-objective.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { setThreads } from '../tensor/context.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Precision } from '../train/trainee.ts'
import { openFrozenModels } from './frozen-model.ts'
import { expectFit, findWeights, loadRows } from './open-encoder.ts'

export interface Model {
  readonly config: Config
  readonly objective: ImageObjective
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
export async function loadModel(
  path: string,
  device: MachineRequest['device'] = 'auto',
  precision: PrecisionName = 'fp32',
): Promise<LoadedModel> {
  const found = await findWeights({ model: path }, (found) => {
    if (!readOfModel(found.config.objective)) expectFit(found)
  })
  const { config, statistics, files, step, warnings = [] } = found
  const machine = planMachine({ ...config.train, device, precision, workers: config.data.workers })
  setThreads(machine.threads)
  const whole = found.whole ?? found
  const lacking = allRows(objectiveOf(config, 'cpu')).find(({ name }) => !whole.stored.has(name))
  if (lacking)
    throw new SherdError(
      'USAGE',
      `${files[0]} has an encoder alone, and nothing that predicts (no ${lacking.name}): give a run of pretraining, a checkpoint of it, or weights of both halves.`,
    )
  const models = await openFrozenModels({ config, statistics, machine })
  const objective = objectiveOf(config, machine.device, { models })
  const parameters = await loadRows(allRows(objective), whole, machine.device)
  return {
    ...{ config, objective, parameters, statistics, step, warnings },
    ...{ device: machine.device, precision: machine.precision },
  }
}
