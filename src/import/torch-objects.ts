/**
 * Tensors and storages in PyTorch's pickles, and the few functions that rebuild them. Other objects (schedulers, paths, NumPy scalars) are
 * not constructed (`pickle.ts`).
 */
import { SherdError } from '../errors.ts'
import { type DType, dtypes } from '../tensor/dtype.ts'
import { isObject, isReference, opaque, type PickledObject, type PickleRules, type Spend } from './pickle.ts'

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

export interface Storage {
  readonly kind: 'storage'
  readonly key: string
  readonly dtype: DType
  readonly elements: number
}

/** A strided view of a storage. */
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
const MAX_KEY = 200

type Arguments = readonly unknown[]

function rebuildTensor([storage, offset, shape, strides]: Arguments): TorchTensor | PickledObject {
  if (isObject(storage)) return storage // of an unsupported dtype
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

/** From a list of pairs, as Python 2 writes them. */
function orderedDict([pairs = []]: Arguments, spend: Spend): Map<unknown, unknown> {
  const isPair = (pair: unknown): pair is [unknown, unknown] => Array.isArray(pair) && pair.length === 2
  if (!Array.isArray(pairs)) return refuse('an ordered dictionary is made of what are no pairs')
  spend(pairs.length)
  return pairs.every(isPair) ? new Map(pairs) : refuse('an ordered dictionary is made of what are no pairs')
}

const itself = ([tensor]: Arguments) =>
  isTensor(tensor) || isObject(tensor) ? tensor : refuse('a parameter is made of what is no tensor')

/** (function, type, arguments, attributes): a tensor of a subclass, or with attributes. */
const rebuildOfType = ([made, type, args]: Arguments) =>
  isReference(made) && made.name === 'torch._utils._rebuild_tensor_v2' && Array.isArray(args)
    ? rebuildTensor(args)
    : opaque(isReference(type) ? type.name : 'a tensor of a class of its own')

/** ('storage', type, key, device, elements), and a view of it before PyTorch 0.4. */
function storageOf(id: unknown): Storage | PickledObject {
  const [word, type, key, , elements, part] = Array.isArray(id) ? id : []
  if (word !== 'storage' || !isReference(type) || typeof key !== 'string' || !isCount(elements))
    return refuse('it refers to something that is no storage')
  if (key.length > MAX_KEY) refuse(`it refers to a storage by ${key.length} characters`)
  const dtype = storages[type.name]
  if (dtype === undefined || (part !== undefined && part !== null)) return opaque(type.name)
  return { kind: 'storage', key, dtype, elements }
}

/** `expect` is called with each storage. */
export const torchRules = (expect: (storage: Storage) => void = () => {}): PickleRules => ({
  globals: {
    'torch._utils._rebuild_tensor_v2': rebuildTensor,
    'torch._utils._rebuild_tensor': rebuildTensor, // before PyTorch 0.4
    'torch._utils._rebuild_parameter': itself,
    'torch._utils._rebuild_parameter_with_state': itself,
    'torch._tensor._rebuild_from_type_v2': rebuildOfType,
    'torch.Size': ([sizes]) => sizes,
    'collections.OrderedDict': orderedDict,
    'argparse.Namespace': () => opaque('argparse.Namespace'),
  },
  persistent: (id) => {
    const storage = storageOf(id)
    if (isStorage(storage)) expect(storage)
    return storage
  },
})

/** Names of storage types. */
export const isStorageType = (name: string): boolean => Object.hasOwn(storages, name)

/** Whether an object is a pickled `nn.Module`, not a `state_dict()`. */
export const isModule = (value: unknown): value is PickledObject =>
  isObject(value) && value.fields.has('_parameters') && value.fields.has('_modules')

export const bytesOf = ({ dtype, elements }: Storage): number => elements * dtypes[dtype].bytes
