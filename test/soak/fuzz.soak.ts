// A hundred thousand damaged files for every parser (FUZZ_INPUTS for another number, FUZZ_SEED for others).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, it } from 'vitest'
import { fuzz } from '../fuzz/fuzz.ts'
import { parsers } from '../fuzz/parsers.ts'

const dir = mkdtempSync(join(tmpdir(), 'sherd-fuzz-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const inputs = Number(process.env.FUZZ_INPUTS ?? 100_000)
const seed = Number(process.env.FUZZ_SEED ?? 7)

it.each(await parsers(dir))('$name', { timeout: 3_600_000 }, async (parser) => {
  const { refused, longestSeconds, grownBytes } = await fuzz(parser, { inputs, seed })
  console.log(
    `${parser.name}: ${inputs} inputs, ${refused} refused, longest ${(1000 * longestSeconds).toFixed(0)} ms, grown by ${(grownBytes / 1e6).toFixed(0)} MB`,
  )
})
