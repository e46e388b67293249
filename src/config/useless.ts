/**
 * Keys without effect because of the value of another one: setting them with --set is an error. Configurations still hold them, since a
 * run may be resumed with another value. Keys that nothing reads are refused earlier, by `resolveConfig`.
 */
import { SherdError } from '../errors.ts'
import { modelKeys } from '../model/keys.ts'
import { assignedKeys } from './overrides.ts'
import { bandGroupsOf, framesOf, masksOf, pixelTargetOf, rastersOf } from './resolve.ts'
import type { Config } from './schema.ts'
import { readOfModel } from './tables.ts'

interface Row {
  readonly keys: readonly string[]
  readonly isUseless: (config: Config) => boolean
  readonly why: string
}

const ruleOf = (config: Config): string => {
  const mask = masksOf(config)
  return mask?.kind === 'attention' ? mask.rule : ''
}

const rows: readonly Row[] = [
  {
    keys: ['train.epochs'],
    isUseless: ({ train }) => train.steps !== null,
    why: 'train.steps is set, and goes before it: add --set train.steps=null',
  },
  {
    keys: ['optim.warmupFraction'],
    isUseless: ({ optim }) => optim.warmupSteps !== null,
    why: 'optim.warmupSteps is set, and goes before it',
  },
  {
    keys: ['optim.clipBy'],
    isUseless: ({ optim }) => optim.clipGradientNorm === null,
    why: 'optim.clipGradientNorm is null, and nothing is clipped',
  },
  {
    keys: ['data.scale', 'data.ratio'],
    isUseless: ({ data }) => data.crop === 'center',
    why: 'data.crop is "center", which takes the largest box',
  },
  {
    keys: ['model.groupWidth', 'decoder.groupWidth', 'mask.groups'],
    isUseless: (config) => bandGroupsOf(config) === null,
    why: 'it is for groups of bands, and model.groups has none',
  },
  {
    keys: ['model.timeWidth', 'decoder.timeWidth'],
    isUseless: (config) => rastersOf(config)?.model.timeFields.length === 0,
    why: 'it is for dates, and model.timeFields has no field',
  },
  {
    keys: ['mask.frames', 'mask.perFrame'],
    isUseless: (config) => framesOf(config) === 1,
    why: 'it is for series of dates, and model.frames is 1',
  },
  {
    keys: ['mask.ratioSchedule'],
    isUseless: (config) => {
      const mask = masksOf(config)
      return mask !== null && 'ratioTo' in mask && mask.ratioTo === null
    },
    why: 'mask.ratioTo is null, and the ratio stays',
  },
  {
    keys: ['mask.maskingProb'],
    isUseless: (config) => !ruleOf(config).startsWith('attmask'),
    why: 'it is for mask.rule=attmask-high, attmask-low and attmask-hint',
  },
  {
    keys: ['mask.showMax'],
    isUseless: (config) => ruleOf(config) !== 'attmask-hint',
    why: 'it is for mask.rule=attmask-hint',
  },
  {
    keys: ['mask.throwRatio'],
    isUseless: (config) => ruleOf(config) !== 'amt',
    why: 'it is for mask.rule=amt',
  },
  {
    keys: ['mask.ratioBefore'],
    isUseless: (config) => {
      const mask = masksOf(config)
      return mask?.kind === 'attention' && mask.fromEpoch === 0
    },
    why: 'mask.fromEpoch is 0, and no mask is before it',
  },
  {
    keys: ['target.statistics'],
    isUseless: (config) => pixelTargetOf(config)?.normalize === false,
    why: 'target.normalize is false',
  },
  {
    keys: ['target.scalesWidth'],
    isUseless: (config) => pixelTargetOf(config)?.scales === null,
    why: 'target.scales asks for no larger pictures',
  },
  {
    keys: Object.keys(modelKeys)
      .filter((key) => !readOfModel('vq-pixels')!.includes(key))
      .map((key) => `model.${key}`),
    isUseless: ({ objective }) => objective === 'vq-pixels',
    why: 'it is of transformers, and the encoder of objective vq-pixels is convolutional',
  },
  {
    keys: ['log.probeEverySteps'],
    isUseless: ({ log }) => log.probe === null,
    why: 'there is no probe: name its images with --probe DIR',
  },
]

/** The keys that a command reads. */
export interface Reading {
  readonly reads: (key: string) => boolean
  /** For the message. */
  readonly what: string
}

/** For commands that apply a model: not the keys of training, except `more`. */
export const modelReading = (more: readonly string[] = []): Reading => ({
  reads: (key) =>
    /^(objective$|(model|decoder|codebook|data|mask|target|blocks|predictor|teacher)\.)/.test(key) ||
    ['train.seed', 'train.threads', ...more].includes(key),
  what: `what says the model and how images are read (model.*, decoder.*, codebook.*, data.*, mask.*, target.*, train.seed, train.threads${more.map((key) => `, ${key}`).join('')})`,
})

/** Throws `CONFIG` if an assignment of `--set` has no effect: its key is not read, or is overridden by another. */
export function expectUseful(config: Config, set: readonly string[], reading?: Reading): void {
  for (const key of assignedKeys(set)) {
    const row = rows.find(({ keys, isUseless }) => keys.includes(key) && isUseless(config))
    const why = reading && !reading.reads(key) ? `this command reads ${reading.what}` : row?.why
    if (why) throw new SherdError('CONFIG', `--set ${key} would change nothing: ${why}.`)
  }
}
