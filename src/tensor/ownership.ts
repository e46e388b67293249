/** Which scope owns a new tensor. Kept apart from `scope.ts` so that `tensor.ts` need not import upwards. */
import { addon, type Handle } from './addon.ts'

export interface Owned {
  readonly handle: Handle
  dispose(): void
}

let current: Owned[] | null = null

// Tensors outside every scope (weights, a user's own) are freed when JavaScript lets go of them.
const unscoped = new FinalizationRegistry<Handle>((handle) => addon().free(handle))

/** Hands a tensor to the scope that is open, or to the garbage collector when none is. */
export function adopt(tensor: Owned): void {
  if (current) current.push(tensor)
  else unscoped.register(tensor, tensor.handle)
}

/** Runs `body` with `owner` receiving what is made (`null`: no scope). */
export function withOwner<T>(owner: Owned[] | null, body: () => T): T {
  const outer = current
  current = owner
  try {
    return body()
  } finally {
    current = outer
  }
}
