/** Conversion of NumPy values to numbers, dates and strings, by dtype. */
import { unusable } from '../../files/byte-file.ts'
import type { NpyHead } from '../../files/npy.ts'
import { isReadable, type SampleType, swapBytes, type Values, valuesOf } from './sample-type.ts'

const KINDS: Readonly<Record<string, SampleType['kind']>> = { u: 'unsigned', i: 'signed', f: 'float' }
const MILLISECONDS: Readonly<Record<string, number>> = {
  W: 6048e5,
  D: 864e5,
  h: 36e5,
  m: 6e4,
  s: 1000,
  ms: 1,
  us: 1e-3,
  ns: 1e-6,
}
const NOT_A_TIME = -(2n ** 63n)

/** Null for dtypes that a raster cannot hold. */
export function rasterType({ dtype }: NpyHead): SampleType | null {
  const found = /^[<>|=]([uif])([1248])$/.exec(dtype)
  const type = found && { kind: KINDS[found[1]!]!, bytes: Number(found[2]) }
  return type && isReadable(type) ? type : null
}

/** Suggested conversions of other dtypes. */
const CONVERSIONS: Readonly<Record<string, string>> = {
  i8: "int32, or astype('float64') where numbers are larger than 2 billion",
  u8: "uint32, or astype('float64') where numbers are larger than 4 billion",
  b1: 'uint8',
  f16: 'float64',
}

/** Throws for dtypes that a raster cannot hold, with a suggestion. */
export function rasterTypeOf(head: NpyHead): SampleType {
  const type = rasterType(head)
  if (type) return type
  const [to, rest] = (CONVERSIONS[head.dtype.slice(1)] ?? 'float32').split(/(?=, )/)
  throw unusable(
    `its values are ${head.dtype}: u1, i1, u2, i2, u4, i4, f2, f4 and f8 are read; save it with array.astype('${to}')${rest ?? ''}`,
  )
}

function itemBytes({ dtype }: NpyHead): number {
  const found = /^[<>|=](?:U(\d{1,6})|[uifSMm](\d{1,6})(?:\[.*\])?)$/.exec(dtype)
  return found ? (found[1] ? 4 * Number(found[1]) : Number(found[2])) : 0
}

export function arrayBytes(head: NpyHead): number {
  if (head.isFortran && head.shape.length > 1)
    throw unusable('it is in Fortran order: save it with np.ascontiguousarray')
  return head.shape.reduce((product, size) => product * size, itemBytes(head))
}

/** `bytes` must own its memory, and is modified. */
export function numbersFrom(bytes: Buffer, head: NpyHead): Values {
  const type = rasterTypeOf(head)
  if (head.dtype.startsWith('>')) swapBytes(bytes, type.bytes)
  return valuesOf(bytes, type)
}

/** Milliseconds since 1970 (null for NaT) from datetime64 or integer seconds. */
export function timesFrom(bytes: Buffer, { dtype }: NpyHead): (number | null)[] {
  const found = /^([<>])(?:M8\[(\d*)([A-Za-z]+)\]|i8)$/.exec(dtype)
  if (!found) throw unusable(`its dates are ${dtype}: datetime64 and int64 seconds are read`)
  const [, order, step, unit] = found
  const count = Math.floor(bytes.length / 8)
  const at = (i: number) => (order === '<' ? bytes.readBigInt64LE(8 * i) : bytes.readBigInt64BE(8 * i))
  return Array.from({ length: count }, (_, i) => {
    const value = at(i)
    if (value === NOT_A_TIME) return null
    const number = Number(value) * Number(step || 1)
    const time =
      unit === 'Y'
        ? Date.UTC(1970 + number, 0)
        : unit === 'M'
          ? Date.UTC(1970, number)
          : number * (MILLISECONDS[unit ?? 's'] ?? Number.NaN)
    if (!Number.isFinite(time) || Number.isNaN(new Date(time).getTime()))
      throw unusable(`its dates of type ${dtype} hold ${value}, which is no date`)
    return Math.round(time)
  })
}

/** Strings of fixed length: `U` (UCS-4) and `S` (bytes). */
export function textsFrom(bytes: Buffer, head: NpyHead): string[] {
  const kind = /^([<>|])([US])\d+$/.exec(head.dtype)
  const size = itemBytes(head)
  if (!kind || size === 0) throw unusable(`its names of bands are ${head.dtype}: texts are expected`)
  if (kind[2] === 'U' && kind[1] === '>') swapBytes(bytes, 4)
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => {
    const item = bytes.subarray(i * size, (i + 1) * size)
    if (kind[2] === 'S') return item.toString('utf8').replace(/\0+$/, '')
    const codes = Array.from({ length: size / 4 }, (_, k) => item.readUInt32LE(4 * k))
    return codes
      .filter((code) => code > 0 && code < 0x110000)
      .map((code) => String.fromCodePoint(code))
      .join('')
  })
}
