/** The scope that owns new tensors. Apart from `scope.ts` to avoid an import cycle with `tensor.ts`. */
import { addon, type Handle } from './addon.ts'

export interface Owned {
  readonly handle: Handle
  dispose(): void
}

let current: Owned[] | null = null

// Tensors outside every scope (weights, a user's own) are freed by the garbage collector.
const unscoped = new FinalizationRegistry<Handle>((handle) => addon().free(handle))

/** Registers a tensor with the current scope, or with the garbage collector if there is none. */
export function adopt(tensor: Owned): void {
  if (current) current.push(tensor)
  else unscoped.register(tensor, tensor.handle)
}

/** Runs `body` with `owner` as the current scope (null: none). */
export function withOwner<T>(owner: Owned[] | null, body: () => T): T {
  const outer = current
  current = owner
  try {
    return body()
  } finally {
    current = outer
  }
}
