/** Keys that change nothing in a configuration, because another one decides: who sets one of them has meant something else. */
import { SherdError } from '../errors.ts'
import { assignedKeys } from './overrides.ts'
import type { Config } from './schema.ts'

interface Row {
  readonly keys: readonly string[]
  readonly isUseless: (config: Config) => boolean
  readonly why: string
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
    keys: ['bandNames', 'pattern', 'window', 'nodata', 'applyScale', 'clip', 'minValid'].map(
      (name) => `data.${name}`,
    ),
    isUseless: ({ data }) => data.bands === null,
    why: 'it is for rasters, and data.bands names none',
  },
  {
    keys: ['data.range'],
    isUseless: ({ data }) => data.bands !== null,
    why: 'it is for image files, and data.bands asks for rasters: their values are kept as they are',
  },
  {
    keys: ['data.scale', 'data.ratio'],
    isUseless: ({ data }) => data.crop === 'center',
    why: 'data.crop is "center", which takes the largest box',
  },
  {
    keys: ['model.groupWidth', 'model.decoderGroupWidth', 'mask.groups'],
    isUseless: ({ model }) => model.groups === null,
    why: 'it is for groups of bands, and model.groups has none',
  },
  {
    keys: ['model.timeWidth', 'model.decoderTimeWidth'],
    isUseless: ({ model }) => model.timeFields.length === 0,
    why: 'it is for dates, and model.timeFields has no field',
  },
  {
    keys: ['mask.frames', 'mask.perFrame'],
    isUseless: ({ model }) => model.frames === 1,
    why: 'it is for series of dates, and model.frames is 1',
  },
  {
    keys: ['target.statistics'],
    isUseless: ({ target }) => !target.normalize,
    why: 'target.normalize is false',
  },
  {
    keys: ['target.scalesWidth'],
    isUseless: ({ target }) => target.scales === null,
    why: 'target.scales asks for no larger pictures',
  },
  {
    keys: ['log.probeEverySteps'],
    isUseless: ({ log }) => log.probe === null,
    why: 'there is no probe: name its images with --probe DIR',
  },
]

/** What a command reads of a configuration. */
export interface Reading {
  readonly reads: (key: string) => boolean
  /** In words, for the message. */
  readonly what: string
}

/** What is read to use a model, beside what `more` names: not how it is trained. */
export const modelReading = (more: readonly string[] = []): Reading => ({
  reads: (key) =>
    /^(objective$|(model|data|mask|target)\.)/.test(key) ||
    ['train.seed', 'train.threads', ...more].includes(key),
  what: `what says the model and how images are read (model.*, data.*, mask.*, target.*, train.seed, train.threads${more.map((key) => `, ${key}`).join('')})`,
})

/** Throws `CONFIG` when an assignment of `--set` changes nothing: its key is not read, or another one goes before it. */
export function expectUseful(config: Config, set: readonly string[], reading?: Reading): void {
  for (const key of assignedKeys(set)) {
    const row = rows.find(({ keys, isUseless }) => keys.includes(key) && isUseless(config))
    const why = reading && !reading.reads(key) ? `this command reads ${reading.what}` : row?.why
    if (why) throw new SherdError('CONFIG', `--set ${key} would change nothing: ${why}.`)
  }
}
