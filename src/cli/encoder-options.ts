/** The options of commands that use an encoder: which one, and where it computes. */
import type { Command } from 'commander'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import type { PrecisionName } from '../machine/plan.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { EncoderRequest } from '../weights/open-encoder.ts'
import { modelOption } from './help.ts'
import {
  configOption,
  deviceOption,
  featurePrecisionOption,
  imageSizeOption,
  setOption,
  wholeNumber,
} from './options.ts'
import { counting } from './progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from './reading-options.ts'

export interface ModelFlags {
  readonly model: string
  readonly preset?: string
  readonly config?: string
  readonly set: string[]
  readonly modelSeed?: number
  readonly imageSize?: [height: number, width: number]
  readonly bands?: string[]
}

export interface EncoderFlags extends ModelFlags, ReadingFlags {
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision?: PrecisionName
}

export const addModelOptions = (
  command: Command,
  model: Parameters<typeof modelOption>[0] = {
    what: 'a run, a checkpoint of it, a .safetensors file, a file or folder of another program, hf:owner/name of the Hugging Face hub, or "random"',
  },
): Command =>
  command
    .addOption(modelOption(model))
    .option('--preset <name>', 'what the model is, where --model does not say it')
    .addOption(configOption())
    .addOption(
      setOption(
        'override one key of the preset, or of what the files of another program say; may be repeated',
      ),
    )
    .option('--model-seed <n>', 'seed of a random model', wholeNumber(0))
    .addOption(imageSizeOption())
    .option(
      '--bands <list>',
      'rasters that have only some of the bands, such as B2,B3,B4,B8: groups that have all of theirs are used',
      (text: string) => text.split(',').map((band) => band.trim()),
    )

export const addEncoderOptions = (
  command: Command,
  { model, precision }: { model?: Parameters<typeof modelOption>[0]; precision?: string } = {},
): Command =>
  addReadingOptions(
    addModelOptions(command, model).addOption(deviceOption()).addOption(featurePrecisionOption(precision)),
  )

/** `images`: the folder to encode. Raster weights that do not record their normalisation take the statistics of this folder. */
export async function requestOf(
  {
    model,
    preset,
    config: file,
    set,
    device,
    precision,
    modelSeed,
    bands,
    imageSize,
    ...flags
  }: EncoderFlags,
  images: string | undefined,
  alsoRead: readonly string[] = [],
): Promise<EncoderRequest> {
  const config = await presetConfig({ preset, config: file, set, device }, alsoRead)
  const keys = config ? [] : set
  if (modelSeed !== undefined && model !== 'random')
    throw new SherdError('USAGE', '--model-seed is of --model random: other models have their weights.')
  return {
    ...{ model, device, precision, reading: readingOf(flags) },
    ...(config ? { config } : {}),
    ...(keys.length > 0 ? { set: keys } : {}),
    ...(modelSeed === undefined ? {} : { seed: modelSeed }),
    ...(bands ? { bands } : {}),
    ...(imageSize ? { imageSize } : {}),
    ...(config?.data.kind === 'rasters' && images !== undefined
      ? { statistics: await statisticsOf(config, images) }
      : {}),
  }
}

/** The configuration for weights that carry none, from `--preset`, `--config`, `--set`; undefined where none of the first two is given. */
export async function presetConfig(
  {
    preset,
    config,
    set,
    device,
  }: Pick<EncoderFlags, 'set' | 'device'> & { preset: string | undefined; config?: string | undefined },
  alsoRead: readonly string[] = [],
): Promise<Config | undefined> {
  const { modelReading } = await import('../config/useless.ts')
  if (preset !== undefined || config !== undefined) {
    const { configOf } = await import('./machine/bench-config.ts')
    return configOf(preset, { set, config, device }, modelReading(alsoRead))
  }
  const { assignedKeys } = await import('../config/overrides.ts')
  assignedKeys(set) // a mistyped key is reported first
  return undefined
}

async function statisticsOf(config: Config, images: string): Promise<ChannelStatistics> {
  const { channelStatistics, openData } = await import('../config/assemble.ts')
  return channelStatistics(config, await openData(config, images))
}

/** Progress of each folder. */
export function showImages(doing = 'features'): (event: { dir: string; done: number; of: number }) => void {
  const shown = new Map<string, ReturnType<typeof counting>>()
  return ({ dir, done, of }) => {
    const show = shown.get(dir) ?? counting(`${doing} of ${dir}`, 'images')
    shown.set(dir, show)
    show(done, of)
  }
}
