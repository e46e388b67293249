/** Damaged files: a whole one, changed in a few places as transfers, disks and strangers change them. */
import fc from 'fast-check'

const interesting = [0, 1, 2, 0x7f, 0x80, 0xff, 0x20, 0x22, 0x2c, 0x2d, 0x30, 0x39, 0x5b, 0x5d, 0x7b, 0x7d]

// Not fc.double, which draws evenly over the numbers that can be written, and so nearly always the first byte.
const anywhere = fc.nat(1e6).map((n) => n / 1e6)

const change = fc.oneof(
  fc.record({
    kind: fc.constant('flip' as const),
    at: anywhere,
    bit: fc.nat(7),
  }),
  fc.record({
    kind: fc.constant('set' as const),
    at: anywhere,
    value: fc.constantFrom(...interesting),
  }),
  // Early bytes are headers, where a change matters most.
  fc.record({ kind: fc.constant('early' as const), at: fc.nat(96), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('cut' as const), at: anywhere }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: anywhere,
    bytes: fc.uint8Array({ maxLength: 16 }),
  }),
  fc.record({
    kind: fc.constant('word' as const),
    at: anywhere,
    value: fc.constantFrom(0, 1, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff),
    isLittle: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('repeat' as const),
    at: anywhere,
    length: fc.integer({ min: 1, max: 64 }),
  }),
)

export type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

/** One to six changes; now and then something that was never a file. */
export const damage: fc.Arbitrary<readonly Change[] | Uint8Array> = fc.oneof(
  { weight: 20, arbitrary: fc.array(change, { minLength: 1, maxLength: 6 }) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 256 }) },
)

/** The file with the changes. */
export function damaged(file: Uint8Array, by: readonly Change[] | Uint8Array): Buffer {
  if (by instanceof Uint8Array) return Buffer.from(by)
  let bytes: Buffer = Buffer.from(file)
  for (const each of by) {
    if (bytes.length === 0) return bytes
    const at =
      each.kind === 'early' ? Math.min(each.at, bytes.length - 1) : Math.floor(each.at * (bytes.length - 1))
    if (each.kind === 'flip') bytes[at]! ^= 1 << each.bit
    else if (each.kind === 'set' || each.kind === 'early') bytes[at] = each.value
    else if (each.kind === 'cut') bytes = bytes.subarray(0, at)
    else if (each.kind === 'insert')
      bytes = Buffer.concat([bytes.subarray(0, at), each.bytes, bytes.subarray(at)])
    else if (each.kind === 'repeat')
      bytes = Buffer.concat([bytes.subarray(0, at + each.length), bytes.subarray(at)])
    else if (at + 4 <= bytes.length) {
      if (each.isLittle) bytes.writeUInt32LE(each.value, at)
      else bytes.writeUInt32BE(each.value, at)
    }
  }
  return bytes
}
