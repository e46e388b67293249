import { describe, expect, it } from 'vitest'
import { blockCache } from '../../../src/source/raster/block-cache.ts'

describe('what was made lately', () => {
  it('is made once, and forgotten when there is too much, the oldest first', async () => {
    const kept = blockCache<number>(10, (value) => value)
    let made = 0
    const get = (key: string, value: number) =>
      kept.get(key, async () => {
        made++
        return value
      })
    await Promise.all([get('a', 4), get('a', 4)])
    expect(made).toBe(1)
    await get('b', 5)
    await get('a', 4) // used again, so b is the oldest
    await get('c', 3)
    expect(made).toBe(3)
    await get('a', 4)
    expect(made).toBe(3)
    await get('b', 5)
    expect(made).toBe(4)
    await get('large', 11) // more than is kept
    await get('large', 11)
    expect(made).toBe(6)
    kept.clear()
    await get('b', 5)
    expect(made).toBe(7)
  })

  it('is tried again when it failed', async () => {
    const kept = blockCache<number>(10, () => 1)
    await expect(kept.get('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await kept.get('a', async () => 7)).toBe(7)
  })
})
