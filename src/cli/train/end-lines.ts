/** What a run has come to: time, rate, loss, files with their sizes, and the commands that follow. */
import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative } from 'node:path'
import type { Yield } from '../../config/in-words.ts'
import type { EndEvent, StartEvent } from '../../run/events.ts'
import { duration, grouped, many, threeDigits } from '../output.ts'
import { ownName, quoted } from '../own-name.ts'

/** A path below the current folder as users write it. */
export function shortPath(path: string): string {
  const from = relative(process.cwd(), path)
  return from === '' || from.startsWith('..') || isAbsolute(from) ? path : from
}

/** Bytes of a file, or of all files below a folder; 0 for what is gone. */
function bytesOf(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found?.isDirectory()) return found?.size ?? 0
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0)
}

/** `81 kB`, `2.3 GB`. */
export function inBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [bytes, 0]
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? value : threeDigits(value)} ${units[unit]}`
}

/** Facts of the end, for standard error. */
export function endFacts(event: EndEvent, { metrics }: Pick<StartEvent, 'metrics'>): string[] {
  const { reason, step, totalSteps, seconds, imagesPerSecond, loss, firstLoss, skipped } = event
  const steps =
    reason === 'completed' ? many(step, 'step') : `step ${grouped(step)} of ${grouped(totalSteps)}`
  const time = seconds === null ? '' : ` ${reason === 'completed' ? 'in' : 'after'} ${duration(seconds)}`
  const rate = imagesPerSecond === null ? '' : `, ${threeDigits(imagesPerSecond)} images/s on average`
  const files = skipped > 0 ? `; ${many(skipped, 'file')} skipped, listed in skipped.jsonl` : ''
  return [
    `${reason === 'completed' ? 'completed' : 'interrupted at'} ${steps}${time}${rate}${files}`,
    ...(loss === null ? [] : [lossLine(loss, firstLoss, metrics)]),
  ]
}

function lossLine(loss: number, first: number | null, metrics: StartEvent['metrics']): string {
  const { chance, chanceOf } = metrics.find(({ name }) => name === 'loss') ?? {}
  const from = first === null || first === loss ? '' : `, from ${first.toFixed(4)} at the beginning`
  const nothing =
    typeof chance === 'number' ? `; where nothing is learned (${chanceOf}) it is ${chance.toFixed(4)}` : ''
  return `loss ${loss.toFixed(4)}${from}${nothing}`
}

/** What was written, with sizes, for standard output. */
export function writtenLines({ checkpoint, picture, lossCurve }: EndEvent): string[] {
  const rows = { checkpoint, reconstruction: picture, 'loss curve': lossCurve }
  return Object.entries(rows).flatMap(([name, path]) =>
    path === null ? [] : [`${name}: ${path} (${inBytes(bytesOf(path))})`],
  )
}

export const continuing = (run: string): string =>
  `${ownName()} pretrain --out ${quoted(shortPath(run))} --resume`

export interface Next {
  readonly what: string
  /** Without a comment: not every shell takes one. */
  readonly command: string
}

/** What a user may want next of a model that yields this. */
export function nextCommands(
  { run, data, classes }: Pick<StartEvent, 'run' | 'data' | 'classes'>,
  yields: readonly Yield[] = ['features'],
): Next[] {
  const [model, images] = [quoted(shortPath(run)), quoted(shortPath(data))]
  const beside = (ending: string) => quoted(shortPath(join(dirname(run), `${basename(run)}${ending}`)))
  const [features, codes] = [yields.includes('features'), yields.includes('codes')]
  const all: [string, string, boolean][] = [
    [
      `how well its features tell ${grouped(classes)} classes apart`,
      `evaluate linear --model ${model} --data ${images} --out ${beside('-linear')}`,
      features && classes > 1,
    ],
    ['see what it predicts', `reconstruct --model ${model} --data ${images} --out ${beside('.png')}`, true],
    ['write the codes of images', `tokenize ${images} --model ${model} --out ${beside('.npy')}`, codes],
    [
      'predict its codes (objective=beit is one of those that do)',
      `pretrain PRESET --set objective=beit --set target.tokenizer=${model} --data ${images} --out ${beside('-beit')}`,
      codes,
    ],
    [
      'search, find duplicates and outliers',
      `index ${images} --model ${model} --out ${beside('-index')}`,
      features,
    ],
    ['use it in other programs', `export onnx --model ${model} --out ${beside('.onnx')}`, true],
  ]
  const rows = all.flatMap(([what, command, isFit]) => (isFit ? [[what, command] as const] : []))
  return rows.map(([what, command]) => ({ what, command: `${ownName()} ${command}` }))
}
