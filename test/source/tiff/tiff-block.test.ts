import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type BlockLayout, decodeBlock } from '../../../src/source/tiff/tiff-block.ts'
import { sizedFrame } from '../../../src/source/tiff/zstd-frame.ts'

const layout: BlockLayout = {
  ...{ compression: 1, predictor: 1, littleEndian: true, width: 3, samples: 1 },
  type: { kind: 'unsigned', bytes: 1 },
}
const decode = async (data: Buffer, options: Partial<BlockLayout>, rows = 1, fullRows = rows) => [
  ...(await decodeBlock(Buffer.from(data), { ...layout, ...options }, { rows, fullRows })),
]

describe('a block of a TIFF file', () => {
  it('may be padded, and may not be short', async () => {
    const data = Buffer.from([1, 2, 3, 4, 5, 6])
    expect(await decode(data, {}, 1, 2)).toEqual([1, 2, 3])
    expect(await decode(deflateSync(data), { compression: 8 }, 1, 2)).toEqual([1, 2, 3])
    await expect(decode(data, {}, 3)).rejects.toThrow(/has 6 bytes where 9 are expected/)
    await expect(decode(deflateSync(data), { compression: 8 }, 1)).rejects.toThrow(/cannot be unpacked/)
    await expect(decode(deflateSync(data).subarray(0, 8), { compression: 8 }, 2)).rejects.toThrow(
      /cannot be unpacked/,
    )
  })

  it('of differences is summed, pixel by pixel, around the end of the numbers', async () => {
    const predictor = 2
    expect(await decode(Buffer.from([250, 10, 255]), { predictor })).toEqual([250, 4, 3])
    const pairs = Buffer.from([1, 100, 1, 1, 1, 1])
    expect(await decode(pairs, { predictor, samples: 2 })).toEqual([1, 100, 2, 101, 3, 102])
    const words = Buffer.from([0x01, 0x00, 0x00, 0xff, 0xff, 0xff]) // 256, 255, −1
    const type = { kind: 'unsigned', bytes: 2 } as const
    expect(await decode(words, { predictor, type, littleEndian: false })).toEqual([256, 511, 510])
    expect(await decode(Buffer.from(words).swap16(), { predictor, type })).toEqual([256, 511, 510])
    const doubles = Buffer.alloc(24) // as whole numbers of 64 bits: 1.0, then twice the same again
    doubles.writeDoubleLE(1, 0)
    expect(await decode(doubles, { predictor, type: { kind: 'float', bytes: 8 } })).toEqual([1, 1, 1])
  })

  it('of floats may have its bytes apart, the heaviest first, whichever end the file has first', async () => {
    const values = [1.5, -2, 3.25]
    const apart = Buffer.alloc(12)
    for (const [i, value] of values.entries()) {
      const bytes = Buffer.alloc(4)
      bytes.writeFloatBE(value)
      for (let k = 0; k < 4; k++) apart[3 * k + i] = bytes[k]!
    }
    for (let i = 11; i > 0; i--) apart[i] = apart[i]! - apart[i - 1]!
    for (const littleEndian of [true, false])
      expect(await decode(apart, { predictor: 3, littleEndian, type: { kind: 'float', bytes: 4 } })).toEqual(
        values,
      )
  })

  it('of PackBits is unpacked as in Apple’s example', async () => {
    const packed = Buffer.from('FEAA0280002AFDAA0380002A22F7AA', 'hex')
    const plain = Buffer.from('AAAAAA80002AAAAAAAAA80002A22AAAAAAAAAAAAAAAAAAAA', 'hex')
    expect(await decode(packed, { compression: 32773, width: 24 })).toEqual([...plain])
    await expect(decode(packed.subarray(0, 3), { compression: 32773, width: 24 })).rejects.toThrow(
      /has 3 bytes where 24/,
    )
    await expect(decode(Buffer.from([0xfe]), { compression: 32773, width: 3 })).rejects.toThrow(
      /has 0 bytes where 3/,
    )
  })
})

describe('Zstandard', () => {
  const magic = [0x28, 0xb5, 0x2f, 0xfd]
  const block = (size: number, isLast: boolean) => {
    const header = Buffer.alloc(3)
    header.writeUIntLE((size << 3) | (1 << 1) | (isLast ? 1 : 0), 0, 3)
    return [...header, 7] // `size` times the byte 7
  }
  const options = { compression: 50000, width: 6 }

  it('is unpacked, with and without a size in its header', async () => {
    const said = Buffer.from([...magic, 0x20, 6, ...block(6, true)])
    expect(sizedFrame(said, 6)).toBe(said)
    expect(await decode(said, options)).toEqual([7, 7, 7, 7, 7, 7])
    const unsaid = Buffer.from([...magic, 0x00, 0x00, ...block(4, false), ...block(2, true)])
    const size = [6, 0, 0, 0, 0, 0, 0, 0]
    expect([...sizedFrame(unsaid, 6)]).toEqual([...magic, 0xc0, 0x00, ...size, ...unsaid.subarray(6)])
    expect(await decode(unsaid, options)).toEqual([7, 7, 7, 7, 7, 7])
  })

  it('takes no more memory than a block has, whatever it says or holds', async () => {
    const sizes = Buffer.alloc(8)
    sizes.writeBigUInt64LE(2n ** 40n)
    const said = Buffer.from([...magic, 0xe0, ...sizes, ...block(6, true)])
    await expect(decode(said, options)).rejects.toThrow(
      /it says that it becomes 1099511627776 bytes, and 6 are/,
    )
    const many = Array.from({ length: 1000 }, (_, i) => block(131_072, i === 999)).flat()
    const long = Buffer.from([...magic, 0, 0, ...many])
    await expect(decode(long, options)).rejects.toThrow(/has 0 bytes where 6 are expected/)
    const short = Buffer.from([...magic, 0, 0, ...block(5, true)])
    await expect(decode(short, options)).rejects.toThrow(/has 0 bytes where 6 are expected/)
  })

  it('is refused where it is damaged', () => {
    const good = [...magic, 0x00, 0x00, ...block(6, true)]
    const set = (at: number, value: number) => good.map((byte, i) => (i === at ? value : byte))
    const wrong = [[], magic, good.slice(0, -1), [...good, 0], [...good, ...good], [...magic, 0x20]]
    for (const bytes of [...wrong, set(0, 1), set(4, 8), set(5, 0xff), set(6, 7), set(4, 4)])
      expect(() => sizedFrame(Buffer.from(bytes), 6)).toThrow(/Zstandard data are damaged/)
  })
})
