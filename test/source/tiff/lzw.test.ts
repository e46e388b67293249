import { describe, expect, it } from 'vitest'
import { draws } from '../../../src/random/draws.ts'
import { unpackLzw } from '../../../src/source/tiff/lzw.ts'

/** By the definition in TIFF 6.0: codes of growing width, the heaviest bit first. */
function pack(data: readonly number[], isEnded = true): Uint8Array {
  const bits: number[] = []
  let width = 9
  const put = (code: number) => {
    for (let bit = width - 1; bit >= 0; bit--) bits.push((code >> bit) & 1)
  }
  let table = new Map<string, number>()
  const clear = () => {
    put(256)
    table = new Map()
    width = 9
  }
  const codeOf = (text: readonly number[]) => (text.length === 1 ? text[0]! : table.get(text.join())!)
  clear()
  let held: number[] = []
  for (const byte of data) {
    const longer = [...held, byte]
    if (held.length === 0 || table.has(longer.join())) {
      held = longer
      continue
    }
    put(codeOf(held))
    table.set(longer.join(), 258 + table.size)
    const next = 258 + table.size
    if (next === 512 || next === 1024 || next === 2048) width++
    if (next === 4095) clear()
    held = [byte]
  }
  if (held.length > 0) put(codeOf(held))
  if (isEnded) put(257)
  while (bits.length % 8) bits.push(0)
  return Uint8Array.from({ length: bits.length / 8 }, (_, i) =>
    Number.parseInt(bits.slice(8 * i, 8 * i + 8).join(''), 2),
  )
}

describe('LZW', () => {
  it('unpacks the example of TIFF 6.0', () => {
    // 7 7 7 8 8 7 7 6 6 as the codes Clear 7 258 8 8 258 6 6 End.
    const codes = [256, 7, 258, 8, 8, 258, 6, 6, 257]
      .map((code) => code.toString(2).padStart(9, '0'))
      .join('')
    const bytes = codes
      .padEnd(88, '0')
      .match(/.{8}/g)!
      .map((byte) => Number.parseInt(byte, 2))
    const out = new Uint8Array(20)
    expect(unpackLzw(Uint8Array.from(bytes), out)).toBe(9)
    expect([...out.subarray(0, 9)]).toEqual([7, 7, 7, 8, 8, 7, 7, 6, 6])
  })

  it.each([0, 1, 2, 4, 256])('unpacks what was packed, of %i kinds of bytes', (kinds) => {
    const draw = draws({ seed: 3, stream: 'crop', epoch: 0, index: kinds })
    const data = Array.from({ length: 20_000 }, () => (kinds === 0 ? 0 : draw.below(kinds)))
    const out = new Uint8Array(data.length)
    expect(unpackLzw(pack(data), out)).toBe(data.length)
    expect(Buffer.compare(out, Uint8Array.from(data))).toBe(0)
    // No more than there is room for.
    const short = new Uint8Array(777)
    expect(unpackLzw(pack(data), short)).toBe(777)
    expect(Buffer.compare(short, Uint8Array.from(data.slice(0, 777)))).toBe(0)
  })

  it('stops where the codes stop, and refuses codes that cannot be', () => {
    expect(unpackLzw(new Uint8Array(), new Uint8Array(5))).toBe(0)
    const cut = pack([1, 2, 3, 4, 5, 6, 7, 8], false).subarray(0, 4)
    expect(unpackLzw(cut, new Uint8Array(8))).toBe(2)
    expect(() => unpackLzw(Uint8Array.of(0x80, 0x3f, 0xff, 0xff), new Uint8Array(8))).toThrow(
      /LZW data are damaged/,
    )
    expect(() => unpackLzw(Uint8Array.of(0, 1), new Uint8Array(8))).toThrow(/of an old kind/)
  })
})
