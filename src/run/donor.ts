/**
 * The weights that a run begins with, `--init`: a run or file of sherd, a published encoder as it lies, one of the hub, or an adapter. Keys of
 * the configuration that the weights of another program fix are taken from them; a run that says otherwise is refused, key by key.
 */
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openRun, type RunFacts, trustedWeights } from '../checkpoint/run-folder.ts'
import { readSafetensors, readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { encoderPrefix, readWeightsMetadata } from '../checkpoint/weights-metadata.ts'
import { decoderKeysOf } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { messageOf, SherdError } from '../errors.ts'
import { localModel } from '../hub/locate.ts'
import { hasForeignNames, isForeign, refuseForeign, refuseForeignNames } from '../import/not-imported.ts'
import { mergeAdapters } from '../model/adapt.ts'
import { under } from '../model/parameters.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { gridOf, sidesOf } from '../token/grid.ts'
import { adapterFolder } from '../weights/adapter-folder.ts'
import { type FoundWeights, sealOfWeights } from '../weights/found-weights.ts'
import { findWeights } from '../weights/open-encoder.ts'

export interface Donor {
  readonly path: string
  /** Null for a file that does not say what it is. */
  readonly config: Config | null
  /** Its parameters under our names, in the current scope. */
  readonly tensors: () => ReadonlyMap<string, Tensor>
}

/** Weights that are not read yet. */
export interface FoundDonor {
  /** As it is recorded: of the hub with its commit, else an absolute path. */
  readonly name: string
  /** Of a model of another program, or an adapter; null for what is sherd's. */
  readonly found: FoundWeights | null
  readonly seal: () => string
  readonly open: () => Promise<Donor>
}

/** Of a run, a checkpoint of it, or a file of sherd. Throws `RUN`, `CHECKPOINT`, and `USAGE` for files of other programs. */
export function ownDonor(given: string): Donor {
  const path = resolve(given)
  refuseForeign(path)
  if (statSync(path).isFile()) {
    const header = readSafetensorsHeader(path)
    const stored = readWeightsMetadata(path, header.metadata)
    if (!stored) refuseForeignNames(path, header)
    return ofFile(path, stored?.config ?? null)
  }
  const inside = join(path, 'model.safetensors')
  if (existsSync(inside)) return ownDonor(inside)
  const { config } = openRun(path)
  return ofFile(join(trustedWeights(path).checkpoint.path, 'model.safetensors'), config)
}

const ofFile = (path: string, config: Config | null): Donor => ({
  ...{ path, config },
  tensors: () => {
    const { tensors, metadata } = readSafetensors(path)
    const bare = under(tensors, encoderPrefix(metadata))
    return config ? mergeAdapters(bare, config.adapt) : bare
  },
})

/** Throws `RUN`. */
export function expectDonor(path: string): void {
  if (!existsSync(path))
    throw new SherdError(
      'RUN',
      `--init: ${path} does not exist: expected a run, a checkpoint of it, a file or folder of weights, or hf:owner/name.`,
    )
}

function isOwn(path: string): boolean {
  if (adapterFolder(path) !== null || isForeign(path)) return false
  if (!statSync(path).isFile()) return true
  const header = readSafetensorsHeader(path)
  return readWeightsMetadata(path, header.metadata) !== null || !hasForeignNames(header)
}

/** As it is recorded. */
export const donorName = async (init: string): Promise<string> => {
  const { path, hub } = await localModel(init)
  return hub ?? path
}

/** Keys that some files leave open, and a run may say in their place. */
const openable = ['heads', 'activation', 'layerNormEpsilon', 'feature', 'resampling'] as const

const assignmentsOf = (given: ConfigInput): string[] => [
  ...openable.flatMap((key) => {
    const value = given.model?.[key]
    return value == null ? [] : [`model.${key}=${JSON.stringify(value)}`]
  }),
  ...(given.decoder?.heads === undefined ? [] : [`decoder.heads=${given.decoder.heads}`]),
]

/** What the files say goes first; where they leave a key open, `given` says it. */
async function findForeign(model: string, given: ConfigInput): Promise<FoundWeights> {
  try {
    return await findWeights({ model })
  } catch (error) {
    const set = assignmentsOf(given)
    if (!(error instanceof SherdError) || error.code !== 'USAGE' || set.length === 0) throw error
    return findWeights({ model, set }).catch(() => {
      throw error
    })
  }
}

/** `given`: keys that say what files leave open. Throws `RUN`, `USAGE`, `CHECKPOINT` and `HUB`. */
export async function findDonor(init: string, given: ConfigInput): Promise<FoundDonor> {
  const { path, hub } = await localModel(init)
  const name = hub ?? path
  expectDonor(path)
  if (isOwn(path)) {
    const open = async () => ownDonor(path)
    return { ...{ name, open, found: null }, seal: () => sealOfWeights({ files: [ownDonor(path).path] }) }
  }
  const found = await findForeign(name, given)
  return {
    ...{ name, found },
    seal: () => sealOfWeights(found),
    open: async () => {
      const arrays = await found.load(() => true)
      const tensors = () =>
        new Map(
          [...arrays].map(([key, { data, shape, dtype }]) => [key, fromArray(data, shape, dtype)] as const),
        )
      return { path: name, config: found.config, tensors }
    },
  }
}

/** Throws `RUN` where a run that has no checkpoint yet would begin with other weights than it was begun with. */
export function expectSameDonor(
  out: string,
  { name, seal }: Pick<FoundDonor, 'name' | 'seal'>,
  { initSha256: was }: Pick<RunFacts, 'initSha256'>,
): void {
  const now = seal()
  if (was === undefined || was === now) return
  throw new SherdError(
    'RUN',
    `${out} has no checkpoint yet, and --init ${name} has other weights (SHA-256 ${now.slice(0, 12)}…) than those that it was begun with (${was.slice(0, 12)}…): restore them, or begin again with --overwrite.`,
  )
}

/** What the weights of an encoder fix. */
const fixed = [
  ...['patchSize', 'width', 'depth', 'heads', 'mlpRatio', 'hidden', 'layerNormEpsilon', 'positions'],
  ...['relativePositions', 'rotaryPeriods', 'cls', 'registers', 'patchBias', 'preNorm', 'feedForward'],
  ...['activation', 'qkvBias', 'layerScale'],
] as readonly (keyof Config['model'])[]

/** What else it was trained with; a run may say otherwise. */
const usual = ['size', 'imageSize', 'positionGrid', 'resampling', 'relativeResampling'] as const

/** How its images are prepared. */
const preparation = [
  ...['resize', 'inputSize', 'maxPatches', 'cropShare', 'cutRule', 'interpolation', 'fill', 'rounding'],
  'colours',
] as readonly (keyof Extract<Config['data'], { kind: 'images' }>)[]

const picked = <T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> =>
  Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>

const pairOf = (size: number | readonly number[]): string => sidesOf(size as never).join()

/**
 * A preset with the keys of the encoder that it begins with. `own`: what the user sets over the preset, which decides where the encoder's
 * images are not those of the run. Unchanged for weights of sherd.
 */
export function startingFrom(
  base: ConfigInput,
  { found }: Pick<FoundDonor, 'found'>,
  own: ConfigInput,
): ConfigInput {
  if (!found) return base
  const { config, statistics } = found
  const { model } = config
  const isOtherSize =
    own.model?.imageSize !== undefined && pairOf(own.model.imageSize) !== pairOf(model.imageSize)
  const hasTables = model.positions === 'learned' || model.relativePositions !== null
  const { h, w } = gridOf(model.imageSize, sidesOf(model.patchSize))
  const ofImages = (base.data?.bands ?? null) === null && config.data.kind === 'images'
  const isNormalised =
    own.model?.channels === undefined &&
    ['mean', 'std', 'statistics'].every((key) => !(key in (own.data ?? {})))
  const ownFeature = model.cls ? 'cls' : 'mean'
  const decoder = decoderKeysOf(config)
  return {
    ...base,
    data: {
      ...base.data,
      ...(ofImages && picked(config.data, preparation)),
      ...(ofImages && isNormalised && { mean: [...statistics.mean], std: [...statistics.std] }),
      // Those of another size have neither a size of their own nor one that they are brought to.
      ...(ofImages && isOtherSize && { inputSize: null }),
      ...(ofImages && isOtherSize && config.data.resize === 'patches' && { resize: 'squash' }),
    },
    model: {
      ...base.model,
      ...picked(model, [...fixed, ...usual]),
      ...(ofImages && { channels: model.channels }),
      ...(isOtherSize && hasTables && model.positionGrid === null && { positionGrid: [h, w] }),
      // Its own output is not what objectives train.
      ...{ attentionPool: false, projection: null },
      feature: model.feature === 'pooled' ? ownFeature : model.feature,
    },
    ...(decoder &&
      base.objective === config.objective &&
      found.stored.has('decoder_embed.weight') && {
        decoder: { ...base.decoder, ...picked(decoder, ['width', 'depth', 'heads']) },
      }),
  } as ConfigInput
}

/** Throws `CONFIG` for a run whose encoder is another one, key by key, and for one of other samples. */
export function expectContinues(config: Config, { name, found }: Pick<FoundDonor, 'name' | 'found'>): void {
  if (!found) return
  if (found.config.data.kind === 'rasters' && config.data.kind === 'images')
    throw new SherdError(
      'CONFIG',
      `--init: ${name} is an encoder of bands (${found.config.data.bands.join(', ')}), and this run is of image files: choose a preset that names bands, such as satmae-tiny-sentinel2.`,
    )
  const [theirs, ours] = [found.config.model, config.model]
  const said = (key: keyof Config['model'], value: unknown) =>
    key === 'layerScale' ? (value === null ? 'null' : 'set') : JSON.stringify(value)
  const other = fixed.filter((key) => said(key, theirs[key]) !== said(key, ours[key]))
  if (other.length === 0) return
  const lines = other.map(
    (key) => `model.${key}: ${JSON.stringify(theirs[key])} there, ${JSON.stringify(ours[key])} here`,
  )
  throw new SherdError(
    'CONFIG',
    `--init: ${name} is another encoder than this run has:\n  ${lines.join('\n  ')}\nLeave these keys out: sherd pretrain takes them from the weights.`,
  )
}

/** The configuration after `startingFrom`, resolved by `resolve`, with whose weights it cannot be. */
export function withDonor<T>(name: string, resolve: () => T): T {
  try {
    return resolve()
  } catch (error) {
    if (!(error instanceof SherdError) || error.code !== 'CONFIG') throw error
    throw new SherdError('CONFIG', `--init: with the encoder of ${name}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
