/** Looks at images of a folder, or at files, and writes what is seen: what `sherd look` does. */
import { readingConfig } from '../config/reading.ts'
import { loadExhibit } from '../run/pictures.ts'
import { expectOneLength } from '../weights/folder-features.ts'
import { featureSpecs } from '../weights/frozen-encoder.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { type Look, type LookOptions, lookAt } from './look.ts'
import { attendingText } from './pictures.ts'
import { expectRoom } from './room.ts'
import { shownImages } from './shown-images.ts'
import { writeLook } from './write-look.ts'

export interface DrawLookOptions extends Omit<LookOptions, 'onProgress'> {
  /** One folder, or files. */
  readonly images: readonly string[]
  /** Default: 8 of a folder, all files. */
  readonly count?: number | undefined
  /** Of each part of the work. */
  readonly onProgress?:
    | ((doing: 'reading' | 'looking' | 'drawing', done: number, of: number) => void)
    | undefined
}

interface PlacedPatch {
  readonly file: string
  readonly row: number
  readonly column: number
}

export interface LookReport {
  /** Names below the folder. */
  readonly files: readonly string[]
  readonly images: number
  /** Rows and columns. */
  readonly grid: readonly [number, number]
  readonly heads: number
  readonly attention: Look['attention']
  /** The same in words. */
  readonly whose: string
  /** Mean share of attention that falls on cls tokens and registers. */
  readonly onPrefix: number
  readonly explained: readonly number[]
  readonly patch: PlacedPatch
  /** The most similar other patch; null if there is none. */
  readonly nearest: (PlacedPatch & { readonly similarity: number }) | null
  readonly precision: string
}

/** Writes into the folder `dir`. Throws as `lookAt`, `loadExhibit` and `shownImages`, and `USAGE` for images of sizes of their own. */
export async function drawLook(
  dir: string,
  encoder: OpenedEncoder,
  { images, count, onProgress, ...options }: DrawLookOptions,
): Promise<LookReport> {
  expectOneLength(encoder.config, featureSpecs(encoder, ['patches']))
  const config = readingConfig(encoder)
  const { source, usual } = await shownImages(config, images)
  const { signal } = options
  const shown = Math.min(count ?? usual, source.files.length)
  expectRoom(encoder, shown)
  const exhibit = await loadExhibit(config, source, shown, {
    ...{ onProgress: (done, of) => onProgress?.('reading', done, of), signal },
  })
  const look = await lookAt(encoder, exhibit, {
    ...options,
    onProgress: (done, of) => onProgress?.('looking', done, of),
  })
  const { origin, dimensions } = encoder
  const facts = { model: origin, imageSize: dimensions.imageSize, patchIsGiven: options.patch !== undefined }
  const files = await writeLook(dir, look, exhibit, {
    ...{ ...facts, signal },
    onProgress: (done, of) => onProgress?.('drawing', done, of),
  })
  const of = look.images.length
  const { grid, attention, explained, chosen } = look
  const at = (place: number) => ({ row: Math.floor(place / grid.w), column: place % grid.w })
  const shares = look.images.flatMap((image) => image.attention.map(({ prefix }) => prefix))
  const near = look.images.flatMap(({ file, nearest }) =>
    nearest.map(({ place, similarity }) => ({ file, ...at(place), similarity })),
  )
  return {
    ...{ files, images: of, grid: [grid.h, grid.w], heads: look.images[0]!.attention.length },
    ...{ attention: { of: attention.of, block: attention.block }, whose: attendingText(look) },
    onPrefix: shares.reduce((sum, share) => sum + share, 0) / shares.length,
    explained,
    patch: { file: exhibit.names[0]!, ...at(chosen) },
    nearest: near.reduce<LookReport['nearest']>(
      (best, each) => (best && best.similarity >= each.similarity ? best : each),
      null,
    ),
    precision: origin.precision,
  }
}
