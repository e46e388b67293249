/** Packs, indices and files of features. */
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { openBytes } from '../files/byte-file.ts'
import { npyHead, npyHeadBytes } from '../files/npy.ts'
import { quoted } from '../files/shell.ts'
import { openIndex } from '../search/index-folder.ts'
import { openPack } from '../source/packed-images.ts'
import { classRows } from './classes.ts'
import { bytesOf, countOf, type Description, grouped, sized } from './inspected.ts'

export async function describePack(path: string): Promise<Description> {
  const { files, classes, labels, pack } = openPack(path)
  const { shapes, offsets, channels } = pack
  const sides = Array.from({ length: files.length }, (_, i) => [shapes[2 * i + 1]!, shapes[2 * i]!] as const)
  const byArea = sides.toSorted((a, b) => a[0] * a[1] - b[0] * b[1])
  return {
    ...{ title: 'packed images', reason: null },
    rows: [
      [
        'images',
        `${countOf(files.length, 'image')} of ${countOf(channels, 'channel')}, ${bytesOf(offsets.at(-1)!)}`,
      ],
      [
        'sizes',
        byArea[0]!.join() === byArea.at(-1)!.join()
          ? `all ${sized(...byArea[0]!)} pixels`
          : `${sized(...byArea[0]!)} to ${sized(...byArea.at(-1)!)} pixels`,
      ],
      ...classRows(classes, labels),
    ],
    facts: { images: files.length, channels, bytes: offsets.at(-1)!, classes },
    ...{
      notes: [],
      next: [`sherd pretrain --data ${quoted(path)} --out runs/mine`, `sherd pack --check ${quoted(path)}`],
    },
  }
}

export async function describeIndex(path: string): Promise<Description> {
  const index = await openIndex(path, { exact: true })
  await index.close()
  const { facts, images, skipped } = index
  const { model, source, width, pooling, classes, graph } = facts
  return {
    ...{ title: 'index of images', reason: null },
    rows: [
      [
        'images',
        `${countOf(images.length, 'image')}${skipped.length > 0 ? `, ${grouped(skipped.length)} left out` : ''}, vectors of ${width} numbers (${pooling})`,
      ],
      ...(source ? [['of', source.dir] as const] : []),
      ...(model
        ? [['model', `${model.path}${model.step === null ? '' : `, step ${grouped(model.step)}`}`] as const]
        : []),
      ['search', graph ? `approximate, by a graph (recall ${graph.recall})` : 'exact'],
      ...classRows(classes, null),
    ],
    facts: {
      images: images.length,
      skipped: skipped.length,
      width,
      pooling,
      model,
      source,
      classes,
      search: graph ? 'approximate' : 'exact',
    },
    ...{
      notes: [],
      next: [
        `sherd search IMAGE --index ${quoted(path)} --out found.png`,
        `sherd duplicates --index ${quoted(path)}`,
      ],
    },
  }
}

const besideSchema = z.object({
  format: z.literal('sherd-features/1'),
  model: z.object({ path: z.string(), step: z.number().nullable(), precision: z.string() }),
  pooling: z.union([z.string(), z.array(z.string())]),
  dir: z.string(),
  classes: z.array(z.string()),
  images: z.array(z.unknown()),
  skipped: z.array(z.unknown()).optional(),
})

const MOST_BYTES = 1e9
const besideOf = (path: string) => path.replace(/\.(?:npy|safetensors)$/i, '.json')

/** What stands beside a file of features of `sherd embed`; null where it is none. */
export function featuresBeside(path: string): z.infer<typeof besideSchema> | null {
  const beside = besideOf(path)
  const status = beside === path ? undefined : statSync(beside, { throwIfNoEntry: false })
  if (!status?.isFile() || status.size > MOST_BYTES) return null
  try {
    return besideSchema.parse(JSON.parse(readFileSync(beside, 'utf8')))
  } catch {
    return null
  }
}

export async function describeFeatures(path: string): Promise<Description> {
  const { model, pooling, dir, classes, images, skipped = [] } = featuresBeside(path)!
  const shape = /\.npy$/i.test(path) ? await shapeOf(path) : null
  const poolings = [pooling].flat().join(', ')
  const isOther = shape !== null && shape[0] !== images.length
  return {
    title: 'features of images',
    reason: isOther ? `it has ${shape[0]} rows, and the file beside it names ${images.length} images` : null,
    rows: [
      [
        'images',
        `${countOf(images.length, 'image')} of ${dir}${skipped.length > 0 ? `, ${grouped(skipped.length)} left out` : ''}`,
      ],
      ['features', `${shape ? `${shape[1]} numbers each, ` : ''}${poolings}`],
      [
        'model',
        `${model.path}${model.step === null ? '' : `, step ${grouped(model.step)}`}, ${model.precision}`,
      ],
      ...classRows(classes, null),
    ],
    facts: { images: images.length, skipped: skipped.length, shape, pooling, model, dir, classes },
    ...{ notes: [], next: [`sherd index --features ${quoted(path)} --out index`] },
  }
}

async function shapeOf(path: string): Promise<readonly number[]> {
  const file = await openBytes(path)
  try {
    return npyHead(await file.read(0, Math.min(file.size, npyHeadBytes))).shape
  } finally {
    await file.close()
  }
}
