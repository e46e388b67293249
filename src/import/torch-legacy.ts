/**
 * `torch.save` before PyTorch 1.6 or with `_use_new_zipfile_serialization=False`: five concatenated pickles (magic number, version, machine,
 * saved value, storage keys), then the storages in the order of the keys, each an element count in eight bytes and its bytes.
 */
import { SherdError } from '../errors.ts'
import type { ByteFile } from '../files/byte-file.ts'
import { readPickle, type Unpickled } from './pickle.ts'
import { bytesOf, type Storage, torchRules } from './torch-objects.ts'
import { MAX_PICKLE_BYTES, type Saved } from './torch-saved.ts'

const MAGIC = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex') // LONG1 of ten bytes
const VERSION = 1001

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** Whether a file begins with the magic number as a pickle of protocol 2 or more, possibly framed. */
export const isLegacy = (start: Buffer): boolean => start[0] === 0x80 && start.subarray(0, 32).includes(MAGIC)

export async function openLegacy(file: ByteFile): Promise<Saved> {
  const bytes = await file.read(0, Math.min(file.size, MAX_PICKLE_BYTES))
  const expected = new Map<string, Storage>()
  const rules = torchRules((storage) => {
    const before = expected.get(storage.key)
    if (before && (before.dtype !== storage.dtype || before.elements !== storage.elements))
      refuse(`its storage ${storage.key} is of two kinds`)
    expected.set(storage.key, storage)
  })
  const magic = readPickle(bytes, rules)
  const version = readPickle(bytes, rules, magic.end)
  if (version.value !== VERSION)
    refuse(`it is of version ${String(version.value).slice(0, 20)}, expected ${VERSION}`)
  const machine = readPickle(bytes, rules, version.end)
  if (machine.value instanceof Map && machine.value.get('little_endian') === false)
    refuse('its numbers are big-endian')
  const saved = readPickle(bytes, rules, machine.end)
  const keys = readPickle(bytes, rules, saved.end)
  const places = await placesOf(file, keys, expected)
  return {
    ...{ value: saved.value, unknown: saved.unknown, pickleBytes: saved.end - machine.end },
    read: ({ key }, first, span) => {
      const place = places.get(key) ?? refuse(`its storage ${key.slice(0, 40)} is missing`)
      return file.read(place + first, span)
    },
  }
}

/** Offsets of the storages. */
async function placesOf(
  file: ByteFile,
  { value: keys, end }: Unpickled,
  expected: ReadonlyMap<string, Storage>,
): Promise<ReadonlyMap<string, number>> {
  if (!Array.isArray(keys)) return refuse('it has no list of its storages')
  const places = new Map<string, number>()
  let at = end
  for (const key of keys as readonly unknown[]) {
    const storage = typeof key === 'string' ? expected.get(key) : undefined
    // The size of an unreferenced storage is unknown, and so is the offset of the next.
    if (!storage)
      return refuse('it lists a storage that nothing is made of, or that is of a type that is not read')
    if (places.has(storage.key)) return refuse(`it lists its storage ${storage.key} twice`)
    const count = (await file.read(at, 8)).readBigUInt64LE()
    if (count !== BigInt(storage.elements))
      return refuse(`its storage ${storage.key} has ${count} elements, expected ${storage.elements}`)
    places.set(storage.key, at + 8)
    at += 8 + bytesOf(storage)
    if (at > file.size) return refuse('it is cut short: its storages reach beyond its end')
  }
  return places
}
