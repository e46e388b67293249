/** An image file as training sees it: the same header, the same decoder, the same refusals. */
import { basename, dirname } from 'node:path'
import { largestValue, rangeNote } from '../prepare/decode/bit-depth.ts'
import { defaultMaxPixels, factsOfImage, type ImageFacts, tryDecode } from '../prepare/decode/decode.ts'
import { readImageFile } from '../prepare/decode/image-file.ts'
import type { ImageFormat } from '../prepare/decode/image-format.ts'
import { reasonOf } from '../prepare/decode/refused-file.ts'
import { iccName } from './icc-name.ts'
import {
  countOf,
  type Description,
  describe,
  grouped,
  type InspectOptions,
  rowsOf,
  sized,
} from './inspected.ts'

export const formatNames: Readonly<Record<ImageFormat, string>> = {
  ...{ jpeg: 'JPEG', png: 'PNG', webp: 'WebP', tiff: 'TIFF', heif: 'AVIF', gif: 'GIF', bmp: 'BMP' },
}

/** EXIF's orientations in words. */
const turns: Readonly<Record<number, string>> = {
  ...{ 2: 'mirrored', 3: 'turned by 180°', 4: 'flipped', 5: 'mirrored and turned', 6: 'turned right' },
  ...{ 7: 'mirrored and turned', 8: 'turned left' },
}

/** Sizes that any sample has; the least side is a patch's, which no file knows. */
const SAMPLE = 32

/** The reason why training leaves a file out, or null: the whole image is decoded, as no crop of it may fail. */
function whyLeftOut(path: string, { limits }: Pick<InspectOptions, 'limits'>): Promise<string | null> {
  const { maxPixels = defaultMaxPixels, corrupt, fileTimeout } = limits
  return tryDecode(path, {
    ...{ minSide: 1, maxPixels, corrupt, fileTimeout, channels: 3, isFullResolution: true },
    sample: ({ width, height }) => ({
      ...{ target: { width: SAMPLE, height: SAMPLE }, out: new Uint8Array(3 * SAMPLE * SAMPLE) },
      ...{ box: { left: 0, top: 0, width, height }, flip: false },
    }),
  })
}

export interface ExaminedImage {
  /** Null where the header cannot be read. */
  readonly header: ImageFacts | null
  readonly reason: string | null
}

async function examineImage(path: string, options: Pick<InspectOptions, 'limits'>): Promise<ExaminedImage> {
  const { maxPixels = defaultMaxPixels, fileTimeout } = options.limits
  let header: ImageFacts | null = null
  try {
    header = await factsOfImage(await readImageFile(path, maxPixels, fileTimeout))
  } catch (error) {
    return { header, reason: reasonOf(error) }
  }
  return { header, reason: await whyLeftOut(path, options) }
}

/** What becomes of the values, in words. */
function becomes(header: ImageFacts, profile: string | null): string {
  const { bits, colours, isAlpha, isPalette, pages, channels } = header
  const extra = channels - { grey: 1, CMYK: 4 }[colours as 'grey' | 'CMYK']! - (isAlpha ? 1 : 0)
  const beyond = colours === 'RGB' ? channels - 3 - (isAlpha ? 1 : 0) : extra
  const steps = [
    isPalette ? 'its palette becomes RGB' : '',
    colours === 'CMYK' ? 'CMYK becomes sRGB' : '',
    profile !== null && !/sRGB/i.test(profile) ? `${profile} becomes sRGB` : '',
    bits === 16 ? 'the high byte of 16 bits is taken, or data.range of them' : '',
    isAlpha ? 'transparency is laid over white' : '',
    beyond > 0
      ? `${beyond === 1 ? 'a band that is' : `${beyond} bands that are`} neither colour nor alpha ${beyond === 1 ? 'is' : 'are'} left out`
      : '',
    pages > 1 ? `the first of ${pages} frames or pages is read` : '',
  ].filter(Boolean)
  return steps.length > 0 ? steps.join('; ') : 'nothing: its values are taken as they are'
}

export async function describeImage(path: string, options: InspectOptions): Promise<Description> {
  const { header, reason } = await examineImage(path, options)
  if (!header) return describe("a file with an image's name or beginning", { reason })
  const { format, width, height, orientation, bits, channels, colours, isAlpha, isPalette, pages } = header
  const profile = header.profile && (iccName(header.profile) ?? 'a colour profile without a name')
  const turn = turns[orientation]
  const stored = orientation > 4 ? sized(height, width) : sized(width, height)
  const folder = { dir: dirname(path), files: [basename(path)] }
  const { maxPixels = defaultMaxPixels } = options.limits
  const largest = bits === 16 && reason === null ? await largestValue(folder, maxPixels) : null
  const dark = rangeNote('It has', largest)
  const values = [
    `${bits} bits`,
    `${colours}${isAlpha ? ' and alpha' : ''}`,
    countOf(channels, 'channel'),
    ...(isPalette ? ['palette'] : []),
    ...(largest === null ? [] : [`up to ${grouped(largest)}`]),
  ]
  return describe(`${formatNames[format]} image`, {
    reason,
    rows: rowsOf(
      [
        'size',
        `${sized(width, height)} pixels${turn ? ` (EXIF orientation ${orientation}: ${turn}; stored as ${stored})` : ''}`,
      ],
      ['values', values.join(', ')],
      profile ? ['profile', profile] : null,
      pages > 1 && ['frames', String(pages)],
      reason === null && ['becomes', becomes(header, profile)],
    ),
    facts: {
      ...{ format, width, height, orientation, bits, channels, colours, alpha: isAlpha, palette: isPalette },
      ...{ pages, profile, largest },
    },
    notes: dark === null ? [] : [dark],
  })
}
