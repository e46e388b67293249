/**
 * Loads the addon that reads, decodes and resizes images (`native/pixels`), compiling it if it is missing. It needs no LibTorch
 * and is optional: without it sharp and TypeScript do the same, more slowly. The only file that loads its binary.
 */
import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import { type AddonBuild, addonFlags, type Build, compileAddon, isCompiled, planBuild } from './compile.ts'

/** A file in the addon's memory. */
declare const imageFile: unique symbol
export type ImageFile = { readonly [imageFile]: true }
/** Memory-mapped files. */
declare const mappedFiles: unique symbol
export type MappedFiles = { readonly [mappedFiles]: true }

/** A JPEG that the addon can decode: 8 bits, one or three channels, upright, without a colour profile. */
export interface PlainJpeg {
  readonly width: number
  readonly height: number
  readonly file: ImageFile
}

/** `failed`: cannot be decoded here. `damage`: libjpeg's warning about data that it decoded. */
export type JpegOutcome = 'decoded' | 'failed' | 'late' | { readonly damage: string }

/** `placeNumbers` of prepare/decode/resample-pixels.ts. */
export type PlaceNumbers = Float64Array

/** What `native/pixels/pixels.cc` exports. Pixels are interleaved bytes; 3 channels become 1 by luma. */
export interface PixelsAddon {
  /** Version of libjpeg-turbo; null if compiled without. */
  readonly jpeg: string | null
  resize(
    pixels: Uint8Array,
    width: number,
    height: number,
    channels: number,
    place: PlaceNumbers,
    targetWidth: number,
    targetHeight: number,
    targetChannels: number,
    out: Uint8Array,
  ): void
  /**
   * Files other than plain JPEGs are returned as bytes; null if unreadable or longer than `mostBytes`. Of large files returns
   * only the first ones, at least one. `at` gets the index of the file being read.
   */
  readImages(
    paths: readonly string[],
    mostBytes: number,
    at: Int32Array,
  ): Promise<(PlainJpeg | Uint8Array | null)[]>
  /** From memory, which is copied; null for anything but a plain JPEG. */
  openImage(bytes: Uint8Array): PlainJpeg | null
  /** In another thread, as a promise, if it `isLarge`. The file cannot be used again. `timeLimit` in ms. */
  decodeJpeg(
    file: ImageFile,
    place: PlaceNumbers,
    targetWidth: number,
    targetHeight: number,
    targetChannels: number,
    out: Uint8Array,
    maxReduction: number,
    isLarge: boolean,
    keepsDamaged: boolean,
    timeLimit: number,
  ): JpegOutcome | Promise<JpegOutcome>
  /** Ends the process at once, without waiting for its threads. */
  quit(status: number): never
  /** false: portable code, with the same results. */
  useVectors(on: boolean): void
  /** Files by their paths, or the bytes of one in memory, which must not be written to meanwhile. */
  map(files: readonly (string | Uint8Array)[]): MappedFiles
  /** No crop may follow. */
  unmap(files: MappedFiles): void
  /** `rows`: file, offset, width, height, the numbers of its place, and its row in `out`, of each sample. */
  cropBatch(
    files: MappedFiles,
    rows: Float64Array,
    channels: number,
    targetWidth: number,
    targetHeight: number,
    targetChannels: number,
    out: Uint8Array,
    threads: number,
  ): void
}

/** Possible locations of libjpeg-turbo's header and library. */
const jpegPlaces = [
  { header: '/usr/include/jpeglib.h', flags: [] },
  ...['/opt/homebrew/opt/jpeg-turbo', '/usr/local/opt/jpeg-turbo', '/usr/local'].map((dir) => ({
    header: join(dir, 'include/jpeglib.h'),
    flags: [`-I${join(dir, 'include')}`, `-L${join(dir, 'lib')}`, `-Wl,-rpath,${join(dir, 'lib')}`],
  })),
]

/** Debian's package of the header. Without it JPEG files are decoded by sharp. */
export const jpegPackage = 'libjpeg-dev'

const jpegPlace = () => jpegPlaces.find(({ header }) => existsSync(header))

export const hasJpegHeader = (): boolean => jpegPlace() !== undefined

/** One for other machines looks for libjpeg beside itself, too: they may not have it, or another version. */
export function planPixels(build: Build = 'any'): AddonBuild {
  const jpeg = jpegPlace()
  return planBuild({
    name: 'pixels',
    dir: join(packageRoot(), 'native', 'pixels'),
    sources: ['pixels.cc'],
    flags: [
      '-std=c++17',
      ...addonFlags(),
      // Resampling weights must be bitwise equal on all machines.
      ...['-ffp-contract=off', '-pthread'],
      ...(jpeg ? ['-DSHERD_JPEG=1', ...jpeg.flags, '-ljpeg'] : []),
      ...(build === 'prebuilt' ? ['-Wl,-rpath,$ORIGIN'] : []),
    ],
    inputs: jpeg ? statSync(jpeg.header).mtimeMs : null,
    portable: null,
    build,
    help: 'Without it sharp decodes, which is slower.',
  })
}

let loaded: PixelsAddon | null | undefined

function load(): PixelsAddon | null {
  if (process.env.SHERD_PIXELS === 'off') return null
  const found = planPixels()
  for (const build of found.isPrebuilt ? [found, planPixels('own')] : [found]) {
    try {
      if (!isCompiled(build)) compileAddon(build)
      return createRequire(import.meta.url)(build.path) as PixelsAddon
    } catch (error) {
      failure = messageOf(error)
    }
  }
  return null
}

let failure = 'switched off by SHERD_PIXELS=off'

/** Null if it cannot be compiled or loaded. The first call compiles it, in a few seconds. */
export function pixelsAddon(): PixelsAddon | null {
  if (loaded === undefined) loaded = load()
  return loaded
}

/** Why the addon is unavailable. */
export const pixelsFailure = (): string => failure
