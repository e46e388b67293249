/** PNG files byte by byte, of kinds that encoders do not write on demand. */
import { crc32, deflateSync } from 'node:zlib'

export interface RawPng {
  readonly width: number
  readonly height: number
  /** 0 grey, 2 RGB, 3 palette. */
  readonly colour: 0 | 2 | 3
  readonly depth: 1 | 2 | 4 | 8 | 16
  /** [height, width · samples] */
  readonly values: readonly number[]
}

export function pngChunk(type: string, body: Uint8Array): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), body])
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(body.length)
  check.writeUInt32BE(crc32(typed))
  return Buffer.concat([length, typed, check])
}

/** A PNG of these values; a palette has a colour for each of 256 numbers (or as many as the depth has), none of them grey. */
export function rawPng(
  { width, height, colour, depth, values }: RawPng,
  more: readonly Buffer[] = [],
): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, 0], 8)
  const perRow = values.length / height
  const rows = Array.from({ length: height }, (_, y) => {
    const bits = values
      .slice(y * perRow, (y + 1) * perRow)
      .map((value) => value.toString(2).padStart(depth, '0'))
      .join('')
    const bytes = bits.match(/.{1,8}/gu)!.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2))
    return Buffer.from([0, ...bytes])
  })
  const palette = Buffer.from(
    Array.from({ length: 2 ** Math.min(8, depth) }, (_, i) => [255 - i, i, 77]).flat(),
  )
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    ...(colour === 3 ? [pngChunk('PLTE', palette)] : []),
    ...more,
    pngChunk('IDAT', deflateSync(Buffer.concat(rows))),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}
