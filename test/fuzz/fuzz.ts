/** Damages whole files in many ways and reads them: no crash, no hang, no memory that stays, and only errors with a reason. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { messageOf, SherdError } from '../../src/errors.ts'
import { damage, damaged } from './mutate.ts'
import type { Parser } from './parsers.ts'

const LONGEST = 1 // second of this process's own time: other programs may keep it waiting for as long as they like
const MOST_MEMORY = 400e6 // bytes that the process may have grown by

export interface Fuzzed {
  readonly inputs: number
  /** How many of them were refused. */
  readonly refused: number
  readonly longestSeconds: number
  readonly grownBytes: number
}

/** Throws what fast-check found, with the smallest input that shows it. */
export async function fuzz(
  { samples, parse }: Parser,
  { inputs, seed }: { inputs: number; seed: number },
): Promise<Fuzzed> {
  let refused = 0
  let longestSeconds = 0
  for (const sample of samples) await parse(Buffer.from(sample)) // whole files are read
  const before = process.memoryUsage.rss()
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...samples), damage, async (sample, by) => {
      const file = damaged(sample, by)
      const started = process.cpuUsage()
      try {
        await parse(file)
      } catch (error) {
        refused++
        if (!(error instanceof SherdError) || error.code === 'BUG')
          throw new Error(`It must be refused with a reason, and not by: ${messageOf(error)}`, {
            cause: error,
          })
      }
      const { user, system } = process.cpuUsage(started)
      const seconds = (user + system) / 1e6
      longestSeconds = Math.max(longestSeconds, seconds)
      if (seconds > LONGEST) throw new Error(`It took ${seconds} seconds`)
    }),
    { numRuns: inputs, seed, endOnFailure: false },
  )
  const grownBytes = process.memoryUsage.rss() - before
  expect(grownBytes).toBeLessThan(MOST_MEMORY)
  return { inputs, refused, longestSeconds, grownBytes }
}
