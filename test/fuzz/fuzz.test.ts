// A short form of test/soak/fuzz.soak.ts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { fuzz } from './fuzz.ts'
import { parsers } from './parsers.ts'

const dir = mkdtempSync(join(tmpdir(), 'sherd-fuzz-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

it.each(await parsers(dir))('$name survives 400 damaged files', async (parser) => {
  const { refused } = await fuzz(parser, { inputs: 400, seed: 1 })
  expect(refused).toBeLessThan(400)
})
