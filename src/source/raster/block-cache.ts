/** LRU cache of decoded raster blocks. Concurrent requests for one block decode it once. */

export interface BlockCache<T> {
  get(key: string, make: () => Promise<T>): Promise<T>
  clear(): void
}

export function blockCache<T>(most: number, sizeOf: (value: T) => number): BlockCache<T> {
  const kept = new Map<string, { readonly value: Promise<T>; size: number }>()
  let total = 0
  const drop = (key: string) => {
    total -= kept.get(key)?.size ?? 0
    kept.delete(key)
  }
  return {
    get(key, make) {
      const known = kept.get(key)
      if (known) {
        kept.delete(key)
        kept.set(key, known) // most recent last
        return known.value
      }
      const entry = { value: make(), size: 0 }
      kept.set(key, entry)
      entry.value.then(
        (value) => {
          if (kept.get(key) !== entry) return
          entry.size = sizeOf(value)
          total += entry.size
          for (const oldest of kept.keys()) {
            if (total <= most) break
            drop(oldest)
          }
        },
        () => {
          if (kept.get(key) === entry) kept.delete(key)
        },
      )
      return entry.value
    },
    clear() {
      kept.clear()
      total = 0
    },
  }
}
