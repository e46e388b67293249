/**
 * TIFF's LZW (TIFF 6.0, section 13): codes of 9 to 12 bits, most significant bit first, growing one code early. Not that of geotiff.js,
 * which prints, and exhausts memory on some damaged files.
 */
import { unusable } from '../../files/byte-file.ts'

const CLEAR = 256
const END = 257
const FIRST = 258
const CODES = 4096

/** Fills at most `out`. Returns the number of bytes. Throws for invalid codes. */
export function unpackLzw(codes: Uint8Array, out: Uint8Array): number {
  if (codes[0] === 0 && (codes[1]! & 1) === 1)
    throw unusable('its LZW data are of an old kind that is not read')
  const prefix = new Uint16Array(CODES)
  const last = new Uint8Array(CODES)
  const length = new Uint16Array(CODES)
  for (let i = 0; i < CLEAR; i++) {
    last[i] = i
    length[i] = 1
  }
  let next = FIRST
  let width = 9
  let previous = -1
  let bits = 0
  let held = 0
  let at = 0
  let done = 0
  while (done < out.length) {
    while (held < width) {
      if (at === codes.length) return done
      bits = ((bits << 8) | codes[at++]!) & 0xfffff
      held += 8
    }
    held -= width
    const code = (bits >> held) & ((1 << width) - 1)
    if (code === END) return done
    if (code === CLEAR) {
      next = FIRST
      width = 9
      previous = -1
      continue
    }
    if (code > next || (code === next && previous < 0)) throw unusable('its LZW data are damaged')
    if (previous >= 0 && next < CODES) {
      // The new entry is the previous string plus the first byte of this one (of the previous one if the code is the new entry).
      let first = code === next ? previous : code
      while (first >= CLEAR) first = prefix[first]!
      prefix[next] = previous
      last[next] = first
      length[next] = length[previous]! + 1
      next++
      if (next + 1 >= 1 << width && width < 12) width++
    }
    const end = done + length[code]!
    for (let i = end - 1, each = code; i >= done; i--) {
      if (i < out.length) out[i] = last[each]!
      each = prefix[each]!
    }
    done = Math.min(end, out.length)
    previous = code
  }
  return done
}
