/** A file of rasters, whatever its format: what it holds, and windows of its bands as numbers with NaN for no data. */
import type { Box, Size } from '../box.ts'
import type { BlockCache } from './block-cache.ts'
import type { Grid } from './georeference.ts'
import type { Values } from './sample-type.ts'

/** Where the numbers of one band of one frame are. */
export interface BandPlace {
  /** Path below the source's folder, with `/`. */
  readonly file: string
  /** From 0, in the file or member. */
  readonly band: number
  /** Of an `.npz`. */
  readonly member?: string
  /** From 0, of an array of many samples. */
  readonly item?: number
  /** From 0, of an array of many frames. */
  readonly frame?: number
  /** Whether its rows are brought into the reverse order, so that they run as those of the other files. */
  readonly isUpsideDown?: boolean
}

export interface RasterFrame {
  /** Milliseconds since 1970, UTC; null when it is not known. */
  readonly time: number | null
  /** One for each of the bands that are used; shared by the samples of an array. */
  readonly bands: readonly BandPlace[]
  /** Which of an array's samples and frames, where it has such axes. */
  readonly item?: number
  readonly frame?: number
}

export interface Layer extends Size {
  /** As the file has it; null when it does not say. */
  readonly name: string | null
  /** Whether the name is one that was given and not only a colour that is assumed for the first three bands. */
  readonly isNamed: boolean
  readonly band: number
  readonly member?: string
  /** The length of its axis of frames; null where there is none. */
  readonly frames: number | null
  /** Says where the others have data, and is no band that was measured. */
  readonly isAlpha?: boolean
  /** The file's own: its values times `scale`, plus `offset`, are in the unit that is meant. */
  readonly scale?: number
  readonly offset?: number
}

export interface RasterContent {
  readonly layers: readonly Layer[]
  /** The length of the axis of samples; null where there is none. */
  readonly items: number | null
  /** Milliseconds since 1970; null when the file does not say. */
  readonly timeOf: (item: number, frame: number) => number | null
  readonly grid: Grid | null
  /** What to do where the number of its bands is not the expected one; null where nothing is known. */
  readonly advice?: string | null
}

export interface ReadOptions {
  /** What stands for no data, in place of what the file says; null: as it says. */
  readonly nodata: number | null
  /** Whether the file's own scale and offset are applied. */
  readonly applyScale?: boolean
}

export interface RasterFile {
  /** `frames`: whether arrays of four axes are samples (1) or the dates of one (more). */
  describe(frames: number): Promise<RasterContent>
  /** The size of a band. Throws when the file does not have it. */
  sizeOf(place: BandPlace): Size
  /** Whether a region of some bands is left out of the file: it then costs nothing to know that all its values are one. */
  isAbsent?(places: readonly BandPlace[], region: Box): boolean
  /** Reads a region of some bands, which must be of one size, with NaN for no data. */
  read(places: readonly BandPlace[], region: Box, options: ReadOptions): Promise<Float32Array[]>
  close(): Promise<void>
}

export interface RasterAccess {
  readonly path: string
  /** Decoded blocks. */
  readonly blocks: BlockCache<Values | null>
}
