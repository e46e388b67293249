// Zip files as fflate writes them; the reader is our own.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { afterEach, describe, expect, it } from 'vitest'
import { type ByteFile, openBytes } from '../../src/files/byte-file.ts'
import { readMember, readMemberStart, readStored, zipMembers } from '../../src/files/zip.ts'
import { temporaryFolder } from '../prepare/decode/make-images.ts'

const text = Buffer.from('a little text, and a little text again, '.repeat(100))
const dir = await temporaryFolder()
let files = 0
const save = (bytes: Uint8Array) => {
  const path = join(dir, `${files++}.zip`)
  writeFileSync(path, bytes)
  return path
}
const packed = (level: 0 | 9) =>
  Buffer.from(zipSync({ 'a.npy': text, 'empty.npy': new Uint8Array() }, { level }))
const opened: ByteFile[] = []
afterEach(() => Promise.all(opened.splice(0).map((file) => file.close())))

const open = async (bytes: Uint8Array) => {
  const file = await openBytes(save(bytes))
  opened.push(file)
  return { file, members: await zipMembers(file) }
}
type Change = (zip: Buffer) => Buffer
/** Another number in a place that depends on the file. */
const put =
  (bits: 16 | 32, value: number, place: (zip: Buffer) => number): Change =>
  (zip) => {
    zip[`writeUInt${bits}LE`](value, place(zip))
    return zip
  }
/** Where a header of the directory begins. */
const entryOf = (zip: Buffer) => zip.indexOf(Buffer.from('PK\x01\x02', 'latin1'))

describe('zip files', () => {
  it.each([0, 9] as const)('give their members, packed at level %i', async (level) => {
    const { file, members } = await open(packed(level))
    expect(members.map(({ name, bytes, isDeflated }) => [name, bytes, isDeflated])).toEqual([
      ['a.npy', text.length, level > 0],
      ['empty.npy', 0, level > 0],
    ])
    expect(await readMember(file, members[0]!)).toEqual(text)
    expect(await readMember(file, members[1]!)).toEqual(Buffer.alloc(0))
    expect(await readMemberStart(file, members[0]!, 50)).toEqual(text.subarray(0, 50))
    if (level === 0) expect(await readStored(file, members[0]!, 7, 30)).toEqual(text.subarray(7, 37))
  })

  it('are found before a comment, and by Zip64 records', async () => {
    const zip = packed(9)
    const end = zip.length - 22
    zip.writeUInt16LE(3, end + 20)
    expect((await open(Buffer.concat([zip, Buffer.from('abc')]))).members.length).toBe(2)

    const plain = packed(9)
    const record = Buffer.alloc(56)
    record.writeUInt32LE(0x06064b50, 0)
    record.writeBigUInt64LE(2n, 32)
    record.writeBigUInt64LE(BigInt(plain.readUInt32LE(end + 12)), 40)
    record.writeBigUInt64LE(BigInt(plain.readUInt32LE(end + 16)), 48)
    const locator = Buffer.alloc(20)
    locator.writeUInt32LE(0x07064b50, 0)
    locator.writeBigUInt64LE(BigInt(end), 8)
    const last = Buffer.from(plain.subarray(end)).fill(0xff, 8, 20)
    const { file, members } = await open(Buffer.concat([plain.subarray(0, end), record, locator, last]))
    expect(await readMember(file, members[0]!)).toEqual(text)
  })

  it.each<[string, Change, RegExp]>([
    ['no zip file', () => Buffer.from('PK but no more of it'), /it is no zip file, or cut short/],
    ['a cut end', (zip) => zip.subarray(0, -1), /it is no zip file, or cut short/],
    ['a directory behind the end', put(32, 1e9, (zip) => zip.length - 6), /bytes 1000000000 to/],
    ['too many members', put(16, 60_000, (zip) => zip.length - 12), /its zip directory is damaged/],
    ['another method', put(16, 12, (zip) => entryOf(zip) + 10), /a\.npy is packed by method 12/],
    ['a secret', put(16, 1, (zip) => entryOf(zip) + 8), /a\.npy is encrypted/],
    [
      'a size that cannot be',
      put(32, 2e9, (zip) => entryOf(zip) + 24),
      /a\.npy cannot be 2000000000 bytes from/,
    ],
  ])('are refused: %s', async (_, change, message) => {
    await expect(open(change(packed(9)))).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(message),
    })
  })

  it.each<[string, Change, RegExp]>([
    [
      'a member that is elsewhere',
      put(32, 3, (zip) => entryOf(zip) + 42),
      /a\.npy is not where the directory says/,
    ],
    ['more bytes than it says', put(32, 100, (zip) => entryOf(zip) + 24), /a\.npy cannot be unpacked/],
    ['fewer', put(32, text.length + 1, (zip) => entryOf(zip) + 24), /a\.npy is damaged/],
    ['another sum', put(32, 1, (zip) => entryOf(zip) + 16), /a\.npy is damaged: its sum/],
  ])('are not read where they have %s', async (_, change, message) => {
    const { file, members } = await open(change(packed(9)))
    await expect(readMember(file, members[0]!)).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(message),
    })
  })
})
