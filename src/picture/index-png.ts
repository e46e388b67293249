/** Writes a mask of class indices as a PNG with a palette. sharp cannot write given palette indices. */
import { deflateSync } from 'node:zlib'
import { pngChunk } from '../prepare/decode/png-exif.ts'
import type { Size } from '../source/box.ts'
import type { Colour } from './tile-grid-layout.ts'

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
const GREY = 0
const PALETTE = 3

/** Values [height, width]: 8 bits with a palette, or 16 bits of grey if one is above 255. */
export function indexPng(
  numbers: Uint16Array,
  { width, height }: Size,
  colourOf: (number: number) => Colour,
): Buffer {
  const largest = numbers.reduce((a, b) => Math.max(a, b), 0)
  const bytes = largest > 255 ? 2 : 1
  const rows = Buffer.alloc(height * (1 + width * bytes)) // each begins with filter type 0
  for (const [i, number] of numbers.entries()) {
    const at = Math.floor(i / width) * (1 + width * bytes) + 1 + (i % width) * bytes
    if (bytes === 2) rows.writeUInt16BE(number, at)
    else rows[at] = number
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = 8 * bytes
  header[9] = bytes === 2 ? GREY : PALETTE
  const palette = Uint8Array.from(Array.from({ length: largest + 1 }, (_, n) => colourOf(n)).flat())
  return Buffer.concat([
    ...[SIGNATURE, pngChunk('IHDR', header)],
    ...(bytes === 2 ? [] : [pngChunk('PLTE', palette)]),
    ...[pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND', new Uint8Array())],
  ])
}
