import { describe, expect, it } from 'vitest'
import { isOutOfMemory, largestBatch } from '../../bench/largest-batch.ts'

describe('largestBatch', () => {
  const find = async (limit: number, range = { from: 64, to: 4096, multiple: 32 }) => {
    const tried: number[] = []
    const found = await largestBatch(async (batch) => {
      tried.push(batch)
      return batch <= limit
    }, range)
    return { found, tried }
  }

  it.each([64, 100, 130, 500, 1000, 1023, 2048, 3000, 4095, 4096, 9999])(
    'comes near a limit of %i',
    async (limit) => {
      const { found, tried } = await find(limit)
      expect(found! % 32).toBe(0)
      expect(found).toBeLessThanOrEqual(Math.min(limit, 4096))
      expect(found).toBeGreaterThanOrEqual(Math.min(limit, 4096) - Math.max(32, found! / 16))
      expect(new Set(tried).size).toBe(tried.length) // each try costs a start of two programs
      expect(tried.length).toBeLessThan(13)
    },
  )

  it('is null where the smallest does not fit', async () => {
    expect(await find(10)).toEqual({ found: null, tried: [64] })
  })
})

describe('isOutOfMemory', () => {
  it('knows how the libraries say it, and takes no other failure for it', () => {
    for (const text of [
      'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB',
      'CUDA error: out of memory',
    ])
      expect(isOutOfMemory(new Error(text))).toBe(true)
    expect(isOutOfMemory(new Error('ModuleNotFoundError: No module named torch'))).toBe(false)
  })
})
