/** A trained tokenizer: opened from a run, a checkpoint of it or a file, for its codes and for what they say; and as a target of another run. */
import { objectiveOf } from '../config/assemble.ts'
import { bandsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { type MachineRequest, type PrecisionName, planMachine } from '../machine/plan.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import { isTokenizer, type TokenizerObjective } from '../objective/tokenizer.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { FrozenTokenizer } from '../target/frozen-tokenizer.ts'
import { resizedPixels } from '../target/resized.ts'
import type { Locate } from '../target/target-row.ts'
import { noGrad, setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Precision } from '../train/trainee.ts'
import { type FoundWeights, identityOf, sealOfModel } from './found-weights.ts'
import { findWeights, loadRows } from './open-encoder.ts'
import { renormaliser, type Taught } from './taught.ts'

export interface OpenedTokenizer {
  readonly config: Config
  readonly objective: TokenizerObjective
  readonly parameters: Parameters
  readonly statistics: ChannelStatistics
  readonly device: Device
  readonly precision: Precision
  readonly found: FoundWeights
}

/** Throws as `findWeights`, and `CONFIG` for what is no tokenizer. */
async function findTokenizer(path: string): Promise<FoundWeights> {
  const found = await findWeights({ model: path }, () => {})
  const { config, files } = found
  if (!isTokenizer(objectiveOf(config, 'cpu')))
    throw new SherdError(
      'CONFIG',
      `${files[0] ?? path} is no tokenizer, it has learned by objective ${config.objective}: expected a run of objective vqkd or vq-pixels, such as of the preset vq-pixels-tiny-cifar10, one of its checkpoints, or its model.safetensors.`,
    )
  return found
}

export interface TokenizerRequest {
  readonly model: string
  /** Default `auto`. */
  readonly device?: MachineRequest['device'] | undefined
  /** Default `fp32`. */
  readonly precision?: PrecisionName | undefined
}

/** The teacher of a tokenizer is not needed. Throws as `findTokenizer`, and `CHECKPOINT` for weights that do not fit. */
export async function openTokenizer({
  model,
  device = 'auto',
  precision = 'fp32',
}: TokenizerRequest): Promise<OpenedTokenizer> {
  const found = await findTokenizer(model)
  const { config, statistics } = found
  const machine = planMachine({ ...config.train, device, precision, workers: config.data.workers })
  setThreads(machine.threads)
  const objective = objectiveOf(config, machine.device) as TokenizerObjective
  const parameters = await loadRows(objective.rows, found.whole ?? found, machine.device)
  return { config, objective, parameters, statistics, found, ...machine }
}

export const locateTokenizer: Locate['tokenizer'] = async (path) => {
  const found = await findTokenizer(path)
  return {
    path: identityOf(found, path),
    codes: (objectiveOf(found.config, 'cpu') as TokenizerObjective).codes,
  }
}

/** Throws `CONFIG` where the images of a run cannot be brought to those of the tokenizer. */
function expectFit(path: string, own: Config, wanted: Config): void {
  const [channels, given] = [own, wanted].map(
    (each) => bandsOf(each)?.join(', ') ?? `${each.model.channels} channels`,
  )
  if (channels !== given)
    throw new SherdError(
      'CONFIG',
      `target.tokenizer: ${path} was trained on ${channels}, and this run has ${given}: a tokenizer of the same is needed.`,
    )
  const [[h, w], [H, W]] = [own.model.imageSize, wanted.model.imageSize]
  const times = h >= H ? h / H : H / h
  if (!Number.isInteger(times) || h * W !== H * w)
    throw new SherdError(
      'CONFIG',
      `target.tokenizer: ${path} takes images of ${h} × ${w} pixels, and model.imageSize is ${H} × ${W}: expected the same, or k times or a k-th of both sides, such as ${h * 2} × ${w * 2}`,
    )
}

/** Throws `CONFIG` for what is no tokenizer, or does not fit the run. */
export async function openFrozenTokenizer(
  path: string,
  { config, statistics, machine }: Taught,
): Promise<FrozenTokenizer> {
  const { device, threads } = machine
  const opened = await openTokenizer({ model: path, device: device === 'cpu' ? 'cpu' : 'cuda' })
  setThreads(threads) // those of the run
  expectFit(path, opened.config, config)
  const { objective, parameters, found } = opened
  const { layout, codes } = objective
  const { imageSize } = opened.config.model
  const renormalised = renormaliser(statistics, opened.statistics, device)
  return {
    ...{ hash: sealOfModel(found), layout, codes },
    encode: (view) =>
      noGrad(() =>
        scope(() => {
          const given = renormalised(view)
          const sized = { ...given, pixels: resizedPixels(given.pixels, imageSize) }
          return objective.encode(sized, weightsOf(parameters))
        }),
      ),
  }
}
