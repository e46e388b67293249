/**
 * Tensor lifetimes. Tensors made inside `scope` are freed when it ends, except those that its body returns. The model opens a scope around
 * every block, so that the peak memory of a step is that of its autograd graph.
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
 * Runs `body` (synchronous) and frees every tensor that it made but did not return. A result may be a tensor, or an array, `Map` or plain
 * object of results; its tensors then belong to the enclosing scope.
 */
export function scope<T>(body: () => T): T {
  const mine: Owned[] = []
  const survivors = new Set<Owned>()
  try {
    const result = withOwner(mine, body)
    if (result instanceof Promise) {
      result.catch(() => {}) // avoids an unhandled rejection
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

/** Runs `body` outside every scope: its tensors live until they are disposed or collected. For weights and state. */
export function unscoped<T>(body: () => T): T {
  return withOwner(null, body)
}

/** Frees all tensors in a result of `scope`. */
export function disposeAll(value: unknown): void {
  const found = new Set<Owned>()
  collect(value, found)
  for (const each of found) each.dispose()
}

/** The number of tensors held by JavaScript, to detect leaks. */
export function liveTensors(): number {
  return addon().liveTensors()
}
