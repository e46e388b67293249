/** Number types of raster files and their conversion. */
import { unusable } from '../../files/byte-file.ts'
import { fromFloat16 } from '../../files/float16.ts'

export type SampleKind = 'unsigned' | 'signed' | 'float'

/** `bytes`: 1, 2, 4 or 8; at most 4 for integers. */
export interface SampleType {
  readonly kind: SampleKind
  readonly bytes: number
}

export type Values =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array

/** Largest float32: larger float64 values would become infinite. */
const LARGEST = 3.4028234663852886e38

export const isReadable = ({ kind, bytes }: SampleType): boolean =>
  kind === 'float' ? [2, 4, 8].includes(bytes) : [1, 2, 4].includes(bytes)

const kindNames: Readonly<Record<SampleKind, string>> = { unsigned: 'uint', signed: 'int', float: 'float' }

/** NumPy's name, such as `uint16`. */
export const typeName = ({ kind, bytes }: SampleType): string => `${kindNames[kind]}${8 * bytes}`

/** Reverses the bytes of each number, in place. */
export function swapBytes(bytes: Buffer, size: number): void {
  if (size === 2) bytes.swap16()
  else if (size === 4) bytes.swap32()
  else if (size === 8) bytes.swap64()
}

/** Views little-endian bytes as numbers; only float16 is copied. `bytes` must own its memory. */
export function valuesOf(bytes: Buffer, type: SampleType): Values {
  const { byteOffset, length } = bytes
  const buffer = bytes.buffer as ArrayBuffer
  const count = length / type.bytes
  if (type.kind === 'float') {
    if (type.bytes === 8) return new Float64Array(buffer, byteOffset, count)
    if (type.bytes === 4) return new Float32Array(buffer, byteOffset, count)
    return Float32Array.from(new Uint16Array(buffer, byteOffset, count), fromFloat16)
  }
  const isSigned = type.kind === 'signed'
  if (type.bytes === 1) return new (isSigned ? Int8Array : Uint8Array)(buffer, byteOffset, count)
  if (type.bytes === 2) return new (isSigned ? Int16Array : Uint16Array)(buffer, byteOffset, count)
  if (type.bytes === 4) return new (isSigned ? Int32Array : Uint32Array)(buffer, byteOffset, count)
  throw unusable(`numbers of ${8 * type.bytes} bits are not read`)
}

/** The values from `low` to `high` inclusive; none if `low` > `high`. */
export interface NoData {
  readonly low: number
  readonly high: number
}

export interface Stretch {
  /** Offset and stride in the source. */
  readonly from: number
  readonly stride: number
  readonly to: number
  readonly count: number
  readonly nodata: NoData | null
}

/** Copies values, with NaN for no data and non-finite values. */
export function copyValues(
  out: Float32Array,
  values: Values,
  { from, stride, to, count, nodata }: Stretch,
): void {
  const { low, high } = nodata ?? { low: 1, high: 0 }
  if (values instanceof Float32Array || values instanceof Float64Array)
    for (let i = 0; i < count; i++) {
      const value = values[from + i * stride]!
      out[to + i] = (value >= low && value <= high) || !(Math.abs(value) <= LARGEST) ? Number.NaN : value
    }
  else
    for (let i = 0; i < count; i++) {
      const value = values[from + i * stride]!
      out[to + i] = value >= low && value <= high ? Number.NaN : value
    }
}
