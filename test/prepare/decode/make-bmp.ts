/** BMP files byte by byte. */

export interface BmpOptions {
  readonly bits: 1 | 4 | 8 | 16 | 24 | 32
  readonly isTopDown?: boolean
  /** With OS/2's header of 12 bytes. */
  readonly isCore?: boolean
  readonly masks?: readonly number[]
  /** Of the pixels of the first row. */
  readonly alpha?: readonly number[]
}

const DEFAULT_MASKS = { 16: [0x7c00, 0x03e0, 0x001f], 32: [0xff0000, 0xff00, 0xff] } as Record<
  number,
  number[]
>

/** `rows`: red, green and blue of each pixel; 1, 4 and 8 bits have a palette of the colours that there are. */
export function bmp(rows: readonly (readonly number[])[], options: BmpOptions): Buffer {
  const { bits, isTopDown = false, isCore = false, masks, alpha } = options
  const [width, height] = [rows[0]!.length / 3, rows.length]
  const pixels = rows.map((row) => Array.from({ length: width }, (_, x) => row.slice(3 * x, 3 * x + 3)))
  const palette = bits > 8 ? [] : [...new Set(pixels.flat().map((colour) => colour.join()))]
  const colours = bits <= 8 && isCore ? 2 ** bits : palette.length
  const numberOf = (colour: readonly number[], a: number): number => {
    if (bits <= 8) return palette.indexOf(colour.join())
    if (bits === 24) return colour[2]! | (colour[1]! << 8) | (colour[0]! << 16)
    return (masks ?? DEFAULT_MASKS[bits]!).reduce((sum, mask, c) => {
      const shift = 31 - Math.clz32(mask & -mask)
      const most = mask >>> shift
      return sum + Math.round(((c === 3 ? a : colour[c]!) * most) / 255) * 2 ** shift
    }, 0)
  }
  const line = Math.ceil((width * bits) / 32) * 4
  const body = Buffer.alloc(line * height)
  for (const [i, row] of pixels.entries()) {
    const text = row
      .map((colour, x) =>
        numberOf(colour, alpha?.[x] ?? 255)
          .toString(2)
          .padStart(bits, '0'),
      )
      .map((value) => (bits > 8 ? value.match(/.{8}/g)!.reverse().join('') : value))
      .join('')
    const bytes = text.match(/.{1,8}/g)!.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2))
    body.set(bytes, line * (isTopDown ? i : height - 1 - i))
  }
  const header = Buffer.alloc(isCore ? 12 : masks?.[3] ? 56 : 40)
  header.writeUInt32LE(header.length)
  if (isCore) {
    header.writeUInt16LE(width, 4)
    header.writeUInt16LE(height, 6)
    header.writeUInt16LE(1, 8)
    header.writeUInt16LE(bits, 10)
  } else {
    header.writeInt32LE(width, 4)
    header.writeInt32LE(isTopDown ? -height : height, 8)
    header.writeUInt16LE(1, 12)
    header.writeUInt16LE(bits, 14)
    header.writeUInt32LE(masks ? 3 : 0, 16)
    header.writeUInt32LE(palette.length, 32)
    if (masks?.[3]) for (const [i, mask] of masks.entries()) header.writeUInt32LE(mask, 40 + 4 * i)
  }
  const behind = masks && !masks[3] ? Buffer.from(Uint32Array.from(masks).buffer) : Buffer.alloc(0)
  const table = Buffer.alloc(colours * (isCore ? 3 : 4))
  for (const [i, colour] of palette.entries())
    table.set(colour.split(',').map(Number).reverse(), i * (isCore ? 3 : 4))
  const start = Buffer.alloc(14)
  const offset = 14 + header.length + behind.length + table.length
  start.write('BM')
  start.writeUInt32LE(offset + body.length, 2)
  start.writeUInt32LE(offset, 10)
  return Buffer.concat([start, header, behind, table, body])
}
