/**
 * Tensor lifetimes. Everything made inside `scope` is freed when it ends, except what its body returns. The model opens a
 * scope around every block, so the peak of a training step is that of its autograd graph and not of its history.
 */
import { SherdError } from '../errors.ts'
import { addon } from './addon.ts'
import { adopt, type Owned, withOwner } from './ownership.ts'
import { Tensor } from './tensor.ts'

function collect(value: unknown, into: Set<Owned>): void {
  if (value instanceof Tensor) into.add(value)
  else if (Array.isArray(value)) for (const element of value) collect(element, into)
  else if (value instanceof Map) for (const element of value.values()) collect(element, into)
  else if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    for (const element of Object.values(value)) collect(element, into)
}

/**
 * Runs `body` and frees every tensor that it made but did not return. Tensors survive in a result that is a tensor, or an
 * array, `Map` or plain object of such results; they then belong to the scope around this one. The body is synchronous.
 */
export function scope<T>(body: () => T): T {
  const mine: Owned[] = []
  const survivors = new Set<Owned>()
  try {
    const result = withOwner(mine, body)
    if (result instanceof Promise) {
      result.catch(() => {}) // what it rejects with later has nobody left to hear it, and would end the process
      throw new SherdError('VALUE', 'scope: the body must be synchronous, it returned a Promise')
    }
    collect(result, survivors)
    return result
  } finally {
    for (const tensor of mine) {
      if (survivors.has(tensor)) adopt(tensor)
      else tensor.dispose()
    }
  }
}

/** Runs `body` outside every scope: what it makes lives until it is disposed or forgotten. For weights and state. */
export function unscoped<T>(body: () => T): T {
  return withOwner(null, body)
}

/** Frees every tensor in a value of the kinds that a scope may return. */
export function disposeAll(value: unknown): void {
  const found = new Set<Owned>()
  collect(value, found)
  for (const each of found) each.dispose()
}

/** How many tensors JavaScript holds; flat over training steps, or something leaks. */
export function liveTensors(): number {
  return addon().liveTensors()
}
