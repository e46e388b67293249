/**
 * What presets come to with one small budget, for their headers: the same images seen by each, then nearest neighbours and a linear probe beside
 * the same network with random weights. Resumable: what has a result is not done again.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { presetNames, presetOf } from '../src/config/presets.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { messageOf } from '../src/errors.ts'
import type { FeatureReport } from '../src/evaluate/evaluate.ts'
import { percent, tableOf } from '../src/evaluate/markdown.ts'
import { openImageFolder } from '../src/source/image-folder.ts'
import { frozenReports, pretrain } from './command.ts'
import {
  engineOf,
  type KeptReport,
  kept,
  lastMetrics,
  type Progress,
  progressOf,
  provenance,
  readJson,
  topOf,
} from './facts.ts'
import { linkFewImages } from './few-images.ts'

const usage = `experiment presets --data DIR (with train/ and test/) [--out DIR] [--preset NAME …] [--images N]
  --preset      default: all that take photographs of at most 64 × 64 pixels
  --images      that each training sees (20000)
  --judged      training images that encoders are judged with, and a fifth as many test images (10000)
  --model       KEY=PATH of another model for presets that need one, such as target.tokenizer=runs/vqkd; may be repeated
  --threads     of training (2)
  --set         a further key of every training; may be repeated`

/** Pixels of a side; larger ones take hours. */
const LARGEST = 64

interface Result {
  readonly format: 'sherd-presets/1'
  readonly preset: string
  readonly set: readonly string[]
  readonly images: number
  readonly loss: Progress['loss']
  readonly imagesPerSecond: Progress['imagesPerSecond']
  readonly precision: string
  readonly threads: number
  /** Of its last step. */
  readonly last: Readonly<Record<string, unknown>>
  /** Null where there is no encoder that gives features. */
  readonly judged: {
    /** Of the encoder, and of the same network with random weights. */
    readonly top1: Readonly<Record<'knn' | 'linear', { readonly own: number; readonly random: number }>>
    readonly reports: Readonly<Record<'knn' | 'linear', KeptReport>>
  } | null
  readonly commit: string
  readonly machine: string
  readonly date: string
}

/** As far as the preset itself says it. */
function shapeOf(config: ConfigInput) {
  const { kind } = config.data ?? {}
  const { imageSize } = config.model ?? {}
  const sides = typeof imageSize === 'number' ? [imageSize] : (imageSize ?? [])
  return { isOfPhotographs: kind !== 'rasters', side: Math.max(...sides, 0) || Number.POSITIVE_INFINITY }
}

/** Those of the given models that the preset names itself, or asks for. */
function neededOf(config: ConfigInput, models: readonly string[]): string[] {
  const keyOf = (model: string) => model.split('=')[0]!
  const isNamed = (model: string) => {
    const [group, key] = keyOf(model).split('.') as [keyof ConfigInput, string]
    return (config[group] as Readonly<Record<string, unknown>> | undefined)?.[key] !== undefined
  }
  try {
    resolveConfig(config)
    return models.filter(isNamed)
  } catch (error) {
    return models.filter((model) => isNamed(model) || messageOf(error).includes(`${keyOf(model)}:`))
  }
}

const bothOf = (report: FeatureReport) => {
  const { random } = report
  return { own: topOf(report), random: random!.rows[random!.chosen.at(-1)!]!.top1.mean }
}

export function presetsMarkdown(results: readonly Result[]): string {
  const pair = (judged: Result['judged'], measure: 'knn' | 'linear') =>
    judged && `${percent(judged.top1[measure].own)} (random ${percent(judged.top1[measure].random)})`
  return tableOf(results, [
    ['preset', ({ preset }) => preset],
    ['images seen', ({ images }) => images.toLocaleString('en-GB')],
    ['loss, first → last', ({ loss }) => `${loss[0].toFixed(3)} → ${loss[1].toFixed(3)}`],
    ['nearest neighbours', ({ judged }) => pair(judged, 'knn')],
    ['linear probe', ({ judged }) => pair(judged, 'linear')],
    ['commit', ({ commit }) => commit],
    ['date', ({ date }) => date.slice(0, 10)],
  ])
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string' },
      out: { type: 'string', default: 'runs/experiment-presets' },
      preset: { type: 'string', multiple: true, default: [] },
      images: { type: 'string', default: '20000' },
      judged: { type: 'string', default: '10000' },
      model: { type: 'string', multiple: true, default: [] },
      threads: { type: 'string', default: '2' },
      set: { type: 'string', multiple: true, default: [] },
    },
  })
  const [images, judged, threads] = [values.images, values.judged, values.threads].map(Number) as [
    number,
    number,
    number,
  ]
  if (!values.data || ![images, judged, threads].every((n) => n > 0)) {
    console.error(usage)
    process.exit(2)
  }
  const [data, out] = [resolve(values.data), resolve(values.out)]
  const at = (...parts: string[]) => join(out, ...parts)
  mkdirSync(out, { recursive: true })
  const small = presetNames.filter((name) => {
    const { isOfPhotographs, side } = shapeOf(presetOf(name).config)
    return isOfPhotographs && side <= LARGEST
  })
  const names = values.preset.length > 0 ? values.preset : small
  for (const [part, count] of [
    ['train', judged],
    ['test', judged / 5],
  ] as const) {
    const { files } = await openImageFolder(join(data, part))
    const every = Math.max(1, Math.floor(files.length / count))
    await linkFewImages(join(data, part), at('images', part), every)
  }
  const results: Result[] = []
  for (const preset of names) {
    const path = at(preset, 'result.json')
    if (!existsSync(path)) {
      const { config } = presetOf(preset)
      const own = [`train.threads=${threads}`, ...values.set]
      const given = [...own, ...neededOf(config, values.model)].flatMap((each) => ['--set', each])
      const batch = Number(
        own.findLast((key) => key.startsWith('train.batchSize='))?.split('=')[1] ??
          config.train?.batchSize ??
          64,
      )
      const effective = batch * (config.train?.accumulate ?? 1)
      const steps = Math.max(1, Math.round(images / effective))
      const run = at(preset, 'run')
      pretrain(run, ['--steps', String(steps)], preset, '--data', join(data, 'train'), ...given)
      const judge = () => {
        const { knn, linear } = frozenReports(
          ...([at(preset, 'reports'), '--model', run, '--data', at('images')] as const),
          ...['--seeds', '1', '--shots', '10%'],
        )
        return {
          top1: { knn: bothOf(knn as FeatureReport), linear: bothOf(linear as FeatureReport) },
          reports: { knn: kept(knn, out), linear: kept(linear, out) },
        }
      }
      const result: Result = {
        ...{ format: 'sherd-presets/1', preset, set: values.set, images: steps * effective },
        ...{ ...progressOf(run), ...engineOf(run) },
        last: lastMetrics(run),
        judged: config.objective === 'vq-pixels' ? null : judge(),
        ...provenance(),
      }
      writeFileSync(path, `${JSON.stringify(result)}\n`)
    }
    results.push(readJson<Result>(path))
    writeFileSync(at('table.md'), `${presetsMarkdown(results)}\n`)
  }
  console.log(presetsMarkdown(results))
}
