/**
 * Loads the addon that reads, decodes and resizes images (`native/pixels`), compiling it first when it is missing. It
 * does not need LibTorch, and nothing needs it: where it cannot be compiled there is none, and sharp and TypeScript do
 * the same more slowly. The only file that touches its binary.
 */
import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import { type AddonBuild, addonFlags, compileAddon, isCompiled, planBuild } from './compile.ts'

/** A file in the addon's memory. */
declare const imageFile: unique symbol
export type ImageFile = { readonly [imageFile]: true }
/** Files mapped into memory. */
declare const mappedFiles: unique symbol
export type MappedFiles = { readonly [mappedFiles]: true }

/** A JPEG that the addon can decode by itself: 8 bits, one or three channels, upright, without a colour profile. */
export interface PlainJpeg {
  readonly width: number
  readonly height: number
  readonly file: ImageFile
}

/** `failed`: what the addon cannot decode, for whatever reason. Damage: libjpeg's words for data that it decoded all the same. */
export type JpegOutcome = 'decoded' | 'failed' | 'late' | { readonly damage: string }

/** left, top, width, height of a box, and 1 when it is mirrored. */
export type PlaceNumbers = Float64Array

/** What `native/pixels/pixels.cc` exports. Pixels are interleaved bytes; 3 channels become 1 by luma. */
export interface PixelsAddon {
  /** The version of libjpeg-turbo, or null when it was compiled without. */
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
   * Any other file than a plain JPEG as its bytes; null when it cannot be read or is longer than `mostBytes`. Of large
   * files only the first ones, at least one. `at` gets the place of the file that is being read.
   */
  readImages(
    paths: readonly string[],
    mostBytes: number,
    at: Int32Array,
  ): Promise<(PlainJpeg | Uint8Array | null)[]>
  /** The same for a file that is in memory, which is copied; null for anything but a plain JPEG. */
  openImage(bytes: Uint8Array): PlainJpeg | null
  /** How it ended; as a promise, in another thread, when it `isLarge`. The file cannot be used again. `timeLimit`: milliseconds. */
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
  /** Ends the process at once, whatever its threads wait for. */
  quit(status: number): never
  /** Off: the portable code, wherever it runs. The bytes are the same. */
  useVectors(on: boolean): void
  map(paths: readonly string[]): MappedFiles
  /** Lets go of the files at once. No batch may be cut out of them after it. */
  unmap(files: MappedFiles): void
  /** `rows`: file, offset, width, height, the five numbers of its place, and its row in `out`, of each sample. */
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

/** Where the header and the library of libjpeg-turbo may be. */
const jpegPlaces = [
  { header: '/usr/include/jpeglib.h', flags: [] },
  ...['/opt/homebrew/opt/jpeg-turbo', '/usr/local/opt/jpeg-turbo', '/usr/local'].map((dir) => ({
    header: join(dir, 'include/jpeglib.h'),
    flags: [`-I${join(dir, 'include')}`, `-L${join(dir, 'lib')}`, `-Wl,-rpath,${join(dir, 'lib')}`],
  })),
]

/** What has the header: on Debian it brings `libjpeg62-turbo-dev`. Without it JPEG files are decoded by sharp. */
export const jpegPackage = 'libjpeg-dev'

const jpegPlace = () => jpegPlaces.find(({ header }) => existsSync(header))

export const hasJpegHeader = (): boolean => jpegPlace() !== undefined

/** Where the addon belongs, and the command that compiles it. */
export function planPixels(): AddonBuild {
  const jpeg = jpegPlace()
  return planBuild({
    name: 'pixels',
    dir: join(packageRoot(), 'native', 'pixels'),
    sources: ['pixels.cc'],
    flags: [
      '-std=c++17',
      ...addonFlags(),
      // Weights must be the same to the last bit wherever they are computed.
      ...['-ffp-contract=off', '-pthread'],
      ...(jpeg ? ['-DSHERD_JPEG=1', ...jpeg.flags, '-ljpeg'] : []),
    ],
    inputs: jpeg ? statSync(jpeg.header).mtimeMs : null,
    help: 'Without it sharp decodes, which is slower.',
  })
}

let loaded: PixelsAddon | null | undefined

function load(): PixelsAddon | null {
  if (process.env.SHERD_PIXELS === 'off') return null
  const build = planPixels()
  try {
    if (!isCompiled(build)) compileAddon(build)
    return createRequire(import.meta.url)(build.path) as PixelsAddon
  } catch (error) {
    failure = messageOf(error)
    return null
  }
}

let failure = 'switched off by SHERD_PIXELS=off'

/** The addon of this thread, or null where there is none. Compiled at the first call, in a few seconds. */
export function pixelsAddon(): PixelsAddon | null {
  if (loaded === undefined) loaded = load()
  return loaded
}

/** Why there is no addon. */
export const pixelsFailure = (): string => failure
