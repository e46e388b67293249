import { crc32, deflateSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { withExif } from '../../../src/prepare/decode/png-exif.ts'

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

const head = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', Buffer.alloc(13))])
const plain = (text: string) => chunk('tEXt', Buffer.from(`Raw profile type exif\0${text}`, 'latin1'))
const packed = (text: string) =>
  chunk('zTXt', Buffer.concat([Buffer.from('Raw profile type exif\0\0', 'latin1'), deflateSync(text)]))

it('makes a chunk eXIf of the digits, in lines or not', () => {
  const exif = Buffer.concat([head, chunk('eXIf', Buffer.from('4d4d002a00000008', 'hex'))])
  for (const text of [plain('\nexif\n 8\n4d4d002a\n00000008\n'), packed('\nexif 8 4d4d002a00000008')])
    expect(Buffer.from(withExif(Buffer.concat([head, text])))).toEqual(Buffer.concat([exif, text]))
})

it.each([
  ['of blanks, which could be divided in many ways', packed(`\nexif 8${' '.repeat(250_000)}!`)],
  ['that is longer than any profile', plain(`\nexif 8 4d4d002a00000008${'\n'.repeat(300_000)}`)],
])('leaves a text %s as it is', (_, text) => {
  const file = Buffer.concat([head, text])
  expect(withExif(file)).toBe(file)
})
