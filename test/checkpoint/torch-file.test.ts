import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { toFloat32 } from '../../src/checkpoint/arrays.ts'
import { readPickle } from '../../src/checkpoint/pickle.ts'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { flatten, isTensor, openTorchFile, type TorchTensor } from '../../src/checkpoint/torch-file.ts'
import { packageRoot } from '../../src/package-root.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-torch-file-'))

/** A file of torch.save with this pickle, and storages of so many zeros. */
function torchFile(name: string, pickle: readonly number[] | Buffer, storages: Record<string, number> = {}) {
  const path = join(work, name)
  const members = Object.entries(storages).map(([key, bytes]) => [`a/data/${key}`, new Uint8Array(bytes)])
  const files = Object.fromEntries([['a/data.pkl', Uint8Array.from(pickle)], ...members])
  writeFileSync(path, zipSync(files, { level: 0 }))
  return path
}

const text = (value: string) => [0x58, value.length, 0, 0, 0, ...Buffer.from(value)]
const global = (module: string, name: string) => [0x63, ...Buffer.from(`${module}\n${name}\n`)]
const number = (value: number) => [0x4d, value & 255, value >> 8]
const tuple = (...items: readonly number[][]) => [0x28, ...items.flat(), 0x74]
/** _rebuild_tensor_v2 of a float32 storage "0" of `elements`. */
const tensorOf = (elements: number, offset: number, shape: readonly number[], strides: readonly number[]) => [
  ...global('torch._utils', '_rebuild_tensor_v2'),
  ...tuple(
    [
      ...tuple(text('storage'), global('torch', 'FloatStorage'), text('0'), text('cpu'), number(elements)),
      0x51,
    ],
    number(offset),
    tuple(...shape.map(number)),
    tuple(...strides.map(number)),
    [0x89],
    [0x4e],
  ),
  0x52,
]
const program = (...parts: readonly number[][]) => [0x80, 2, ...parts.flat(), 0x2e]

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

  it('refuses what it would have to run, by name and place, and runs nothing', async () => {
    const open = openTorchFile(join(fixtures, 'forbidden.pth'))
    await expect(open).rejects.toThrow(/forbidden\.pth.*byte \d+ \(GLOBAL\).*"posix\.system"/)
    expect(existsSync('/tmp/sherd-forbidden-pickle-ran')).toBe(false)
  })

  it('says what a file of an old PyTorch is', async () => {
    await expect(openTorchFile(join(fixtures, 'legacy.pth'))).rejects.toThrow(/before 1\.6.*torch\.save/)
  })

  it.each<[string, number[], RegExp]>([
    ['a builtin', program(global('builtins', 'eval'), text('1'), [0x85, 0x52]), /"builtins\.eval"/],
    ['a name of every object', program(global('constructor', 'constructor')), /"constructor\.constructor"/],
    ['an unknown opcode', program([0x69]), /byte 2 \(opcode 0x69\)/],
    ['an extension', program([0x82, 1]), /opcode 0x82/],
    ['an instance by a class', program([0x28, 0x6f]), /opcode 0x6f/],
    ['a call of what is no function', program(global('torch', 'FloatStorage'), [0x29, 0x52]), /REDUCE/],
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
    readPickle(Buffer.from(program(...parts)), { globals: {}, persistent: () => null })
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

  it('of a name in protocol 4', () => {
    expect(() => read([0x8c, 2, ...ascii('os'), 0x8c, 6, ...ascii('system'), 0x93])).toThrow(
      /STACK_GLOBAL.*"os\.system"/,
    )
  })

  it('knows a tensor from what looks like one', () => {
    expect(isTensor(null)).toBe(false)
    expect(isTensor(new Map())).toBe(false)
  })
})
