// Runs, checkpoints and files that version 0.1 wrote still load, and give the same numbers.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as sherd from '../src/index.ts'
import { packageRoot } from '../src/package-root.ts'
import { numbersOf } from './fixtures/v0.1/numbers.mjs'
import { expectClose } from './tolerance.ts'

// float32 on another processor: 2e-7 apart with composed kernels and the oldest instruction sets of LibTorch and OpenBLAS.
const TOLERANCE = 1e-5

describe.each(['plain', 'bands'])('what version 0.1 wrote of a model, %s', (kind) => {
  it('loads and gives the same numbers', async () => {
    const dir = join(packageRoot(), 'test/fixtures/v0.1', kind)
    const work = mkdtempSync(join(tmpdir(), 'sherd-v0.1-'))
    try {
      const expected = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8')) as Record<
        string,
        number[]
      >
      const numbers = await numbersOf(sherd, { dir, kind, work })
      expect(Object.keys(numbers)).toEqual(Object.keys(expected))
      for (const [name, values] of Object.entries(expected)) {
        expect(numbers[name], name).toHaveLength(values.length)
        expectClose(numbers[name]!, values, TOLERANCE)
      }
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  })
})
