/** Packs, indices and files of features. */
import { closeSync, readSync } from 'node:fs'
import { preparationLine } from '../config/preparation.ts'
import { namesBeside } from '../evaluate/feature-file.ts'
import { openGiven } from '../files/regular-file.ts'
import { quoted } from '../files/shell.ts'
import { openIndex } from '../search/index-folder.ts'
import { readFeatures } from '../search/read-features.ts'
import { openPack } from '../source/packed-images.ts'
import { classRows } from './classes.ts'
import { bytesOf, countOf, type Description, describe, grouped, rowsOf, sized } from './inspected.ts'

export async function describePack(path: string): Promise<Description> {
  const { files, classes, labels, pack } = openPack(path)
  const { shapes, offsets, channels } = pack
  const sides = Array.from({ length: files.length }, (_, i) => [shapes[2 * i + 1]!, shapes[2 * i]!] as const)
  const byArea = sides.toSorted((a, b) => a[0] * a[1] - b[0] * b[1])
  const [least, most] = [sized(...byArea[0]!), sized(...byArea.at(-1)!)]
  const bytes = offsets.at(-1)!
  return describe('packed images', {
    rows: [
      ['images', `${countOf(files.length, 'image')} of ${countOf(channels, 'channel')}, ${bytesOf(bytes)}`],
      ['sizes', least === most ? `all ${least} pixels` : `${least} to ${most} pixels`],
      ...classRows(classes, labels),
    ],
    facts: { images: files.length, channels, bytes, classes },
    next: [`sherd pretrain --data ${quoted(path)} --out runs/mine`, `sherd pack --check ${quoted(path)}`],
  })
}

/** A model as features and indices name theirs. */
const nameOf = ({ path, step }: { readonly path: string; readonly step: number | null }) =>
  `${path}${step === null ? '' : `, step ${grouped(step)}`}`

export async function describeIndex(path: string): Promise<Description> {
  const index = await openIndex(path, { exact: true })
  await index.close()
  const { facts, images, skipped } = index
  const { model, source, width, pooling, classes, graph, preparation } = facts
  const leftOut = skipped.length > 0 ? `, ${grouped(skipped.length)} left out` : ''
  return describe('index of images', {
    rows: rowsOf(
      ['images', `${countOf(images.length, 'image')}${leftOut}, vectors of ${width} numbers (${pooling})`],
      source && ['of', source.dir],
      model && ['model', `${nameOf(model)}${model.precision ? `, in ${model.precision}` : ''}`],
      ['prepared', preparation ? preparationLine(preparation) : 'not said'],
      ['search', graph ? `approximate, by a graph (recall ${graph.recall})` : 'exact'],
      ...classRows(classes, null),
    ),
    facts: {
      ...{
        images: images.length,
        skipped: skipped.length,
        width,
        pooling,
        model,
        preparation,
        source,
        classes,
      },
      search: graph ? 'approximate' : 'exact',
    },
    next: [
      `sherd search IMAGE --index ${quoted(path)} --out found.png`,
      `sherd duplicates --index ${quoted(path)}`,
    ],
  })
}

const MOST_START = 4096
const FORMAT = 'sherd-features/1'

/** Whether the names of images stand beside it, as `sherd embed` writes them. */
export function isFeatures(path: string): boolean {
  if (!/\.(?:npy|safetensors)$/i.test(path)) return false
  try {
    const file = openGiven(namesBeside(path))
    try {
      const start = Buffer.alloc(MOST_START)
      return start.toString('utf8', 0, readSync(file, start, 0, MOST_START, 0)).includes(`"${FORMAT}"`)
    } finally {
      closeSync(file)
    }
  } catch {
    return false
  }
}

export async function describeFeatures(path: string): Promise<Description> {
  const { vectors, pooling, names } = readFeatures(path)
  const { model, dir, classes, images } = names!
  return describe('features of images', {
    rows: [
      ['images', `${countOf(images.length, 'image')} of ${dir}`],
      ['features', `${vectors.width} numbers each (${[names!.pooling].flat().join(', ')})`],
      ['model', `${nameOf(model)}${model.precision ? `, ${model.precision}` : ''}`],
      ...classRows(classes, null),
    ],
    facts: { images: images.length, width: vectors.width, pooling, model, dir, classes },
    next: [`sherd index --features ${quoted(path)} --out index`],
  })
}
