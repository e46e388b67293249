/**
 * BMP files, which libvips does not read here: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits with or without masks, from top or
 * from bottom. Not packed ones (RLE), which hardly anything writes. By hand, for the packages that do it read the headers of others
 * wrongly: lines of odd width, the place of the pixels, alpha.
 */
import type { Size } from '../../source/box.ts'
import { refuse } from './refused-file.ts'
import type { RgbImage } from './resize.ts'

interface BmpHeader extends Size {
  readonly isTopDown: boolean
  /** Of a pixel: 1, 4, 8, 16, 24 or 32. */
  readonly bits: number
  /** Where the pixels and the colours of the palette begin; a colour is so many bytes. */
  readonly pixels: number
  readonly palette: { readonly at: number; readonly count: number; readonly bytes: 3 | 4 }
  /** Red, green, blue and alpha of 16 and 32 bits; 0: none. */
  readonly masks: readonly number[]
}

const FILE_HEADER = 14
const CORE = 12 // of OS/2
const INFO = 40
const V2 = 52
const V3 = 56
const [PLAIN, FIELDS, ALPHA_FIELDS] = [0, 3, 6]
const MASKS: Readonly<Record<number, readonly number[]>> = {
  16: [0x7c00, 0x03e0, 0x001f, 0],
  32: [0xff0000, 0xff00, 0xff, 0],
}

function headerOf(bytes: Uint8Array): BmpHeader {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (file.length < FILE_HEADER + CORE) refuse('a BMP file that is cut short in its header')
  const header = file.readUInt32LE(14)
  const isCore = header === CORE
  if ((!isCore && header < INFO) || FILE_HEADER + header > file.length)
    refuse(`a BMP file that is cut short or damaged: its header says that it has ${header} bytes`)
  const width = isCore ? file.readUInt16LE(18) : file.readInt32LE(18)
  const height = isCore ? file.readUInt16LE(20) : file.readInt32LE(22)
  const bits = file.readUInt16LE(isCore ? 24 : 28)
  const packing = isCore ? PLAIN : file.readUInt32LE(30)
  if (width <= 0 || height === 0) refuse(`a damaged BMP file: ${width} x ${height} pixels`)
  if (![1, 4, 8, 16, 24, 32].includes(bits) || ![PLAIN, FIELDS, ALPHA_FIELDS].includes(packing))
    refuse(
      `a BMP file of ${bits} bits a pixel and compression ${packing}: those of 1, 4, 8, 16, 24 and 32 bits without compression are read; save it as PNG`,
    )
  const hasFields = packing !== PLAIN && MASKS[bits] !== undefined
  const count = isCore || header >= V3 ? 0 : packing === ALPHA_FIELDS ? 4 : header >= V2 ? 0 : 3
  const behind = hasFields ? 4 * count : 0
  const masksAt = FILE_HEADER + INFO
  const masks = hasFields
    ? [0, 1, 2, 3].map((i) => {
        const isThere = i < 3 || header >= V3 || packing === ALPHA_FIELDS
        return isThere && masksAt + 4 * i + 4 <= file.length ? file.readUInt32LE(masksAt + 4 * i) : 0
      })
    : (MASKS[bits] ?? [])
  const said = isCore ? 0 : file.readUInt32LE(46)
  return {
    ...{ width, height: Math.abs(height), isTopDown: height < 0, bits, masks },
    pixels: file.readUInt32LE(10),
    palette: {
      at: FILE_HEADER + header + behind,
      count: bits <= 8 ? Math.min(said || 2 ** bits, 2 ** bits) : 0,
      bytes: isCore ? 3 : 4,
    },
  }
}

/** The size that a BMP file says it has. */
export const sizeOfBmp = (file: Uint8Array): Size => {
  const { width, height } = headerOf(file)
  return { width, height }
}

/** The pixels of a BMP file, alpha over white. The size is to be checked before: memory is taken for it when the file has the bytes. */
export function decodeBmp(file: Uint8Array): RgbImage {
  const header = headerOf(file)
  const { width, height, isTopDown, bits, pixels: first, palette } = header
  const line = Math.ceil((width * bits) / 32) * 4
  // Some programs leave out what pads the last line.
  const needed = line * (height - 1) + Math.ceil((width * bits) / 8)
  if (first + needed > file.length || palette.at + palette.count * palette.bytes > file.length)
    refuse(`a BMP file that is cut short: ${first + needed} bytes are needed, and ${file.length} are there`)
  const put = bits <= 8 ? indexed(file, header) : bits === 24 ? plain(file) : masked(file, header)
  const pixels = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    const from = first + line * (isTopDown ? y : height - 1 - y)
    for (let x = 0; x < width; x++) put(from, x, pixels, (y * width + x) * 3)
  }
  return { pixels, width, height }
}

/** Puts pixel `x` of the line that begins at `from` to `out[to]`, `out[to + 1]` and `out[to + 2]`. */
type Put = (from: number, x: number, out: Uint8Array, to: number) => void

const plain =
  (file: Uint8Array): Put =>
  (from, x, out, to) => {
    for (let c = 0; c < 3; c++) out[to + c] = file[from + 3 * x + 2 - c]!
  }

function indexed(file: Uint8Array, { bits, palette: { at, count, bytes } }: BmpHeader): Put {
  return (from, x, out, to) => {
    const place = x * bits
    const index = (file[from + (place >> 3)]! >> (8 - bits - (place & 7))) & (2 ** bits - 1)
    // Numbers without a colour are black.
    for (let c = 0; c < 3; c++) out[to + c] = index < count ? file[at + index * bytes + 2 - c]! : 0
  }
}

function masked(file: Uint8Array, { bits, masks }: BmpHeader): Put {
  const size = bits / 8
  const parts = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask)
    return { mask, shift, most: mask >>> shift }
  })
  const [, , , alpha] = parts
  return (from, x, out, to) => {
    const at = from + x * size
    let value = file[at]! | (file[at + 1]! << 8)
    if (size === 4) value |= (file[at + 2]! << 16) | (file[at + 3]! << 24)
    const share = alpha!.mask === 0 ? 1 : ((value & alpha!.mask) >>> alpha!.shift) / alpha!.most
    for (let c = 0; c < 3; c++) {
      const { mask, shift, most } = parts[c]!
      const colour = most === 0 ? 0 : (((value & mask) >>> shift) * 255) / most
      out[to + c] = Math.round(colour * share + 255 * (1 - share))
    }
  }
}
