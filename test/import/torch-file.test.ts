import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toFloat32 } from '../../src/checkpoint/arrays.ts'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { flatten } from '../../src/import/flatten.ts'
import { readPickle } from '../../src/import/pickle.ts'
import { openTorchFile } from '../../src/import/torch-file.ts'
import { isTensor, type TorchTensor } from '../../src/import/torch-objects.ts'
import { packageRoot } from '../../src/package-root.ts'
import { folderOfFile } from '../after-file.ts'
import {
  called,
  dictionary,
  global,
  list,
  none,
  program,
  tensorOf,
  text,
  tuple,
  writeTorchLegacy,
  writeTorchZip,
} from './write-pickle.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = folderOfFile()

const torchFile = (name: string, pickle: readonly number[], storages: Record<string, number> = {}) =>
  writeTorchZip(join(work, name), pickle, { storages })

describe('a file of torch.save', () => {
  it('gives windows of storages in every type, by offset and strides', async () => {
    const file = await openTorchFile(join(fixtures, 'odd.pth'))
    const { tensors } = flatten(file.value)
    const { tensors: expected } = readArrays(join(fixtures, 'expected.safetensors'))
    for (const name of ['window', 'transposed', 'every other', 'double', 'half', 'bfloat16']) {
      const tensor = tensors.get(name)!
      const want = expected.get(`odd.${name}`)!
      expect(tensor.shape, name).toEqual(want.shape)
      expect([...toFloat32(await file.read(tensor), tensor.storage.dtype)], name).toEqual([...want.data])
    }
    expect([...((await file.read(tensors.get('long')!)) as BigInt64Array)]).toEqual([2n ** 40n, -1n])
    expect([...(await file.read(tensors.get('flag')!))]).toEqual([1, 0])
    expect([...(await file.read(tensors.get('scalar')!))]).toEqual([2.5])
    expect([...(await file.read(tensors.get('parameter')!))]).toEqual([7])
    expect(tensors.get('empty')!.shape).toEqual([0, 3])
    expect((await file.read(tensors.get('empty')!)).length).toBe(0)
    expect((file.value as Map<string, unknown>).get('numbers')).toEqual([
      ...[1, -1, 300, 70000, 2 ** 40, 1.5, null, true],
    ])
    await file.close()
  })

  it('gives the arguments of a training beside its weights', async () => {
    const file = await openTorchFile(join(fixtures, 'mae.pth'))
    const { tensors, facts } = flatten(file.value)
    expect(tensors.get('model.blocks.0.attn.qkv.weight')!.shape).toEqual([24, 8])
    expect(tensors.has('optimizer.state.0.exp_avg')).toBe(true)
    expect(facts.get('args.model')).toBe('mae_vit_tiny')
    expect(facts.get('args.norm_pix_loss')).toBe(true)
    expect(facts.get('epoch')).toBe(3)
    await file.close()
  })

  it('calls nothing that it names, and lists what it asks for', async () => {
    const file = await openTorchFile(join(fixtures, 'forbidden.pth'))
    expect(file.unknown).toEqual(['posix.system'])
    expect(flatten(file.value).objects).toEqual(new Map([['model', 'posix.system']]))
    expect(existsSync('/tmp/sherd-forbidden-pickle-ran')).toBe(false)
    await file.close()
  })

  it('says where a file of an old PyTorch is cut short', async () => {
    await expect(openTorchFile(join(fixtures, 'legacy.pth'))).rejects.toThrow(/byte 53.*ends in the middle/)
  })

  it('before PyTorch 1.6 is read: pickles one behind the other, then storages', async () => {
    const value = dictionary(
      [text('a'), tensorOf(3, 1, [2], [1], { key: 'first' })],
      [text('b'), tensorOf(2, 0, [2, 1], [1, 1], { key: 'second' })],
    )
    const path = writeTorchLegacy(join(work, 'old.pth'), value, { second: [5, 6], first: [1, 2, 3] })
    const file = await openTorchFile(path)
    const { tensors } = flatten(file.value)
    expect([...(await file.read(tensors.get('a')!))]).toEqual([2, 3])
    expect([...(await file.read(tensors.get('b')!))]).toEqual([5, 6])
    await file.close()
    const whole = readFileSync(path)
    const damaged = (bytes: Buffer) => {
      writeFileSync(path, bytes)
      return openTorchFile(path)
    }
    await expect(damaged(whole.subarray(0, -4))).rejects.toThrow(/beyond its end/)
    const other = Buffer.from(whole)
    other.writeUInt8(9, other.length - 8 - 3 * 4) // the count of elements of "first"
    await expect(damaged(other)).rejects.toThrow(/storage first has 9 elements, expected 3/)
    const few = writeTorchLegacy(path, value, { first: [1, 2, 3] })
    const missing = await openTorchFile(few)
    await expect(missing.read(tensors.get('b')!)).rejects.toThrow(/storage second is missing/)
    await missing.close()
  })

  it('keeps what lies beside the weights as objects, whatever it is', async () => {
    const array = called(global('numpy.core.multiarray', 'scalar'), text('x'))
    const path = called(global('pathlib', 'PosixPath'), text('/'), text('tmp'))
    const counter = [...global('collections', 'Counter'), 0x7d, 0x85, 0x52]
    const dtype = [...called(global('numpy', 'dtype'), text('f8')), ...tuple(none), 0x62] // its state is a tuple
    const items = [...called(global('addict', 'Dict')), ...text('lr'), 0x4b, 3, 0x73]
    const set = [0x8f, 0x28, 0x4b, 1, 0x90]
    const made = [...global('a', 'B'), 0x29, 0x7d, 0x92] // NEWOBJ_EX
    const file = await openTorchFile(
      torchFile(
        'beside.pth',
        program(
          dictionary(
            [text('w'), tensorOf(1, 0, [1], [1])],
            [text('best'), array],
            [text('args'), dictionary([text('dir'), path])],
            [text('milestones'), counter],
            [text('dtype'), dtype],
            [text('type'), global('torch', 'float32')],
            [text('short'), tensorOf(1, 0, [1], [1], { type: 'ShortStorage' })],
            [text('more'), list(set, made, items)],
            [text('config'), items],
          ),
        ),
        { 0: 4 },
      ),
    )
    const { tensors, facts, objects } = flatten(file.value)
    expect([...tensors.keys()]).toEqual(['w'])
    expect(facts.get('config.lr')).toBe(3)
    expect(Object.fromEntries(objects)).toEqual({
      ...{ best: 'numpy.core.multiarray.scalar', 'args.dir': 'pathlib.PosixPath', config: 'addict.Dict' },
      ...{ milestones: 'collections.Counter', dtype: 'numpy.dtype', type: 'torch.float32' },
      short: 'torch.ShortStorage',
    })
    await file.close()
  })

  it('is no pickled module', async () => {
    const fields = dictionary([text('_parameters'), [0x7d]], [text('_modules'), [0x7d]])
    const module = [...called(global('timm.models', 'VisionTransformer')), ...fields, 0x62]
    const file = await openTorchFile(torchFile('module.pth', program(module)))
    expect(() => flatten(file.value)).toThrow(
      /pickled module \(timm\.models\.VisionTransformer\).*state_dict\(\)/,
    )
    await file.close()
  })

  it('says what a pointer of Git LFS is', async () => {
    const path = join(work, 'pointer.pth')
    writeFileSync(path, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n')
    await expect(openTorchFile(path)).rejects.toThrow(/Git LFS pointer.*git lfs pull/)
  })

  it.each<[string, number[], RegExp]>([
    ['an unknown opcode', program([0x97]), /byte 2 \(opcode 0x97\)/],
    ['an instance of nothing', program([0x28, 0x6f]), /OBJ.*no function/],
    ['an extension', program([0x82, 1]), /opcode 0x82/],
    ['a call of a number', program([0x4b, 1, 0x29, 0x52]), /REDUCE.*no function/],
    ['a protocol of the future', [0x80, 9, 0x2e], /protocol/],
    ['an empty stack', program([]), /opcode 0x2e.*empty stack/],
    ['a mark that is not there', program([0x74]), /TUPLE.*mark/],
    ['a memory that is not there', program([0x68, 7]), /BINGET.*7/],
    ['an end in the middle', [0x80, 2, 0x58, 200, 0, 0, 0], /BINUNICODE.*ends/],
    ['no end', [0x80, 2, 0x4e], /ends/],
    ['a text of eight exabytes', program([0x8d, 255, 255, 255, 255, 255, 255, 255, 127]), /BINUNICODE8/],
    ['a number of many digits', program([0x8a, 200, ...Array(200).fill(1)]), /LONG1.*200 bytes/],
    ['a tensor beyond its storage', program(tensorOf(6, 1, [2, 3], [3, 1])), /beyond its storage of 6/],
    ['a tensor larger than its storage', program(tensorOf(6, 0, [100, 100], [0, 0])), /beyond its storage/],
    ['a tensor of fewer strides', program(tensorOf(6, 0, [2, 3], [1])), /1 strides/],
    ['a storage that is something else', program(tuple(text('x')), [0x51]), /BINPERSID/],
  ])('refuses %s', async (name, pickle, message) => {
    await expect(openTorchFile(torchFile(`${name}.pth`, pickle))).rejects.toThrow(message)
  })

  it('refuses a storage of another size, a missing one and a damaged one', async () => {
    const pickle = program(tensorOf(6, 0, [6], [1]))
    const read = async (path: string) => {
      const file = await openTorchFile(path)
      try {
        return await file.read(file.value as TorchTensor)
      } finally {
        await file.close()
      }
    }
    expect([...(await read(torchFile('right.pth', pickle, { 0: 24 })))]).toEqual([0, 0, 0, 0, 0, 0])
    await expect(read(torchFile('short.pth', pickle, { 0: 20 }))).rejects.toThrow(/20 bytes, expected 24/)
    await expect(read(torchFile('none.pth', pickle))).rejects.toThrow(/storage 0 is missing/)
    const path = join(work, 'damaged.pth')
    const bytes = readFileSync(torchFile('whole.pth', pickle, { 0: 24 }))
    bytes[bytes.indexOf('a/data/0') + 8 + 5]! ^= 1
    writeFileSync(path, bytes)
    await expect(read(path)).rejects.toThrow(/damaged/)
  })

  it('walks what contains itself, and what is small and endless, only so far', () => {
    const itself = new Map<string, unknown>()
    itself.set('a', itself)
    expect(() => flatten(itself)).toThrow(/too deep/)
    let wide: unknown = 1
    for (let depth = 0; depth < 7; depth++) wide = new Map(Array.from({ length: 20 }, (_, i) => [i, wide]))
    expect(() => flatten(wide)).toThrow(/too many/)
    const storage = { kind: 'storage', key: '0', dtype: 'float32', elements: 1e6 }
    const tensor = { kind: 'tensor', storage, offset: 0, shape: [1e6], strides: [1] }
    const shared = (count: number) => new Map(Array.from({ length: count }, (_, i) => [`t${i}`, tensor]))
    expect(flatten(shared(2)).tensors.size).toBe(2)
    expect(() => flatten(shared(100))).toThrow(/100000000 elements together/)
  })
})

describe('a pickle', () => {
  const read = (...parts: readonly number[][]) =>
    readPickle(Buffer.from(program(...parts)), { globals: {}, persistent: () => null }).value
  const ascii = (value: string) => [...Buffer.from(value)]

  it.each<[string, number[], unknown]>([
    ['None', [0x4e], null],
    ['a line of a number', ascii('I42\n'), 42],
    ['True of protocol 0', ascii('I01\n'), true],
    ['a long of protocol 0', ascii('L-5L\n'), -5],
    ['a float of protocol 0', ascii('F0.25\n'), 0.25],
    ['a negative long', [0x8a, 2, 0x00, 0xff], -256],
    ['an empty long', [0x8a, 0], 0],
    ['a large long', [0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1], 2n ** 64n],
    ['a list', [0x5d, 0x28, 0x4b, 1, 0x4b, 2, 0x65], [1, 2]],
    ['a pair', [0x4b, 1, 0x4b, 2, 0x86], [1, 2]],
    ['three', [0x4b, 1, 0x4b, 2, 0x4b, 3, 0x87], [1, 2, 3]],
    ['a dictionary', [0x7d, 0x4b, 1, 0x4b, 2, 0x73], new Map([[1, 2]])],
    ['a memory', [0x4b, 5, 0x94, 0x30, 0x68, 0], 5],
    ['a duplicate', [0x4b, 5, 0x32, 0x86], [5, 5]],
    ['a frame', [0x95, 3, 0, 0, 0, 0, 0, 0, 0, 0x4b, 1], 1],
  ])('of %s', (_, bytes, value) => {
    expect(read(bytes)).toEqual(value)
  })

  it('of names stands for objects, in every protocol', () => {
    const object = (of: string) => ({ kind: 'object', of, fields: new Map() })
    expect(read([0x8c, 2, ...ascii('os'), 0x8c, 6, ...ascii('system'), 0x93, 0x29, 0x52])).toEqual(
      object('os.system'),
    )
    expect(read(called(global('builtins', 'eval'), text('1')))).toEqual(object('builtins.eval'))
    expect(read(called(global('constructor', 'constructor')))).toEqual(object('constructor.constructor'))
    expect(read([0x28, 0x69, ...ascii('a\nB\n')])).toEqual(object('a.B'))
    expect(read([0x28, ...global('a', 'B'), 0x4b, 1, 0x6f])).toEqual(object('a.B'))
    const twice = called(called(global('builtins', 'getattr'), text('x')), text('y')) // what a call gave is called
    expect(read(twice)).toEqual(object('builtins.getattr'))
  })

  it('knows a tensor from what looks like one', () => {
    expect(isTensor(null)).toBe(false)
    expect(isTensor(new Map())).toBe(false)
  })
})
