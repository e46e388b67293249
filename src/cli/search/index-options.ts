/** Options and output of the commands that read an index. */
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { interrupted, SherdError } from '../../errors.ts'
import { expectFree } from '../../files/claim.ts'
import { makeFolder, writeWhole } from '../../files/write-whole.ts'
import type { PrecisionName } from '../../machine/plan.ts'
import type { ImageIndex, IndexFacts } from '../../search/index-folder.ts'
import type { ImageSize } from '../../weights/image-size.ts'
import { ending } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { warn } from '../output.ts'
import { counting } from '../progress.ts'
import { stopSignal } from '../signals.ts'

export interface IndexFlags {
  readonly index: string
  readonly exact?: boolean
  readonly out?: string
  readonly csv?: string
  readonly overwrite?: boolean
  readonly json?: boolean
}

export const addIndexOptions = (command: Command): Command =>
  command
    .requiredOption('--index <dir>', 'what "sherd index" has made')
    .option('--exact', 'compare every vector, though the index has a graph')
    .option('--out <file>', 'a contact sheet, .png', ending('.png'))
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')

/** Files that are there are refused before anything is computed. */
export async function openFlagged({
  index,
  exact = false,
  out,
  csv,
  overwrite,
}: IndexFlags): Promise<ImageIndex> {
  for (const path of [out, csv]) if (path !== undefined) expectFree(path, overwrite)
  const { openIndex } = await import('../../search/index-folder.ts')
  const opened = await openIndex(index, { exact })
  await warnOfModel(opened.facts)
  const recall = opened.facts.graph?.recall ?? 1
  if (!opened.isExact && recall < 0.95)
    warn(
      `the graph of ${index} finds ${(100 * recall).toFixed(1)} % of the ten nearest only: --exact finds all.`,
    )
  return opened
}

/** Says what an index by a model that has learned little is good for. */
export async function warnOfModel(facts: Pick<IndexFacts, 'model'>): Promise<void> {
  const { hardlyTrained } = await import('../../search/hardly-trained.ts')
  const model = hardlyTrained(facts)
  if (model)
    warn(
      `the vectors are of a model ${model}: images are alike to it in colour and brightness, hardly in what they show.`,
    )
}

/** The precision of new vectors: as requested, else that of the index; of an exported file, its own. */
export function indexPrecision(
  { facts }: ImageIndex,
  model: string,
  { precision }: { readonly precision?: PrecisionName | undefined },
): { readonly precision?: PrecisionName } {
  if (precision !== undefined) return { precision }
  const own = facts.model?.precision
  const isKnown = own === 'fp32' || own === 'bf16'
  return isKnown && !model.toLowerCase().endsWith('.onnx') ? { precision: own } : {}
}

/** The size of the images of new vectors: that of the index. Throws `USAGE` for another one. */
export function indexSize(
  { dir, facts: { source } }: ImageIndex,
  { imageSize }: { readonly imageSize?: ImageSize | undefined },
): { readonly imageSize?: ImageSize } {
  const own = source?.size
  if (!own || own.includes(0)) return imageSize ? { imageSize } : {}
  if (source.maxPatches !== null) {
    if (!imageSize) return {}
    throw new SherdError(
      'USAGE',
      `${dir} holds vectors of images that keep their shape, in up to ${source.maxPatches} patches: leave --image-size out.`,
    )
  }
  if (imageSize && imageSize.join() !== own.join())
    throw new SherdError(
      'USAGE',
      `${dir} holds vectors of images of ${own.join(' × ')} pixels: leave --image-size out.`,
    )
  return { imageSize: own }
}

/** Writes a file, making its folder, and returns the absolute path. */
export function writeResult(path: string, data: string | Uint8Array): string {
  const full = resolve(path)
  makeFolder(dirname(full))
  writeWhole(full, data)
  return full
}

/** Progress of work on the images of an index, which Ctrl-C stops. Nothing is written before it is done. */
export function watched(doing: string, unit = 'images'): (done: number, of: number) => void {
  const show = counting(doing, unit)
  const signal = stopSignal('stopping')
  return (done, of) => {
    if (signal.aborted) throw interrupted({ done, of, unit, continues: false })
    show(done, of)
  }
}
