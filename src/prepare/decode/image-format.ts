/**
 * Recognises image formats by their first bytes, whatever the file name. libvips would also open SVG and PDF, which are refused here,
 * since they can execute or load other content.
 */

/** As libvips calls them; `heif` is AVIF here. `bmp` is read without it. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'tiff' | 'heif' | 'gif' | 'bmp'

export const readableFormats = 'JPEG, PNG, WebP, TIFF, AVIF, GIF or BMP'

const HEADER_BYTES = 16

/** The first bytes as Latin-1; `?` stands for any byte. TIFF has two byte orders, each also as BigTIFF. */
const signatures: Record<ImageFormat, readonly string[]> = {
  jpeg: ['\xff\xd8\xff'],
  png: ['\x89PNG\r\n\x1a\n'],
  webp: ['RIFF????WEBP'],
  tiff: ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'],
  heif: ['????ftypavif', '????ftypavis', '????ftypmif1', '????ftypmsf1'],
  gif: ['GIF87a', 'GIF89a'],
  bmp: ['BM????\0\0\0\0'], // the size of the file, which is often wrong, and four bytes that are always 0
}

/** The format that `file` starts like, or null. */
export function formatOf(file: Uint8Array): ImageFormat | null {
  const start = headerText(file)
  const fits = (signature: string) => [...signature].every((byte, i) => byte === '?' || byte === start[i])
  const formats = Object.keys(signatures) as ImageFormat[]
  return formats.find((format) => signatures[format].some(fits)) ?? null
}

const HEVC = ['ftypheic', 'ftypheix', 'ftyphevc', 'ftypheim', 'ftypheis']

/** Why a file that starts like none of them is refused. */
export function unknownFormat(file: Uint8Array): string {
  const hint = HEVC.includes(headerText(file).slice(4, 12)) ? ' (HEIC: convert it to JPEG or PNG)' : ''
  return `expected a ${readableFormats} image, but the file starts with ${startOf(file)}${hint}`
}

/** The first bytes in a form that can be shown: `"<svg xmlns=\"htt"`. */
function startOf(file: Uint8Array): string {
  return JSON.stringify(headerText(file).replace(/[^\x20-\x7e]/g, '.'))
}

function headerText(file: Uint8Array): string {
  return String.fromCharCode(...file.subarray(0, HEADER_BYTES))
}
