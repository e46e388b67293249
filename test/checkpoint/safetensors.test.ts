import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { SherdError } from '../../src/errors.ts'
import { call } from '../../src/tensor/call.ts'
import { type ArrayOf, type DType, dtypes } from '../../src/tensor/dtype.ts'
import { permute } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor, toArray } from '../../src/tensor/tensor.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'

const every: { readonly [D in DType]: ArrayOf<D> } = {
  uint8: Uint8Array.of(0, 7, 255),
  int32: Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1),
  int64: BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n),
  float16: Uint16Array.of(0x3c00, 0xbc00, 0x7c01),
  float32: Float32Array.of(-1.5, Number.NaN, -0),
  float64: Float64Array.of(Math.PI, Number.MIN_VALUE, Number.NEGATIVE_INFINITY),
  bool: Uint8Array.of(1, 0, 1),
  bfloat16: Uint16Array.of(0x3f80, 0xbf80, 0x7f81),
}
const bytesOf = (x: Tensor) => [...new Uint8Array(toArray(x).buffer as ArrayBuffer)]

/** The format, read by its description alone: eight bytes of length, JSON, bytes. */
function readByDescription(path: string) {
  const file = readFileSync(path)
  const length = Number(file.readBigUInt64LE(0))
  const { __metadata__, ...entries } = JSON.parse(file.toString('utf8', 8, 8 + length)) as {
    [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] }
  }
  const data = file.subarray(8 + length)
  return {
    dataStart: 8 + length,
    metadata: __metadata__ as unknown,
    entries: Object.entries(entries).map(([name, { dtype, shape, data_offsets }]) => ({
      name,
      dtype,
      shape,
      bytes: [...data.subarray(...data_offsets)],
      data_offsets,
    })),
  }
}

/** A file of a header as JSON (or any text) and `data` bytes behind it. */
function fileOf(header: unknown, data: number | Uint8Array = 0, claimed?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed ?? BigInt(json.length))
  const path = join(temporaryFolder(), 'stranger.safetensors')
  writeFileSync(path, Buffer.concat([length, json, typeof data === 'number' ? Buffer.alloc(data) : data]))
  return path
}

describe('writeSafetensors and readSafetensors', () => {
  it('keep every bit of every type, shapes, order and metadata', () =>
    scope(() => {
      const path = join(temporaryFolder(), 'all.safetensors')
      const tensors = new Map(
        Object.entries(every).map(([dtype, data]) => [
          `of ${dtype}`,
          fromArray(data as never, [3, 1], dtype as DType),
        ]),
      )
      tensors.set('scalar', tensor([4], []))
      tensors.set('nothing', tensor([], [2, 0]))
      const metadata = { format: 'pt', 'ключ "quoted"': 'line\nbreak 🏺', '': '' }
      writeSafetensors(path, tensors, metadata)
      const back = readSafetensors(path)
      expect(back.metadata).toEqual(metadata)
      expect([...back.tensors.keys()]).toEqual([...tensors.keys()])
      for (const [name, x] of tensors) {
        const found = back.tensors.get(name)!
        expect([found.dtype, found.shape, bytesOf(found)]).toEqual([x.dtype, x.shape, bytesOf(x)])
      }
    }))

  it('write what anybody can read', () =>
    scope(() => {
      const path = join(temporaryFolder(), 'plain.safetensors')
      const x = tensor([1, 2, 3, 4, 5, 6], [2, 3])
      const tensors = new Map([
        ['byte', fromArray(Uint8Array.of(9), [1], 'uint8')], // an odd number of bytes before the next
        ['turned', permute(x, [1, 0])],
        ['half', fromArray(Uint16Array.of(0x3f80), [], 'bfloat16')],
      ])
      writeSafetensors(path, tensors, { who: 'sherd' })
      const { dataStart, metadata, entries } = readByDescription(path)
      expect(dataStart % 8).toBe(0)
      expect(metadata).toEqual({ who: 'sherd' })
      expect(
        entries.map(({ name, dtype, shape, data_offsets }) => [name, dtype, shape, data_offsets]),
      ).toEqual([
        ['byte', 'U8', [1], [0, 1]],
        ['turned', 'F32', [3, 2], [1, 25]],
        ['half', 'BF16', [], [25, 27]],
      ])
      const turned = new Float32Array(Uint8Array.from(entries[1]!.bytes).buffer)
      expect([...turned]).toEqual([1, 4, 2, 5, 3, 6]) // row by row, not as it lies in memory
      expect(entries[2]!.bytes).toEqual([0x80, 0x3f])
    }))

  it('name every type as the format does', () =>
    scope(() => {
      const path = join(temporaryFolder(), 'types.safetensors')
      writeSafetensors(
        path,
        new Map(Object.entries(every).map(([d, data]) => [d, fromArray(data as never, [3], d as DType)])),
      )
      const names = { uint8: 'U8', int32: 'I32', int64: 'I64', float16: 'F16' }
      const more = { float32: 'F32', float64: 'F64', bool: 'BOOL', bfloat16: 'BF16' }
      const { entries } = readByDescription(path)
      expect(Object.fromEntries(entries.map(({ name, dtype }) => [name, dtype]))).toEqual({
        ...names,
        ...more,
      })
      for (const { name, bytes } of entries) expect(bytes.length).toBe(3 * dtypes[name as DType].bytes)
    }))

  it('start data on eight bytes whatever the names', () =>
    scope(() => {
      const dir = temporaryFolder()
      for (let n = 0; n < 9; n++) {
        const path = join(dir, `${n}.safetensors`)
        writeSafetensors(path, new Map([['x'.repeat(n), tensor([n], [1])]]))
        expect(readByDescription(path).dataStart % 8).toBe(0)
        expect([...readSafetensors(path).tensors.values()].map(numbers)).toEqual([[n]])
      }
    }))

  it('are at ease with names that JavaScript knows, and with no tensors', () =>
    scope(() => {
      const path = join(temporaryFolder(), 'names.safetensors')
      const names = ['__proto__', 'constructor', 'toString', '', '0', 'a"b\\c', 'data_offsets']
      writeSafetensors(path, new Map(names.map((name, i) => [name, tensor([i], [1])])))
      const { tensors } = readSafetensors(path)
      expect(new Map([...tensors].map(([name, x]) => [name, numbers(x)[0]]))).toEqual(
        new Map(names.map((name, i) => [name, i])),
      )
      writeSafetensors(path, new Map())
      expect(readSafetensors(path)).toEqual({ metadata: {}, tensors: new Map() })
    }))

  it('read a file that another program wrote: padded, in another order, with keys that sherd does not know', () =>
    scope(() => {
      const header = `{ "b": {"data_offsets":[4,8],"shape":[1],"dtype":"F32","note":"?"},\n"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]} }   `
      const path = fileOf(header, new Uint8Array(Float32Array.of(1, 2).buffer))
      const { metadata, tensors } = readSafetensors(path)
      expect(metadata).toEqual({})
      expect([...tensors].map(([name, x]) => [name, numbers(x)])).toEqual([
        ['b', [2]],
        ['a', [1]],
      ])
    }))

  it('refuse to write what the format has no name for', () =>
    scope(() => {
      const path = join(temporaryFolder(), 'x.safetensors')
      const complex = call('to.dtype', tensor([1], [1]), 9)
      const refused = (name: string, x: Tensor) => expect(() => writeSafetensors(path, new Map([[name, x]])))
      refused('c', complex).toThrow(`Cannot write "c" (type 9[1]) to ${path}: unsupported element type`)
      refused('__metadata__', tensor([1], [1])).toThrow('the format keeps this name for itself')
    }))
})

describe('a malformed file is a CHECKPOINT error that names it', () => {
  const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]) => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  })
  const two = { a: f32(0, 4), b: f32(4, 8) }
  const files: [string, RegExp, () => string][] = [
    ['no bytes', /only 0 bytes/, () => join(temporaryFolder({ empty: '' }), 'empty')],
    ['nine bytes', /only 9 bytes/, () => join(temporaryFolder({ nine: '123456789' }), 'nine')],
    [
      'text',
      /header claims \d+ bytes in a file of 26/,
      () => join(temporaryFolder({ text: 'this is no such file at al' }), 'text'),
    ],
    ['a header longer than the file', /header claims 4096 bytes/, () => fileOf(two, 8, 4096n)],
    ['a header of 2⁶³ bytes', /header claims 9223372036854776000/, () => fileOf(two, 8, 2n ** 63n)],
    ['a header of 2⁶⁴ − 1 bytes', /header claims 18446744073709552000/, () => fileOf(two, 8, 2n ** 64n - 1n)],
    ['a header of no bytes', /header claims 0 bytes/, () => fileOf(two, 8, 0n)],
    ['a header that is cut', /header is not JSON/, () => fileOf(two, 8, 20n)],
    [
      'a header that reaches into the data',
      /header is not JSON/,
      () => fileOf(two, 8, BigInt(JSON.stringify(two).length + 4)),
    ],
    ['a header that is no JSON', /header is not JSON/, () => fileOf('{"a": }')],
    ['a header that is an array', /header is not a JSON object/, () => fileOf('[1, 2]')],
    ['a header that is null', /header is not a JSON object/, () => fileOf('null')],
    ['a header that is a string', /header is not a JSON object/, () => fileOf('"text"')],
    [
      'metadata of numbers',
      /__metadata__ is not an object of strings/,
      () => fileOf({ __metadata__: { step: 1 } }),
    ],
    ['metadata as a list', /__metadata__ is not an object of strings/, () => fileOf({ __metadata__: ['x'] })],
    ['an entry that is a number', /entry "a" is malformed/, () => fileOf({ a: 1 }, 4)],
    [
      'an entry without a type',
      /entry "a" is malformed: .*dtype/s,
      () => fileOf({ a: { shape: [1], data_offsets: [0, 4] } }, 4),
    ],
    [
      'an entry without offsets',
      /entry "a" is malformed: .*data_offsets/s,
      () => fileOf({ a: { dtype: 'F32', shape: [1] } }, 4),
    ],
    [
      'an unknown type',
      /entry "a" is malformed: .*dtype/s,
      () => fileOf({ a: { ...f32(0, 4), dtype: 'F8_E4M3' } }, 4),
    ],
    [
      'a type named like a method',
      /entry "a" is malformed/,
      () => fileOf({ a: { ...f32(0, 4), dtype: 'toString' } }, 4),
    ],
    ['a negative size', /entry "a" is malformed: .*shape/s, () => fileOf({ a: f32(0, 4, [-1, -1]) }, 4)],
    ['half a size', /entry "a" is malformed/, () => fileOf({ a: f32(0, 4, [0.5, 2]) }, 4)],
    ['a size as text', /entry "a" is malformed/, () => fileOf({ a: f32(0, 4, ['1']) }, 4)],
    ['a shape as a number', /entry "a" is malformed/, () => fileOf({ a: f32(0, 4, 1) }, 4)],
    ['a size beyond exact integers', /entry "a" is malformed/, () => fileOf({ a: f32(0, 4, [2 ** 54]) }, 4)],
    [
      'a size of 1e400',
      /entry "a" is malformed/,
      () => fileOf('{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,4]}}', 4),
    ],
    ['seventeen dimensions', /entry "a" is malformed/, () => fileOf({ a: f32(0, 4, Array(17).fill(1)) }, 4)],
    [
      'sizes whose product wraps to the span',
      /entry "a" needs 7\d+ bytes but spans 0/,
      () => fileOf({ a: f32(0, 0, [2 ** 32, 2 ** 32]) }),
    ],
    [
      'sizes that overflow beside a zero',
      /overflow/i,
      () => fileOf({ a: f32(0, 0, [2 ** 53 - 1, 2 ** 53 - 1, 0]) }),
    ],
    [
      'too few bytes for the shape',
      /entry "a" needs 8 bytes but spans 4/,
      () => fileOf({ a: f32(0, 4, [2]) }, 4),
    ],
    [
      'too many bytes for the shape',
      /entry "a" needs 4 bytes but spans 8/,
      () => fileOf({ a: f32(0, 8, [1]) }, 8),
    ],
    [
      'an end before its beginning',
      /entry "a" needs 4 bytes but spans -4/,
      () => fileOf({ a: f32(4, 0, [1]) }, 4),
    ],
    ['negative offsets', /entry "a" is malformed/, () => fileOf({ a: f32(-4, 0, [1]) }, 4)],
    [
      'three offsets',
      /entry "a" is malformed/,
      () => fileOf({ a: { ...f32(0, 4), data_offsets: [0, 2, 4] } }, 4),
    ],
    [
      'tensors that overlap',
      /entry "b" starts at byte 2, expected 4: tensors overlap or leave a hole/,
      () => fileOf({ a: f32(0, 4), b: f32(2, 6) }, 6),
    ],
    [
      'two tensors in one place',
      /entry "b" starts at byte 0, expected 4/,
      () => fileOf({ a: f32(0, 4), b: f32(0, 4) }, 4),
    ],
    ['a hole at the start', /entry "a" starts at byte 4, expected 0/, () => fileOf({ a: f32(4, 8) }, 8)],
    [
      'a hole between',
      /entry "b" starts at byte 8, expected 4/,
      () => fileOf({ a: f32(0, 4), b: f32(8, 12) }, 12),
    ],
    ['bytes that belong to nobody', /should be \d+ bytes long, but is \d+/, () => fileOf(two, 9)],
    ['no data', /should be \d+ bytes long, but is \d+: truncated/, () => fileOf(two, 0)],
    [
      'an offset beyond the file',
      /should be 4000000\d+ bytes long/,
      () => fileOf({ a: f32(0, 4_000_000_000) }, 4),
    ],
    [
      'a name twice',
      /names a tensor twice/,
      () =>
        fileOf(
          '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}',
          4,
        ),
    ],
    [
      'a name twice, once in disguise',
      /names a tensor twice/,
      () =>
        fileOf(
          '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
          4,
        ),
    ],
    ['metadata twice', /names a tensor twice/, () => fileOf('{"__metadata__":{},"__metadata__":{"a":"b"}}')],
    [
      'a wrong entry named __proto__',
      /entry "__proto__" is malformed/,
      () => fileOf('{"__proto__":{"dtype":"F32"}}', 4),
    ],
  ]
  it.each(files)('%s', (_, pattern, make) => {
    const path = make()
    let error: unknown
    try {
      scope(() => readSafetensors(path))
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(SherdError)
    const { code, message } = error as SherdError
    expect(code).toBe('CHECKPOINT')
    expect(message.startsWith(`${path} cannot be read as safetensors: `)).toBe(true)
    expect(message).toMatch(pattern)
  })

  it('cut off after any number of bytes', () =>
    scope(() => {
      const path = fileOf(
        { __metadata__: { who: 'x' }, ...two },
        new Uint8Array(Float32Array.of(1, 2).buffer),
      )
      const whole = readFileSync(path).length
      expect(readSafetensors(path).tensors.size).toBe(2)
      for (let size = whole - 1; size >= 0; size--) {
        const fd = openSync(path, 'r+')
        ftruncateSync(fd, size)
        closeSync(fd)
        expect(() => readSafetensors(path), `${size} bytes`).toThrow(
          expect.objectContaining({ code: 'CHECKPOINT', message: expect.stringContaining(path) }),
        )
      }
    }))

  it('that is not there, or a folder', () => {
    const dir = temporaryFolder()
    const failing = (path: string, message: string) =>
      expect(() => readSafetensors(path)).toThrow(
        expect.objectContaining({ code: 'CHECKPOINT', message: expect.stringContaining(message) }),
      )
    failing(join(dir, 'none'), `Cannot open ${join(dir, 'none')}`)
    failing(dir, `Cannot open ${dir}: it is no regular file`)
  })
})
