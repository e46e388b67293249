/** Flattens a saved value into named tensors, numbers and strings. */
import { SherdError } from '../errors.ts'
import { isObject, isReference } from './pickle.ts'
import { isModule, isTensor, type TorchTensor } from './torch-objects.ts'

/** Names are keys joined by dots. */
export interface Flattened {
  readonly tensors: ReadonlyMap<string, TorchTensor>
  readonly facts: ReadonlyMap<string, number | string | boolean>
  /** Class names of other objects. */
  readonly objects: ReadonlyMap<string, string>
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

const MAX_DEPTH = 8
const MAX_NAMES = 1e5
const MAX_VISITS = 1e6
/** Of a joined name. */
const MAX_CHARACTERS = 500
/** Mean number of tensors per storage: tied weights share one. */
const MAX_SHARING = 8

function expectModestSharing(tensors: ReadonlyMap<string, TorchTensor>): void {
  const stored = new Map<string, number>()
  let elements = 0
  for (const { storage, shape, strides } of tensors.values()) {
    stored.set(storage.key, storage.elements)
    // The span of the storage from the first element to the last.
    if (!shape.includes(0)) elements += shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 1)
  }
  const distinct = [...stored.values()].reduce((a, b) => a + b, 0)
  if (elements > MAX_SHARING * distinct + 1e6)
    refuse(`its tensors have ${elements} elements together, in storages of ${distinct}`)
}

/**
 * `pickleBytes`: length of the pickle, which bounds the number of its values. Throws `CHECKPOINT` for more names, bytes or depth than a
 * model and its optimizer have, and for values that are referenced too often: a small file can refer to one value many times.
 */
export function flatten(value: unknown, pickleBytes = MAX_VISITS): Flattened {
  const tensors = new Map<string, TorchTensor>()
  const facts = new Map<string, number | string | boolean>()
  const objects = new Map<string, string>()
  const most = Math.min(MAX_VISITS, 1000 + 2 * pickleBytes)
  let visited = 0
  const count = () => {
    if (++visited > most || tensors.size + facts.size + objects.size > MAX_NAMES)
      refuse('its containers are nested too deep, or too many')
  }
  const visit = (each: unknown, name: string, depth: number): void => {
    if (isModule(each))
      refuse(
        `it is a pickled module (${each.of}), which only its own code can read: save its state_dict() instead`,
      )
    const inner = isObject(each) ? each.fields : each
    if (isTensor(inner)) tensors.set(name, inner)
    else if (typeof inner === 'number' || typeof inner === 'string' || typeof inner === 'boolean')
      facts.set(name, inner)
    else if (inner instanceof Map) {
      if (depth === MAX_DEPTH && inner.size > 0) refuse('its containers are nested too deep, or too many')
      if (isObject(each) && name !== '') objects.set(name, each.of)
      for (const [key, below] of inner) {
        count()
        if (typeof key !== 'string' && typeof key !== 'number') continue
        const own = String(key)
        if (name.length + own.length >= MAX_CHARACTERS)
          refuse(`it has a name of ${name.length + own.length} characters`)
        visit(below, name === '' ? own : `${name}.${own}`, depth + 1)
      }
    } else if (isReference(each)) objects.set(name, each.name)
  }
  visit(value, '', 0)
  expectModestSharing(tensors)
  return { tensors, facts, objects }
}
