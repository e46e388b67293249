/** Weights that were found, and how their parameters are read: a file of sherd, or a model of another program as it lies. */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { StoredArray } from '../checkpoint/arrays.ts'
import type { RunFacts } from '../checkpoint/run-folder.ts'
import { type Header, readArrays } from '../checkpoint/safetensors.ts'
import { encoderPrefix, type WeightsOrigin } from '../checkpoint/weights-metadata.ts'
import { type ImagePreparation, preparationOf } from '../config/preparation.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { sealOf } from '../files/durable.ts'
import { type ImportPlan, planImport } from '../import/import.ts'
import type { Family } from '../import/layouts/facts.ts'
import type { LayoutName } from '../import/layouts.ts'
import { takenText } from '../import/taken.ts'
import { type StoredParameter, under } from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { ImageSize } from './image-size.ts'

export interface FoundWeights extends WeightsOrigin {
  /** The files; none for random weights. */
  readonly files: readonly string[]
  /** Of their parameters, under our names. */
  readonly stored: ReadonlyMap<string, StoredParameter>
  /** Reads those that are wanted. Throws `CHECKPOINT`. */
  readonly load: (isWanted: (name: string) => boolean) => Promise<ReadonlyMap<string, StoredArray>>
  /** Of a run whose encoder is a part with a prefix: all parameters, under the names of its objective. */
  readonly whole?: Pick<FoundWeights, 'stored' | 'load'>
  readonly step: number | null
  /** What kind of published encoder it is; undefined for a model of sherd. */
  readonly family?: Family
  /** How images are prepared, of a model of another program, whose weights do not say it: at its own size, whatever was asked for. */
  readonly preparation?: ImagePreparation
  /** Of an adapter on them: the share of its inputs that was dropped while it was trained; 0: none. */
  readonly adapterDropout?: number
  /** Of the Hugging Face hub: `hf:owner/name@COMMIT`. */
  readonly hub?: string
  /** Of the images, where another one than the model's own was asked for. */
  readonly imageSize?: ImageSize
  readonly warnings?: readonly string[]
  /** How a model of another program was read. */
  readonly notes?: readonly string[]
  /** Of their run. */
  readonly facts?: RunFacts
  /** The names of another program that they lie there in. */
  readonly layout?: LayoutName
}

/** The model's name in what is made of it: of the hub with its commit, else an absolute path. */
export const identityOf = ({ files, hub }: Pick<FoundWeights, 'files' | 'hub'>, model: string): string =>
  hub ?? (files.length === 0 ? 'random' : resolve(model))

/** A checksum of the files; '' for random weights. */
export function sealOfWeights({ files }: Pick<FoundWeights, 'files'>): string {
  const seals = files.map((file) => sealOf(file).sha256)
  return seals.length <= 1 ? (seals[0] ?? '') : createHash('sha256').update(seals.join()).digest('hex')
}

/** A checksum of the files, and of how images are prepared where other files say that. */
export function sealOfModel(found: Pick<FoundWeights, 'files' | 'preparation'>): string {
  const weights = sealOfWeights(found)
  if (weights === '' || !found.preparation) return weights
  return createHash('sha256').update(weights).update(JSON.stringify(found.preparation)).digest('hex')
}

/** Of a file of ours. */
export const readingOf = (
  path: string,
  { entries, metadata }: Pick<Header, 'entries' | 'metadata'>,
): Pick<FoundWeights, 'files' | 'stored' | 'load' | 'whole'> => {
  const prefix = encoderPrefix(metadata)
  return {
    ...{ files: [path], stored: under(entries, prefix) },
    load: async (isWanted) =>
      under(
        readArrays(path, (name) => name.startsWith(prefix) && isWanted(name.slice(prefix.length))).tensors,
        prefix,
      ),
    ...(prefix !== '' && {
      whole: { stored: entries, load: async (isWanted) => readArrays(path, isWanted).tensors },
    }),
  }
}

export const randomWeights = { files: [], stored: new Map(), load: async () => new Map() } as const

export interface ForeignRequest {
  readonly model: string
  readonly config?: Config | undefined
  /** What counts where the files leave it open. */
  readonly base?: ConfigInput | undefined
  /** `key=value`, over what the files say. */
  readonly set?: readonly string[] | undefined
  readonly statistics?: ChannelStatistics | undefined
}

/** A file or folder of another program. Throws `CHECKPOINT`, `CONFIG` or `USAGE` as `planImport`. */
export async function findForeign({
  model,
  config,
  base = {},
  set,
  statistics,
}: ForeignRequest): Promise<FoundWeights> {
  if (config)
    throw new SherdError(
      'USAGE',
      `${model} says itself what the model is: leave the preset (--preset, --config) out; --set changes a key.`,
    )
  const options = { from: model, base, set: set ?? [], statistics: statistics ?? null }
  const loading = (isWanted: (name: string) => boolean) => (plan: ImportPlan) => loadPlan(plan, isWanted)
  const found = planImport(
    options,
    (plan): FoundWeights => ({
      ...{ config: plan.config, statistics: plan.statistics, files: plan.files, step: null },
      family: plan.family,
      preparation: preparationOf(plan),
      layout: plan.layout,
      stored: new Map(
        plan.fitted.map(({ row: { name, shape } }) => [name, { dtype: 'float32', shape }] as const),
      ),
      load: (isWanted) => planImport(options, loading(isWanted)),
      notes: [`${plan.family}: ${takenText(plan.taken)}`, ...plan.notes],
      ...(plan.classifier && { classifier: plan.classifier }),
    }),
  )
  return found.catch((error: unknown) => {
    if (!(error instanceof SherdError) || error.message.includes(model)) throw error
    throw new SherdError(error.code, `${model}: ${error.message}`, { cause: error })
  })
}

async function loadPlan(
  { fitted }: ImportPlan,
  isWanted: (name: string) => boolean,
): Promise<ReadonlyMap<string, StoredArray>> {
  const values = new Map<string, StoredArray>()
  for (const { row, read } of fitted)
    if (read && isWanted(row.name))
      values.set(row.name, { dtype: 'float32', shape: row.shape, data: await read() })
  return values
}
