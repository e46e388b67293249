// Small files that ask for much: work and memory are bounded by what a file has, counted in elements and not in seconds.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { chooseWeights } from '../../src/import/choose-weights.ts'
import { flatten } from '../../src/import/flatten.ts'
import { examinePositions } from '../../src/import/foreign-positions.ts'
import { readPickle } from '../../src/import/pickle.ts'
import { openTorchFile } from '../../src/import/torch-file.ts'
import { torchRules } from '../../src/import/torch-objects.ts'
import {
  called,
  dictionary,
  get,
  global,
  list,
  number,
  program,
  put,
  tensorOf,
  text,
  tuple,
  writeTorchZip,
} from './write-pickle.ts'

const work = mkdtempSync(join(tmpdir(), 'sherd-hostile-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const read = (...parts: readonly (readonly number[])[]) =>
  readPickle(Buffer.from(program(...parts)), torchRules())
const times = (count: number, bytes: readonly number[]) => Array.from({ length: count }, () => bytes).flat()

describe('a pickle that asks for more than it has', () => {
  it('may make a dictionary of a list, but not again and again', () => {
    const pairs = list(...Array.from({ length: 500 }, (_, i) => tuple(number(i), number(i))))
    const dictionaries = (count: number) => [
      ...[...pairs, ...put(0)],
      ...times(count, [...global('collections', 'OrderedDict'), ...get(0), 0x85, 0x52]),
    ]
    expect((read(dictionaries(1)).value as Map<unknown, unknown>).size).toBe(500)
    // 500 pairs 500 times: a quarter of a million elements from 32 kB.
    expect(() => read(dictionaries(500))).toThrow(/REDUCE.*apart again and again/)
  })

  it('may give one state to few objects', () => {
    const state = dictionary(...Array.from({ length: 500 }, (_, i) => [number(i), [0x4e]] as const))
    const objects = (count: number) => [
      ...[...state, ...put(0)],
      ...times(count, [...global('a', 'B'), 0x29, 0x52, ...get(0), 0x62]),
    ]
    read(objects(2))
    expect(() => read(objects(500))).toThrow(/BUILD.*apart again and again/)
  })

  it('has names, keys of storages and places in its memory of a size that these have', () => {
    const long = text('x'.repeat(501))
    expect(() => read([...long, ...text('y'), 0x93])).toThrow(/STACK_GLOBAL.*502 characters/)
    expect(() => read(tensorOf(1, 0, [1], [1], { key: 'k'.repeat(201) }))).toThrow(/by 201 characters/)
    expect(() => read([...number(1), ...put(2 ** 31)])).toThrow(/LONG_BINPUT.*under 2147483648/)
  })

  it('has as many dictionaries as a model, its optimizer and more have', () => {
    expect(() => read(times(400_001, [0x7d]))).toThrow(/more than 400000 dictionaries/)
  })

  it('has few keys that could be chosen to stand in one place of a table', () => {
    const keyed = (count: number, from: number) =>
      dictionary(...Array.from({ length: count }, (_, i) => [number(from + i), [0x4e]] as const))
    expect((read(keyed(10_001, 0)).value as Map<unknown, unknown>).size).toBe(10_001)
    expect(() => read(keyed(10_001, 1e6))).toThrow(/more than 10000 keys that are large numbers/)
    const digits = Array.from({ length: 10_001 }, (_, i) => [text(String(1e6 + i)), [0x4e]] as const)
    expect(() => read(dictionary(...digits))).toThrow(/large numbers/)
  })
})

describe('a value that is small and endless', () => {
  /** A Map that counts what is taken out of it. */
  class Counted extends Map<unknown, unknown> {
    taken = 0
    override *[Symbol.iterator](): ReturnType<Map<unknown, unknown>[typeof Symbol.iterator]> {
      for (const pair of super.entries()) {
        this.taken++
        yield pair
      }
    }
  }

  it('is walked only as often as its pickle is long', () => {
    const shared = new Counted(Array.from({ length: 300 }, (_, i) => [`k${i}`, 1]))
    const root = new Map(Array.from({ length: 300 }, (_, i) => [`m${i}`, shared]))
    const bytes = 300 * 12 // of keys and values, and of references
    expect(() => flatten(root, bytes)).toThrow(/too deep, or too many/)
    expect(shared.taken).toBeLessThanOrEqual(1000 + 2 * bytes)
    expect(flatten(new Map([['m', shared]]), bytes).facts.size).toBe(300)
  })

  it('is searched for weights once, in however many places it is', () => {
    const shared = new Counted(Array.from({ length: 300 }, (_, i) => [`k${i}`, null]))
    chooseWeights(new Map(Array.from({ length: 300 }, (_, i) => [`m${i}`, shared])), null)
    expect(shared.taken).toBeLessThanOrEqual(2 * 300) // for its tensors, and for dictionaries in it
  })

  it('has no names that grow with a long one in front of them', () => {
    const names = new Map([['x'.repeat(490), new Map([['0123456789', 1]])]])
    expect(() => flatten(names)).toThrow(/a name of 500 characters/)
  })

  it('has tensors that reach over a storage a few times together, however few elements they take of it', () => {
    const storage = { kind: 'storage', key: '0', dtype: 'float32', elements: 1e6 }
    const far = { kind: 'tensor', storage, offset: 0, shape: [2], strides: [999_999] }
    const all = (count: number) => new Map(Array.from({ length: count }, (_, i) => [`t${i}`, far]))
    expect(flatten(all(4)).tensors.size).toBe(4)
    expect(() => flatten(all(20))).toThrow(/20000000 elements together, in storages of 1000000/)
  })
})

describe('a packed file', () => {
  const places = 1000 * 1000
  const pickle = program(dictionary([text('pos_embed'), tensorOf(places, 0, [1, places, 1], [places, 1, 1])]))

  it('is not unpacked: torch.save packs nothing', async () => {
    const packed = writeTorchZip(join(work, 'packed.pth'), pickle, {
      storages: { 0: 4 * places },
      isPacked: true,
    })
    expect(statSync(packed).size).toBeLessThan(10_000) // and would be four megabytes
    await expect(openTorchFile(packed)).rejects.toThrow(/member a\/data\.pkl is packed/)
  })

  it('has no positions of a million places, packed or not', async () => {
    const path = writeTorchZip(join(work, 'grid.pth'), pickle, { storages: { 0: 4 * places } })
    const file = await openTorchFile(path)
    const tensor = flatten(file.value).tensors.get('pos_embed')!
    const data = (await file.read(tensor)) as Float32Array
    expect(() => examinePositions({ shape: tensor.shape, data }, { grid: null, half: false })).toThrow(
      /positions for 1000000 tokens: at most 65536/,
    )
    await file.close()
  })
})

it('an object where a tensor is needed is called what it is', () => {
  const { value, unknown } = read(
    dictionary([text('cls_token'), called(global('torch', 'sparse_coo_tensor'))]),
  )
  expect([...unknown]).toEqual(['torch.sparse_coo_tensor'])
  expect(flatten(value).objects).toEqual(new Map([['cls_token', 'torch.sparse_coo_tensor']]))
})
