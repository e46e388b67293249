// Raster files written byte by byte, so that tests can say what is in them: plain TIFF, NumPy arrays, and zip by fflate.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { zipSync } from 'fflate'
import { temporaryFolder } from '../../prepare/decode/make-images.ts'

export type Pixels = (band: number, y: number, x: number) => number

export interface Tiff {
  readonly width: number
  readonly height: number
  readonly bands?: number
  readonly type?: 'u1' | 'i2' | 'u2' | 'f4'
  readonly value?: Pixels
  readonly descriptions?: readonly string[]
  /** The system's number, the upper left corner and the side of a pixel; null: the file lies nowhere. */
  readonly grid?: { epsg: number; left: number; top: number; metres: number } | null
  readonly nodata?: string
  /** GDAL's metadata, in place of the descriptions'. */
  readonly xml?: string
  readonly bigEndian?: boolean
  /** Tags in place of or besides the usual ones: TIFF's number, type (3 uint16, 4 uint32, 12 float64) and values. */
  readonly tags?: Readonly<Record<number, { type: 3 | 4 | 12; values: readonly number[] }>>
}

export const utm = { epsg: 32632, left: 600_000, top: 5_300_040, metres: 10 }
const SIZES = { 2: 1, 3: 2, 4: 4, 12: 8 } as const
const FORMATS = { u: 1, i: 2, f: 3 } as const

/** One strip, pixel by pixel, not packed. */
export function tiff(options: Tiff): Buffer {
  const { width, height, bands = 1, type = 'u2', value = (b, y, x) => 100 * b + 10 * y + x } = options
  const { grid = null, bigEndian = false } = options
  const size = Number(type[1])
  const values = Buffer.alloc(width * height * bands * size)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let b = 0; b < bands; b++) {
        const at = ((y * width + x) * bands + b) * size
        const number = value(b, y, x)
        const kind = { u1: 'UInt8', i2: 'Int16', u2: 'UInt16', f4: 'Float' }[type]
        const name = `write${kind}${size === 1 ? '' : bigEndian ? 'BE' : 'LE'}` as 'writeInt16LE'
        values[name](number, at)
      }
  const each = (number: number) => Array.from({ length: bands }, () => number)
  const text = (string: string) => ({ type: 2 as const, values: [...Buffer.from(`${string}\0`)] })
  const described = options.descriptions
    ?.map((name, i) => `<Item name="DESCRIPTION" sample="${i}" role="description">${name}</Item>`)
    .join('\n')
  const xml = options.xml ?? (described && `<GDALMetadata>${described}</GDALMetadata>`)
  const projected = grid && grid.epsg !== 4326
  const tags: Record<number, { type: 2 | 3 | 4 | 12; values: readonly number[] }> = {
    256: { type: 4, values: [width] },
    257: { type: 4, values: [height] },
    258: { type: 3, values: each(8 * size) },
    259: { type: 3, values: [1] },
    262: { type: 3, values: [1] },
    273: { type: 4, values: [8] },
    277: { type: 3, values: [bands] },
    278: { type: 4, values: [height] },
    279: { type: 4, values: [values.length] },
    339: { type: 3, values: each(FORMATS[type[0] as 'u']) },
    ...(grid && {
      33550: { type: 12 as const, values: [grid.metres, grid.metres, 0] },
      33922: { type: 12 as const, values: [0, 0, 0, grid.left, grid.top, 0] },
      34735: {
        type: 3 as const,
        values: [1, 1, 0, 2, 1024, 0, 1, projected ? 1 : 2, projected ? 3072 : 2048, 0, 1, grid.epsg],
      },
    }),
    ...(xml && { 42112: text(xml) }),
    ...(options.nodata !== undefined && { 42113: text(options.nodata) }),
    ...options.tags,
  }
  return assemble(values, tags, bigEndian)
}

function assemble(
  values: Buffer,
  tags: Record<number, { type: 2 | 3 | 4 | 12; values: readonly number[] }>,
  bigEndian: boolean,
): Buffer {
  const order = bigEndian ? 'BE' : 'LE'
  const whole = (number: number, size: number) => {
    const bytes = Buffer.alloc(size)
    if (size === 1) bytes.writeUInt8(number)
    else if (size === 8) bytes[`writeDouble${order}`](number)
    else bytes[size === 2 ? (`writeUInt16${order}` as const) : (`writeUInt32${order}` as const)](number)
    return bytes
  }
  const numbers = Object.keys(tags).map(Number) // ascending, as whole-number keys are
  const directory = 8 + values.length
  let free = directory + 2 + 12 * numbers.length + 4
  const entries: Buffer[] = []
  const extra: Buffer[] = []
  for (const number of numbers) {
    const { type, values: list } = tags[number]!
    let data = Buffer.concat(list.map((each) => whole(each, SIZES[type])))
    if (data.length <= 4) data = Buffer.concat([data, Buffer.alloc(4 - data.length)])
    else {
      extra.push(data)
      const at = free
      free += data.length
      data = whole(at, 4)
    }
    entries.push(whole(number, 2), whole(type, 2), whole(list.length, 4), data)
  }
  return Buffer.concat([
    Buffer.from(bigEndian ? 'MM' : 'II'),
    ...[whole(42, 2), whole(directory, 4), values],
    ...[whole(numbers.length, 2), ...entries, whole(0, 4), ...extra],
  ])
}

const WRITERS = {
  u1: 'writeUInt8',
  u2: 'writeUInt16LE',
  i2: 'writeInt16LE',
  f4: 'writeFloatLE',
  f8: 'writeDoubleLE',
} as const

/** An array of version 1.0, as NumPy writes it. `dtype` without the order of its bytes. */
export function npy(
  dtype: keyof typeof WRITERS | 'i8' | 'M8[s]' | 'M8[D]',
  shape: readonly number[],
  value: (i: number) => number,
): Buffer {
  const count = shape.reduce((product, size) => product * size, 1)
  const size = Number(/\d/.exec(dtype)![0])
  const values = Buffer.alloc(count * size)
  for (let i = 0; i < count; i++)
    if (dtype in WRITERS) values[WRITERS[dtype as 'u1']](value(i), i * size)
    else values.writeBigInt64LE(BigInt(value(i)), i * size)
  return rawNpy(`${size === 1 ? '|' : '<'}${dtype}`, shape, values)
}

/** Names of three letters. */
export function npyTexts(texts: readonly string[]): Buffer {
  const values = Buffer.alloc(texts.length * 12)
  for (const [i, text] of texts.entries())
    for (let k = 0; k < text.length; k++) values.writeUInt32LE(text.charCodeAt(k), i * 12 + 4 * k)
  return rawNpy('<U3', [texts.length], values)
}

export function rawNpy(descr: string, shape: readonly number[], values: Uint8Array, version = 1): Buffer {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`
  const lead = version === 1 ? 10 : 12
  const padded = `${text.padEnd(Math.ceil((lead + text.length + 1) / 64) * 64 - lead - 1)}\n`
  const start = Buffer.alloc(lead)
  start.write('\x93NUMPY', 'latin1')
  start[6] = version
  if (version === 1) start.writeUInt16LE(padded.length, 8)
  else start.writeUInt32LE(padded.length, 8)
  return Buffer.concat([start, Buffer.from(padded), values])
}

/** Members by name, packed by `level` (0: stored). */
export const npz = (members: Readonly<Record<string, Uint8Array>>, level: 0 | 6 = 6): Buffer =>
  Buffer.from(
    zipSync(Object.fromEntries(Object.entries(members).map(([name, data]) => [`${name}.npy`, data])), {
      level,
    }),
  )

/** A new folder with these files. */
export async function rasterFolder(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const dir = await temporaryFolder()
  for (const [name, data] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), data)
  }
  return dir
}

export const rasterOptions = {
  ...{ bands: ['B2', 'B3'], bandNames: null, pattern: null, frames: 1, window: null, nodata: null },
} as const
