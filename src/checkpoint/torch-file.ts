/**
 * Files of `torch.save` since PyTorch 1.6: a zip of a pickle, `data.pkl`, and one member of bytes for each storage. The pickle is read as
 * data (`pickle.ts`): tensors, containers, numbers and texts; nothing of the file is executed. A tensor is a window of a storage,
 * by offset and strides, and may share it with others; its bytes are read when it is asked for.
 */
import { messageOf, SherdError } from '../errors.ts'
import { type ByteFile, openBytes } from '../source/byte-file.ts'
import { readMember, readStored, type ZipMember, zipMembers } from '../source/zip.ts'
import { type ArrayOf, type DType, dtypes } from '../tensor/dtype.ts'
import type { WaitingArray } from './arrays.ts'
import { isObject, isReference, type PickleGlobal, readPickle } from './pickle.ts'

const storages: Readonly<Record<string, DType>> = {
  'torch.FloatStorage': 'float32',
  'torch.DoubleStorage': 'float64',
  'torch.HalfStorage': 'float16',
  'torch.BFloat16Storage': 'bfloat16',
  'torch.LongStorage': 'int64',
  'torch.IntStorage': 'int32',
  'torch.ByteStorage': 'uint8',
  'torch.BoolStorage': 'bool',
}

interface Storage {
  readonly kind: 'storage'
  readonly key: string
  readonly dtype: DType
  readonly elements: number
}

/** A window of a storage. */
export interface TorchTensor {
  readonly kind: 'tensor'
  readonly storage: Storage
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isStorage = (value: unknown): value is Storage => (value as Storage | null)?.kind === 'storage'
export const isTensor = (value: unknown): value is TorchTensor =>
  (value as TorchTensor | null)?.kind === 'tensor'

const MAX_DIMENSIONS = 16

function rebuildTensor([storage, offset, shape, strides]: readonly unknown[]): TorchTensor {
  const areCounts = (list: unknown): list is number[] =>
    Array.isArray(list) && list.length <= MAX_DIMENSIONS && list.every(isCount)
  if (!isStorage(storage) || !isCount(offset) || !areCounts(shape) || !areCounts(strides))
    return refuse('a tensor is not made of a storage, an offset, a shape and strides')
  if (shape.length !== strides.length)
    refuse(`a tensor of ${shape.length} dimensions has ${strides.length} strides`)
  const elements = shape.reduce((a, b) => a * b, 1)
  const last = shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, offset)
  if (elements > 0 && (last >= storage.elements || elements > storage.elements))
    refuse(`a tensor [${shape.join(', ')}] reaches beyond its storage of ${storage.elements} elements`)
  return { kind: 'tensor', storage, offset, shape: [...shape], strides: [...strides] }
}

/** Pairs of a list, as Python 2 wrote ordered dictionaries. */
function orderedDict([pairs = []]: readonly unknown[]): Map<unknown, unknown> {
  const isPair = (pair: unknown): pair is [unknown, unknown] => Array.isArray(pair) && pair.length === 2
  return Array.isArray(pairs) && pairs.every(isPair)
    ? new Map(pairs)
    : refuse('an ordered dictionary is made of what are no pairs')
}

/** All that a file of weights may name. */
const globals: Readonly<Record<string, PickleGlobal>> = {
  ...Object.fromEntries(Object.keys(storages).map((name) => [name, 'name' as const])),
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([tensor]) =>
    isTensor(tensor) ? tensor : refuse('a parameter is made of what is no tensor'),
  'torch.Size': ([sizes]) => sizes,
  'collections.OrderedDict': orderedDict,
  'argparse.Namespace': () => ({ kind: 'object', of: 'argparse.Namespace', fields: new Map() }),
}

/** ('storage', type, key, device, elements) */
function storageOf(id: unknown): Storage {
  const [word, type, key, , elements] = Array.isArray(id) ? id : []
  if (word !== 'storage' || !isReference(type) || typeof key !== 'string' || !isCount(elements))
    return refuse('it refers to something that is no storage')
  const dtype = storages[type.name] ?? refuse(`${type.name} is no type of storage`)
  return { kind: 'storage', key, dtype, elements }
}

export interface TorchFile {
  /** What was saved: Maps, arrays, numbers, texts, `TorchTensor`s. It may contain itself. */
  readonly value: unknown
  /** A tensor's elements, row-major. Throws `CHECKPOINT` when the file does not hold them. */
  readonly read: (tensor: TorchTensor) => Promise<ArrayOf<DType>>
  readonly close: () => Promise<void>
}

const MAX_PICKLE_BYTES = 16e6
const LEGACY = Buffer.from('80028a0a6cfc9c46f9206aa85019', 'hex') // the magic number of torch.save before 1.6

async function expectZip(file: ByteFile): Promise<void> {
  const start = await file.read(0, Math.min(file.size, LEGACY.length))
  if (start.equals(LEGACY))
    refuse(
      'it was written by PyTorch before 1.6, or with _use_new_zipfile_serialization=False: such files are not read. Write it again with a newer one: torch.save(torch.load("old.pth", map_location="cpu"), "new.pth")',
    )
  if (start.toString('latin1', 0, 2) !== 'PK') refuse('it is no file of torch.save, which begin with "PK"')
}

/** The members below the file's own folder, by their names in it. */
function membersOf(all: readonly ZipMember[]): ReadonlyMap<string, ZipMember> {
  const pickle = all.find(({ name }) => /^[^/]+\/data\.pkl$/.test(name))
  if (!pickle) return refuse('its zip has no data.pkl')
  const folder = pickle.name.slice(0, -'data.pkl'.length)
  const members = new Map(all.map((member) => [member.name.replace(folder, ''), member]))
  if (members.has('constants.pkl') || [...members.keys()].some((name) => name.startsWith('code/')))
    refuse('it is a TorchScript program, not weights: save the state_dict() of the model')
  return members
}

/** The elements of a window, row-major, from the storage's own from `first` on. */
function gathered<T extends ArrayOf<DType>>(
  { shape, strides }: Pick<TorchTensor, 'shape' | 'strides'>,
  source: T,
  target: T,
): T {
  const index = shape.map(() => 0)
  let from = 0
  for (let to = 0; to < target.length; to++) {
    target[to] = source[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      from -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return target
}

/** The strides of a row-major array. Those of sides of one element do not matter. */
function isRowMajor({ shape, strides }: TorchTensor): boolean {
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== stride) return false
    stride *= shape[axis]!
  }
  return true
}

async function readTensor(
  file: ByteFile,
  members: ReadonlyMap<string, ZipMember>,
  tensor: TorchTensor,
): Promise<ArrayOf<DType>> {
  const { storage, offset, shape, strides } = tensor
  const { array, bytes } = dtypes[storage.dtype]
  const elements = shape.reduce((a, b) => a * b, 1)
  const member =
    members.get(`data/${storage.key}`) ?? refuse(`its storage ${storage.key.slice(0, 40)} is missing`)
  if (member.bytes !== storage.elements * bytes)
    refuse(`its storage ${storage.key} has ${member.bytes} bytes, expected ${storage.elements * bytes}`)
  if (elements === 0) return new array(0)
  const first = offset * bytes
  const span = shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 1) * bytes
  const isWhole = first === 0 && span === member.bytes
  // A whole storage is compared with its sum in the zip.
  const raw =
    isWhole || member.isDeflated
      ? (await readMember(file, member)).subarray(first, first + span)
      : await readStored(file, member, first, span)
  const own = raw.byteOffset % bytes === 0 ? raw : Buffer.from(new Uint8Array(raw).buffer)
  const source = new array(own.buffer as ArrayBuffer, own.byteOffset, span / bytes)
  return isRowMajor(tensor) ? source : gathered(tensor, source, new array(elements))
}

/** What is wrong with a file, with its name. */
async function naming<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    const isOfFile = error instanceof SherdError || (error as NodeJS.ErrnoException).code !== undefined
    if (!isOfFile) throw error
    throw new SherdError('CHECKPOINT', `${path} cannot be read as a PyTorch file: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** Opens a file of `torch.save`; close it when its tensors were read. Throws `CHECKPOINT` naming the file and what is wrong with it. */
export const openTorchFile = (path: string): Promise<TorchFile> =>
  naming(path, async () => {
    const file = await openBytes(path)
    try {
      await expectZip(file)
      const members = membersOf(await zipMembers(file))
      const order = members.get('byteorder')
      if (order && (await readMember(file, order)).toString('latin1') !== 'little')
        refuse('its numbers are big-endian')
      const pickle = members.get('data.pkl')!
      if (pickle.bytes > MAX_PICKLE_BYTES) refuse(`its pickle of ${pickle.bytes} bytes is too large`)
      const value = readPickle(await readMember(file, pickle), { globals, persistent: storageOf })
      return {
        value,
        read: (tensor) => naming(path, () => readTensor(file, members, tensor)),
        close: () => file.close(),
      }
    } catch (error) {
      await file.close()
      throw error
    }
  })

/** The tensors below a dictionary, by their keys with a dot between; and its numbers and texts. */
export interface Flattened {
  readonly tensors: ReadonlyMap<string, TorchTensor>
  readonly facts: ReadonlyMap<string, number | string | boolean>
}

const MAX_DEPTH = 8
const MAX_NAMES = 1e5
/** How often a storage may be found in all tensors together, on average: tied weights are found twice. */
const MAX_SHARING = 8

function expectModestSharing(tensors: ReadonlyMap<string, TorchTensor>): void {
  const stored = new Map<string, number>()
  let elements = 0
  for (const { storage, shape } of tensors.values()) {
    stored.set(storage.key, storage.elements)
    elements += shape.reduce((a, b) => a * b, 1)
  }
  const distinct = [...stored.values()].reduce((a, b) => a + b, 0)
  if (elements > MAX_SHARING * distinct + 1e6)
    refuse(`its tensors have ${elements} elements together, in storages of ${distinct}`)
}

/**
 * Everything of a saved value under a name. Throws `CHECKPOINT` for more names, more bytes or more depth than a model and its
 * optimizer have: a small file may refer to one thing again and again.
 */
export function flatten(value: unknown): Flattened {
  const tensors = new Map<string, TorchTensor>()
  const facts = new Map<string, number | string | boolean>()
  let visited = 0
  const visit = (each: unknown, name: string, depth: number): void => {
    if (depth > MAX_DEPTH || ++visited > 10 * MAX_NAMES || tensors.size + facts.size > MAX_NAMES)
      refuse('its containers are nested too deep, or too many')
    const inner = isObject(each) ? each.fields : each
    if (isTensor(inner)) tensors.set(name, inner)
    else if (typeof inner === 'number' || typeof inner === 'string' || typeof inner === 'boolean')
      facts.set(name, inner)
    else if (inner instanceof Map)
      for (const [key, below] of inner)
        if (typeof key === 'string' || typeof key === 'number')
          visit(below, name === '' ? String(key) : `${name}.${key}`, depth + 1)
  }
  visit(value, '', 0)
  expectModestSharing(tensors)
  return { tensors, facts }
}

/** A tensor that is read when it is wanted. */
export const waiting = (file: TorchFile, tensor: TorchTensor): WaitingArray => ({
  dtype: tensor.storage.dtype,
  shape: tensor.shape,
  read: () => file.read(tensor),
})
