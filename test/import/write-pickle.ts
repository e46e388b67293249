/** Pickles and files of torch.save byte by byte, so that tests can write what no PyTorch would. */
import { writeFileSync } from 'node:fs'
import { zipSync } from 'fflate'

type Bytes = readonly number[]

export const text = (value: string): number[] => [0x58, ...uint32(value.length), ...Buffer.from(value)]
export const global = (module: string, name: string): number[] => [
  0x63,
  ...Buffer.from(`${module}\n${name}\n`),
]
export const number = (value: number): number[] => [0x4a, ...uint32(value)]
export const tuple = (...items: readonly Bytes[]): number[] => [0x28, ...items.flat(), 0x74]
export const list = (...items: readonly Bytes[]): number[] => [0x5d, 0x28, ...items.flat(), 0x65]
export const dictionary = (...pairs: readonly (readonly [key: Bytes, value: Bytes])[]): number[] => [
  ...[0x7d, 0x28],
  ...pairs.flat(2),
  0x75,
]
/** Puts what is on the stack into the memory. */
export const put = (key: number): number[] => [0x72, ...uint32(key)]
export const get = (key: number): number[] => [0x6a, ...uint32(key)]
/** Calls what is named with a tuple. */
export const called = (of: Bytes, ...args: readonly Bytes[]): number[] => [...of, ...tuple(...args), 0x52]

export const none = [0x4e]

/** _rebuild_tensor_v2 of a storage. */
export const tensorOf = (
  elements: number,
  offset: number,
  shape: Bytes,
  strides: Bytes,
  { key = '0', type = 'FloatStorage' }: { readonly key?: string; readonly type?: string } = {},
): number[] =>
  called(
    global('torch._utils', '_rebuild_tensor_v2'),
    [...tuple(text('storage'), global('torch', type), text(key), text('cpu'), number(elements)), 0x51],
    ...[number(offset), tuple(...shape.map(number)), tuple(...strides.map(number)), [0x89], none],
  )

export const program = (...parts: readonly Bytes[]): number[] => [0x80, 2, ...parts.flat(), 0x2e]

export interface ZipOptions {
  /** Bytes of each storage: so many zeros. */
  readonly storages?: Readonly<Record<string, number>>
  readonly isPacked?: boolean
}

/** A file of torch.save with this pickle. */
export function writeTorchZip(
  path: string,
  pickle: Bytes | Uint8Array,
  { storages = {}, isPacked = false }: ZipOptions = {},
): string {
  const members = Object.entries(storages).map(([key, bytes]) => [`a/data/${key}`, new Uint8Array(bytes)])
  const files = Object.fromEntries([['a/data.pkl', Uint8Array.from(pickle)], ...members])
  writeFileSync(path, zipSync(files, { level: isPacked ? 9 : 0 }))
  return path
}

/** A file of PyTorch before 1.6 with this value and float32 storages. */
export function writeTorchLegacy(
  path: string,
  value: Bytes,
  storages: Readonly<Record<string, readonly number[]>>,
): string {
  const magic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
  const machine = dictionary([text('little_endian'), [0x88]])
  const keys = Object.keys(storages)
  const numbers = keys.map((key) => {
    const values = Float32Array.from(storages[key]!)
    const count = Buffer.alloc(8)
    count.writeBigUInt64LE(BigInt(values.length))
    return Buffer.concat([count, Buffer.from(values.buffer)])
  })
  const pickles = [magic, number(1001), machine, value, list(...keys.map(text))].map((each) => program(each))
  writeFileSync(path, Buffer.concat([...pickles.map((each) => Buffer.from(each)), ...numbers]))
  return path
}

function uint32(value: number): number[] {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return [...bytes]
}
