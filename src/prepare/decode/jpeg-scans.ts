/**
 * How many scans a JPEG has, from its markers alone. Each scan of a progressive file goes over the whole image, so that a file of some
 * kilobytes can keep a decoder busy for minutes; libvips decodes them all. `native/pixels/jpeg-header.h` counts in the same way.
 */
import { refuse } from './refused-file.ts'

/** Programs that write progressive files make about ten, and 64 × 3 with every trick. */
const MOST_SCANS = 100

const START_OF_IMAGE = 0xd8
const END_OF_IMAGE = 0xd9
const START_OF_SCAN = 0xda

/** Stuffed zeros, restarts and what else has no content. */
const isBare = (marker: number) => marker <= 1 || (marker >= 0xd0 && marker <= 0xd7)

/** Counted up to `most` and one more. */
export function countScans(file: Uint8Array, most = MOST_SCANS): number {
  let scans = 0
  for (let at = 2; scans <= most; ) {
    at = file.indexOf(0xff, at)
    if (at < 0) break
    while (file[at] === 0xff) at++
    const marker = file[at++]
    if (marker === undefined || marker === START_OF_IMAGE || marker === END_OF_IMAGE) break
    if (isBare(marker)) continue
    if (at + 2 > file.length) break
    at += (file[at]! << 8) | file[at + 1]!
    if (marker === START_OF_SCAN) scans++
  }
  return scans
}

/** Throws `DECODE` for a JPEG of more scans than pictures have. */
export function expectFewScans(file: Uint8Array): void {
  if (countScans(file) > MOST_SCANS)
    refuse(`a JPEG of more than ${MOST_SCANS} scans, which is made to keep decoders busy`)
}
