/**
 * The subset of Protocol Buffers' wire format that ONNX needs: varints, floats, and length-delimited fields. Messages are lists of parts,
 * so that weights are not copied into one large buffer.
 */
import { SherdError } from '../errors.ts'

/** Concatenated when written. */
export type Parts = readonly Uint8Array[]

const [VARINT, DOUBLE, LENGTH, FLOAT] = [0, 1, 2, 5]

export const byteLength = (parts: Parts): number => parts.reduce((sum, part) => sum + part.byteLength, 0)

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = []
  let left = BigInt.asUintN(64, BigInt(value)) // a negative number has ten bytes
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128)
  bytes.push(Number(left))
  return Uint8Array.from(bytes)
}

const tag = (field: number, wire: number) => varint((field << 3) | wire)

export const integer = (field: number, value: number | bigint): Parts => [tag(field, VARINT), varint(value)]

export function float(field: number, value: number): Parts {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setFloat32(0, value, true)
  return [tag(field, FLOAT), bytes]
}

export const message = (field: number, parts: Parts): Parts => [
  tag(field, LENGTH),
  varint(byteLength(parts)),
  ...parts,
]
export const bytes = (field: number, value: Uint8Array): Parts => message(field, [value])
export const text = (field: number, value: string): Parts => bytes(field, new TextEncoder().encode(value))
/** Packed repeated integers. */
export const packed = (field: number, values: readonly number[]): Parts => message(field, values.map(varint))

/** Reads `length` bytes from `position` on. */
export type ReadAt = (position: number, length: number) => Uint8Array

export interface Field {
  readonly number: number
  /** Start and end of its content. */
  readonly begin: number
  readonly end: number
}

/** The fields of a message, undecoded. Throws `VALUE` for invalid data. */
export function* fieldsIn(read: ReadAt, begin: number, end: number): Generator<Field> {
  const broken = (at: number) => new SherdError('VALUE', `no protocol buffer at byte ${at}`)
  const number = (at: number): { value: number; next: number } => {
    const head = read(at, Math.min(10, end - at))
    let value = 0
    for (const [i, byte] of head.entries()) {
      value += (byte & 127) * 2 ** (7 * i)
      if (byte < 128) return { value, next: at + i + 1 }
    }
    throw broken(at)
  }
  for (let at = begin; at < end; ) {
    const { value: key, next } = number(at)
    const [field, wire] = [Math.floor(key / 8), key % 8]
    const length = wire === LENGTH ? number(next) : null
    const start = length ? length.next : next
    const stop =
      wire === VARINT
        ? number(next).next
        : start + (length ? length.value : wire === DOUBLE ? 8 : wire === FLOAT ? 4 : Number.NaN)
    if (field < 1 || !(stop <= end)) throw broken(at)
    yield { number: field, begin: start, end: stop }
    at = stop
  }
}
