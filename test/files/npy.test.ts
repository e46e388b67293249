import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { examineNpy, npyHeader, npyHeaderBytes, readNpy } from '../../src/files/npy.ts'
import { temporaryFolder } from '../prepare/decode/make-images.ts'

let dir: string
beforeAll(async () => {
  dir = await temporaryFolder()
})
let files = 0
function save(...parts: Uint8Array[]): string {
  const path = join(dir, `${files++}.npy`)
  writeFileSync(path, Buffer.concat(parts))
  return path
}

describe('npy', () => {
  it('writes the header of NumPy’s format 1.0', () => {
    const header = npyHeader({ dtype: '<i4', shape: [3, 2] })
    expect(header.length).toBe(npyHeaderBytes)
    expect([...header.subarray(0, 10)]).toEqual([0x93, 78, 85, 77, 80, 89, 1, 0, 118, 0])
    expect(header.toString('latin1', 10).trimEnd()).toBe(
      "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }",
    )
    expect(header.toString('latin1', 127)).toBe('\n')
    expect(npyHeader({ dtype: '|u1', shape: [7] }).toString('latin1', 10)).toContain("'shape': (7,), }")
  })

  it('reads what it wrote', () => {
    const values = Int32Array.of(1, -2, 3, 4, 5, 6)
    const path = save(npyHeader({ dtype: '<i4', shape: [3, 2] }), new Uint8Array(values.buffer))
    const expected = { dtype: '<i4', shape: [3, 2], start: 128, bytes: 24 }
    expect(examineNpy(path)).toEqual(expected)
    const read = readNpy(path, { dtype: /^<i4$/, shape: [3, 2] })
    expect(read).toMatchObject(expected)
    expect(new Int32Array(read.values.buffer)).toEqual(values)
    expect(() => readNpy(path, { dtype: /^<i4$/, shape: [6] })).toThrow(
      /\.npy cannot be used: expected .*<i4.* of shape \(6\), got <i4 of shape \(3,2\)/,
    )
    expect(() => readNpy(path, { dtype: /^<i8$/, shape: [3, 2] })).toThrow(/expected .*<i8/)
  })

  const header = (text: string, length = text.length) => {
    const start = Buffer.from('\x93NUMPY\x01\0..', 'latin1')
    start.writeUInt16LE(length, 8)
    return [start, Buffer.from(text)]
  }
  it.each<[string, Uint8Array[]]>([
    ['nothing', []],
    ['another format', [Buffer.from('PK\x03\x04 something longer')]],
    ['version 2', [Buffer.from('\x93NUMPY\x02\0\x10\0', 'latin1')]],
    ['a header that ends behind the end of the file', header("{'descr': '|u1'", 60_000)],
    ['a header that is no dictionary', header('import os\n')],
    [
      'Fortran order',
      header("{'descr': '|u1', 'fortran_order': True, 'shape': (1,), }\n").concat(Buffer.alloc(1)),
    ],
    [
      'objects',
      header("{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }\n").concat(Buffer.alloc(8)),
    ],
    [
      'big endian',
      header("{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }\n").concat(Buffer.alloc(4)),
    ],
    [
      'too few values',
      header("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n").concat(Buffer.alloc(7)),
    ],
    [
      'too many values',
      header("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n").concat(Buffer.alloc(9)),
    ],
    [
      'a shape beyond all numbers',
      header(`{'descr': '<i8', 'fortran_order': False, 'shape': (999999999999999, 999999999999999), }\n`),
    ],
  ])('refuses %s', (_, parts) => {
    const path = save(...parts)
    expect(() => examineNpy(path)).toThrow(
      expect.objectContaining({ code: 'SOURCE', message: expect.stringContaining(`${path} cannot be used`) }),
    )
  })

  it('refuses a file that is gone', () => expect(() => examineNpy(join(dir, 'gone.npy'))).toThrow(/ENOENT/))
})
