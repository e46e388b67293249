/**
 * Near duplicates without a model: a difference hash (Krawetz 2013, "Kind of like that") of 9 × 8 mean brightnesses: whether each is brighter
 * than its left neighbour (64 bits) and than the one above it (63). Shrunk, recompressed and slightly brighter copies keep nearly all bits; crops do not.
 */

/** Pixels of the thumbnail [HEIGHT, WIDTH, 3] that is hashed: whole ones for each cell. */
export const THUMBNAIL = { width: 36, height: 32 } as const
const COLUMNS = 9
const ROWS = 8
const CELL = 4

export interface Look {
  /** 127 bits in four numbers. */
  readonly hash: Int32Array
  /** Mean luma, 0 to 1. */
  readonly brightness: number
  /** Standard deviation of the luma of the cells, 0 to 1. */
  readonly contrast: number
  /** Whether red, green and blue are the same everywhere, to within what JPEG makes of it. */
  readonly isGrey: boolean
}

const GREY = 6 // levels

/** `pixels`: a thumbnail in sRGB. */
export function lookAt(pixels: Uint8Array): Look {
  const cells = new Float64Array(COLUMNS * ROWS)
  let isGrey = true
  for (let y = 0; y < THUMBNAIL.height; y++)
    for (let x = 0; x < THUMBNAIL.width; x++) {
      const at = 3 * (y * THUMBNAIL.width + x)
      const [r, g, b] = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!]
      if (Math.max(r, g, b) - Math.min(r, g, b) > GREY) isGrey = false
      const cell = Math.floor(y / CELL) * COLUMNS + Math.floor(x / CELL)
      cells[cell]! += (0.299 * r + 0.587 * g + 0.114 * b) / CELL ** 2
    }
  const mean = cells.reduce((a, b) => a + b, 0) / cells.length
  const variance = cells.reduce((a, b) => a + (b - mean) ** 2, 0) / cells.length
  return { hash: hashOf(cells), brightness: mean / 255, contrast: Math.sqrt(variance) / 255, isGrey }
}

/** `cells`: brightnesses [ROWS, COLUMNS]. */
export function hashOf(cells: Float64Array): Int32Array {
  const hash = new Int32Array(4)
  let bit = 0
  const add = (isBrighter: boolean) => {
    if (isBrighter) hash[bit >> 5]! |= 1 << (bit & 31)
    bit++
  }
  for (let y = 0; y < ROWS; y++)
    for (let x = 1; x < COLUMNS; x++) add(cells[y * COLUMNS + x]! > cells[y * COLUMNS + x - 1]!)
  for (let y = 1; y < ROWS; y++)
    for (let x = 0; x < COLUMNS; x++) add(cells[y * COLUMNS + x]! > cells[(y - 1) * COLUMNS + x]!)
  return hash
}

function ones(n: number): number {
  let x = n - ((n >>> 1) & 0x55555555)
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333)
  return (((x + (x >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}

/** The number of bits that differ. */
export const hashDistance = (a: Int32Array, b: Int32Array): number =>
  ones(a[0]! ^ b[0]!) + ones(a[1]! ^ b[1]!) + ones(a[2]! ^ b[2]!) + ones(a[3]! ^ b[3]!)

/** Bits of 127 in which near duplicates may differ. */
const NEAR = 8
/** Below it an image has no structure that could be compared: a night, a sky, a blank page. */
export const BLANK = 0.012

/** For each look the index of the first one that it nearly is, or -1. Blank images are like none. */
export function nearDuplicates(looks: readonly Look[]): Int32Array {
  const like = new Int32Array(looks.length).fill(-1)
  const originals: number[] = []
  for (const [i, { hash, contrast }] of looks.entries()) {
    if (contrast < BLANK) continue
    const first = originals.find((j) => hashDistance(looks[j]!.hash, hash) <= NEAR)
    if (first === undefined) originals.push(i)
    else like[i] = first
  }
  return like
}
