/** The interface of raster files of any format: contents, and windows of bands as numbers with NaN for no data. */
import type { Box, Size } from '../box.ts'
import type { BlockCache } from './block-cache.ts'
import type { Grid } from './georeference.ts'
import type { Values } from './sample-type.ts'

/** Location of one band of one frame. */
export interface BandPlace {
  /** Path below the source's folder, with `/`. */
  readonly file: string
  /** From 0, in the file or member. */
  readonly band: number
  /** Of an `.npz`. */
  readonly member?: string
  /** From 0, in an array of samples. */
  readonly item?: number
  /** From 0, in an array of frames. */
  readonly frame?: number
  /** Whether its rows are reversed, to match the other files. */
  readonly isUpsideDown?: boolean
}

export interface RasterFrame {
  /** Milliseconds since 1970, UTC; null if unknown. */
  readonly time: number | null
  /** One for each requested band; shared by the samples of an array. */
  readonly bands: readonly BandPlace[]
  /** Index into an array's axes of samples and frames, if it has them. */
  readonly item?: number
  readonly frame?: number
}

export interface Layer extends Size {
  /** As in the file; null if not stated. */
  readonly name: string | null
  /** False for the colours that are assumed for the first three bands. */
  readonly isNamed: boolean
  readonly band: number
  readonly member?: string
  /** Length of the axis of frames; null if there is none. */
  readonly frames: number | null
  /** A mask of the other bands. */
  readonly isAlpha?: boolean
  /** Of the file: values · `scale` + `offset` are in physical units. */
  readonly scale?: number
  readonly offset?: number
}

/** How a file stores its pixels, for descriptions. */
export interface RasterStorage {
  /** Such as `uint16`. */
  readonly type: string
  /** Null if not stated, NaN if it is not a number. */
  readonly nodata: number | null
  /** What else says where there are no data; null if nothing does. */
  readonly mask: string | null
  /** Width and height of the tiles or strips; null for whole arrays. */
  readonly block: readonly [number, number] | null
  readonly isTiled: boolean
  readonly overviews: number
}

export interface RasterContent {
  readonly layers: readonly Layer[]
  /** Length of the axis of samples; null if there is none. */
  readonly items: number | null
  /** Milliseconds since 1970; null if not stated. */
  readonly timeOf: (item: number, frame: number) => number | null
  readonly grid: Grid | null
  readonly storage: RasterStorage | null
  /** Advice for an unexpected number of bands, if any. */
  readonly advice?: string | null
}

export interface ReadOptions {
  /** Overrides the file's no-data value; null: as in the file. */
  readonly nodata: number | null
  /** Whether the file's own scale and offset are applied. */
  readonly applyScale?: boolean
}

export interface RasterFile {
  /** `frames`: with 1 the first of four axes is samples, else dates. */
  describe(frames: number): Promise<RasterContent>
  /** Throws if the file lacks the band. */
  sizeOf(place: BandPlace): Size
  /** Whether a region is not stored in the file (sparse blocks), and so is constant. */
  isAbsent?(places: readonly BandPlace[], region: Box): boolean
  /** Reads a region of bands of equal size, with NaN for no data. */
  read(places: readonly BandPlace[], region: Box, options: ReadOptions): Promise<Float32Array[]>
  close(): Promise<void>
}

export interface RasterAccess {
  readonly path: string
  readonly blocks: BlockCache<Values | null>
}
