/** Near-duplicates of an index, and which to keep. Nothing is ever removed. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { ReadingLimits } from '../config/reading.ts'
import { SherdError } from '../errors.ts'
import { defaultMaxPixels, sizeOfImage } from '../prepare/decode/decode.ts'
import { reasonOf } from '../prepare/decode/refused-file.ts'
import { quantile } from '../prepare/quantile.ts'
import { defaultMaxSkippedShare, skipLedger } from '../prepare/skipped.ts'
import { type Link, linksOf } from '../source/file-links.ts'
import { openImageFolder } from '../source/image-folder.ts'
import type { LinkedFolder } from '../source/list-files.ts'
import { isPack, openPack } from '../source/packed-images.ts'
import { hardlyTrained } from './hardly-trained.ts'
import { identicalFiles } from './identical-files.ts'
import type { ImageIndex } from './index-folder.ts'
import { type Crowding, crowdingOf } from './vectors/crowding.ts'
import { duplicateDefaults, duplicatesOf } from './vectors/duplicates.ts'
import { nearestSimilarities, neighbourhoodsOf } from './vectors/neighbourhoods.ts'

export interface Copy {
  readonly row: number
  readonly file: string
  /** Null if the image cannot be read. */
  readonly width: number | null
  readonly height: number | null
  readonly bytes: number | null
  /** Set if the file is a link. */
  readonly link: Link | null
  /** Most pixels, then most bytes, then the first that is not a link; never a link to another image of the group. */
  readonly keep: boolean
}

export interface DuplicateReport {
  readonly threshold: number
  readonly groups: readonly {
    /** Similarities of the least and the most similar pair in it. */
    readonly least: number
    readonly most: number
    readonly images: readonly Copy[]
  }[]
  readonly pairs: number
  /** Links to folders that the index already has: their images are not in it twice. */
  readonly linkedFolders: readonly LinkedFolder[]
  /** Whether every pair was found. */
  readonly isComplete: boolean
  /** Quantiles of the similarity of each image to its nearest neighbour. */
  readonly nearest: readonly { readonly share: number; readonly similarity: number }[]
  /** Number of images in groups at other thresholds. */
  readonly others: readonly { readonly threshold: number; readonly images: number }[]
  /** Set if the threshold does not tell copies from images that are merely alike: the groups mean nothing then. */
  readonly crowding: DuplicateCrowding | null
}

export interface DuplicateCrowding extends Crowding {
  /** The least threshold of some that tells them apart; null if none does. */
  readonly better: number | null
  /** What is known of the model, if it was hardly trained. */
  readonly model: string | null
  /** Groups of files with the same bytes; null if these cannot be compared. */
  readonly identical: readonly { readonly files: readonly string[] }[] | null
}

/** The first `most` of a group, always with the one to keep. */
export function shownOf(images: readonly Copy[], most: number): readonly Copy[] {
  const kept = images.findIndex(({ keep }) => keep)
  return kept < most ? images.slice(0, most) : [images[kept]!, ...images.slice(0, most - 1)]
}

const shares = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1] as const
const thresholds = [0.9, 0.95, 0.98, 0.99, 0.995, 0.999] as const

export interface DuplicateOptions {
  readonly threshold?: number
  /** For reading the sizes of images. */
  readonly reading?: ReadingLimits
  readonly onProgress?: (done: number, of: number) => void
}

/** Throws `VALUE` for a threshold outside −1 to 1, `DATA_BROKEN` when too many images cannot be read. */
export async function findDuplicates(
  index: ImageIndex,
  { threshold = duplicateDefaults.threshold, reading = {}, onProgress }: DuplicateOptions = {},
): Promise<DuplicateReport> {
  if (!(threshold > -1 && threshold <= 1))
    throw new SherdError('VALUE', `Expected a threshold of cosine similarity, up to 1, got ${threshold}.`)
  const { vectors, candidates, isExact, images } = index
  const neighbourhoods = await neighbourhoodsOf(vectors, candidates, duplicateDefaults.neighbours, (done) =>
    onProgress?.(done, vectors.count),
  )
  const asked = { candidates, neighbourhoods, isExact }
  const nearest32 = await duplicatesOf(vectors, { ...asked, threshold, most: 0 })
  const crowding = crowdingOf(vectors, nearest32.groups, threshold)
  // In a crowd everything is near, and millions of pairs say nothing.
  const found =
    crowding || !nearest32.isCut ? nearest32 : await duplicatesOf(vectors, { ...asked, threshold })
  const near = nearestSimilarities(neighbourhoods)
  const look = looker(index, reading)
  const groups = []
  for (const { rows, least, most } of found.groups) {
    const copies = []
    const links = linksIn(
      index,
      rows.map((row) => images[row]!.file),
    )
    for (const [i, row] of rows.entries())
      copies.push({ row, file: images[row]!.file, ...(await look(row)), link: links[i]! })
    const names = new Set(copies.map(({ file }) => file))
    const kept = bestOf(copies.filter(({ link }) => !link || !names.has(link.to)))
    groups.push({ least, most, images: copies.map((copy) => ({ ...copy, keep: copy === kept })) })
  }
  return {
    ...{ threshold, groups, pairs: found.pairs, isComplete: found.isComplete },
    crowding: crowding && {
      ...crowding,
      better: await betterThan(threshold),
      model: hardlyTrained(index.facts),
      identical: identicalFiles(index)?.map((files) => ({ files })) ?? null,
    },
    linkedFolders: await linkedFoldersOf(index),
    nearest: near.length === 0 ? [] : shares.map((share) => ({ share, similarity: quantile(near, share) })),
    others: thresholds.map((each) => ({
      threshold: each,
      images: near.filter((similarity) => similarity >= each).length,
    })),
  }

  async function betterThan(least: number): Promise<number | null> {
    for (const each of [...thresholds, 0.9995, 0.9999].filter((each) => each > least)) {
      const { groups } = await duplicatesOf(vectors, { ...asked, threshold: each, most: 0 })
      if (!crowdingOf(vectors, groups, each)) return groups.length > 0 ? each : null
    }
    return null
  }
}

type Looks = Pick<Copy, 'width' | 'height' | 'bytes'>

const isFolder = (dir: string) => statSync(dir, { throwIfNoEntry: false })?.isDirectory() ?? false

/** The folder of the index's images, if it exists. */
function folderOf({ facts: { source } }: ImageIndex): string | null {
  return source && !source.rasters && isFolder(source.dir) && !isPack(source.dir) ? source.dir : null
}

function linksIn(index: ImageIndex, files: readonly string[]): (Link | null)[] {
  const dir = folderOf(index)
  return dir === null ? files.map(() => null) : linksOf(dir, files)
}

async function linkedFoldersOf(index: ImageIndex): Promise<readonly LinkedFolder[]> {
  const dir = folderOf(index)
  if (dir === null) return []
  return (await openImageFolder(dir).catch(() => null))?.linkedFolders ?? [] // the folder may have changed since
}

/** Returns the function that reads an image's size, bytes and link without decoding it. */
function looker(
  index: ImageIndex,
  { maxPixels = defaultMaxPixels, maxSkippedShare = defaultMaxSkippedShare }: ReadingLimits,
): (row: number) => Promise<Looks> {
  const { facts, images } = index
  const nothing = { width: null, height: null, bytes: null }
  const { source } = facts
  if (!source || source.rasters) return async () => nothing
  const { dir } = source
  if (isPack(dir)) {
    const { files, pack } = openPack(dir)
    const places = new Map(files.map((file, i) => [file, i]))
    return async (row) => {
      const i = places.get(images[row]!.file)
      if (i === undefined) return nothing
      return { ...nothing, height: pack.shapes[2 * i]!, width: pack.shapes[2 * i + 1]! }
    }
  }
  if (folderOf(index) === null) return async () => nothing // removed since
  const ledger = skipLedger({ files: images.length, maxShare: maxSkippedShare }, () => {})
  return async (row) => {
    const { file } = images[row]!
    const path = join(dir, file)
    const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? null
    const size = await sizeOfImage(path, { minSide: 1, maxPixels }).catch((error: unknown) => {
      ledger.add({ file, reason: reasonOf(error) })
      return null
    })
    return { width: size?.width ?? null, height: size?.height ?? null, bytes }
  }
}

function bestOf<T extends Looks & Pick<Copy, 'link'>>(copies: readonly T[]): T | undefined {
  const pixels = ({ width, height }: Looks) => (width ?? 0) * (height ?? 0)
  const [best] = [...copies].sort(
    (a, b) =>
      pixels(b) - pixels(a) ||
      (b.bytes ?? 0) - (a.bytes ?? 0) ||
      Number(a.link !== null) - Number(b.link !== null), // a stable sort: else the first
  )
  return best && pixels(best) > 0 ? best : undefined
}
