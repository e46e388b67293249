// What each command says on terminals of 40, 80 and 200 columns and into a file: nothing is cut, nothing is wider than the terminal, no escape
// code is in a file. What is said at 80 columns is kept beside this file, to be read; `npx vitest -u` writes it again.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { program } from '../../../src/cli/main.ts'
import { clock } from '../../../src/cli/progress.ts'
import { effectiveBatch } from '../../../src/config/resolve.ts'
import { planMachine } from '../../../src/machine/plan.ts'
import { packageRoot } from '../../../src/package-root.ts'
import type { Trial, TrialRequest } from '../../../src/plan/take-trial.ts'
import { leavesOf, refusal, wordsOf } from '../parse.ts'
import { inProcess, workFolder } from '../sherd.ts'
import { given, givenData, scenes } from './scenes.ts'
import { fits, screenOf } from './screen.ts'

// Not again for each width: what they compute is the same.
vi.mock('../../../src/bench/gemm-bench.ts', async (original) => {
  const real = await original<typeof import('../../../src/bench/gemm-bench.ts')>()
  let kept: ReturnType<typeof real.benchGemm> | undefined
  return {
    ...real,
    benchGemm: (...args: Parameters<typeof real.benchGemm>) => (kept ??= real.benchGemm(...args)),
  }
})
vi.mock('../../../src/machine/gemm.ts', async (original) => {
  const real = await original<typeof import('../../../src/machine/gemm.ts')>()
  let kept: number | undefined
  return {
    ...real,
    measurePeak: (...args: Parameters<typeof real.measurePeak>) => (kept ??= real.measurePeak(...args)),
  }
})

// A trial takes half a minute, and what it finds is the machine's.
vi.mock('../../../src/plan/trial.ts', () => ({
  runTrial: async ({ config }: TrialRequest): Promise<Trial> => ({
    machine: planMachine({ ...config.train, workers: 0 }),
    batch: effectiveBatch(config),
    cost: { open: 1, step: 0.5, checkpoint: 0.2, picture: 0.3, probe: 0, curve: 0.1 },
    ...{ steps: 5, dataWait: 0, peakBytes: 600e6 },
  }),
}))
vi.mock('../../../src/machine/load.ts', async (original) => ({
  ...(await original<typeof import('../../../src/machine/load.ts')>()),
  othersNow: () => 0,
}))

// Some lines are said of what takes long: here nothing does, on any machine.
clock.now = () => 0

const widths = [40, 80, 200] as const
const here = join(packageRoot(), 'test/cli/transcripts')

const opened = vi.hoisted(() => vi.fn())
vi.mock('open', () => ({ default: opened }))

let cwd: string
let there: string[]
beforeAll(async () => {
  cwd = await workFolder()
  await givenData((name) => join(cwd, name))
  for (const args of given) {
    const { status, stderr } = await inProcess(args, { cwd })
    expect([args, status, stderr]).toEqual([args, 0, expect.any(String)])
  }
  there = readdirSync(cwd)
})

const tree = leavesOf(program())

const clean = () => {
  for (const name of readdirSync(cwd)) if (!there.includes(name)) rmSync(join(cwd, name), { recursive: true })
}

/** `verify` says what failed among its results. */
const failing = /^(?:warning: .*\n)*(?:error: |$)/
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const control = /[\x00-\x08\x0b-\x1f\x7f]/

const named = (text: string) => text.replaceAll(cwd, 'DIR').replaceAll(packageRoot(), 'SHERD')
/** Without what differs from one time or machine to the next: numbers, classes that are named for their numbers, where lines break. */
const told = (text: string) =>
  text
    .replace(/\b(?:branches|bricks|clouds|coats|discs|mountains|pebbles|shards|spheres|wood)\b/g, 'CLASS')
    .replaceAll('npx sherd', 'sherd')
    .replace(/\b(?:bfloat16|float32)\b/g, 'TYPE')
    .replace(/[−-]?\d[\d.,:e+-]*/g, '#')
    .replace(/# (?:h|min|s|ms)\b(?: # (?:min|s)\b)?/g, 'TIME')
    .replace(/# (?:bytes|[kMGT]B)\b/g, 'SIZE')
    .replace(/\s+/g, ' ')

it('every command has a scene', () => {
  const names = [...tree.keys()].filter((name) => name !== 'help') // that of all others
  expect(Object.keys(scenes).sort()).toEqual(names.sort())
})

describe.each(Object.entries(scenes))('sherd %s', (name, { lines, varies, ...scene }) => {
  it.each(widths)('fits %d columns', async (columns) => {
    clean()
    let transcript = ''
    for (const args of lines) {
      const { written, stdout, stderr } = await inProcess(args, { cwd, columns, ...scene })
      const { lines: seen, passing } = screenOf(written!)
      expect([...seen, ...passing].filter((line) => !fits(line, columns))).toEqual([])
      for (const line of passing) expect(line.length).toBeLessThan(columns)
      expect(stdout + stderr).not.toMatch(/undefined|\[object|NaN/)
      for (const line of seen)
        if (/^ *(?:npx )?sherd (?!serves )[a-z-]+ /.test(line)) {
          const words = wordsOf(line.trim().replace(/^npx /, '')).slice(1)
          expect([line, await refusal(words)]).toEqual([line, null])
        }
      transcript += `$ sherd ${args.join(' ')}\n${named(seen.join('\n')).trimEnd()}\n\n`
    }
    if (columns !== 80 || varies) return
    const kept = join(here, `${name.replaceAll(' ', '-')}.txt`)
    // Paths are longer elsewhere, and lines then break at other words.
    if (!existsSync(kept) || told(readFileSync(kept, 'utf8')) !== told(transcript))
      await expect(transcript).toMatchFileSnapshot(kept)
  })

  it('says the same into a file, without escape codes', async () => {
    clean()
    for (const args of lines) {
      const { stdout, stderr } = await inProcess(args, { cwd, ...scene })
      expect(stdout + stderr).not.toMatch(control)
    }
  })

  it('says results, warnings and errors alone with --quiet', async () => {
    clean()
    for (const args of lines) {
      const { status, stdout, stderr } = await inProcess([...args, '--quiet'], { cwd, ...scene })
      expect([args, stderr]).toEqual([
        args,
        expect.stringMatching(status === 0 ? /^(?:warning: .*\n)*$/ : failing),
      ])
      expect([args, status !== 0 || stdout !== '' || name === 'setup']).toEqual([args, true])
    }
  })

  it.skipIf(!tree.get(name)?.options.some(({ long }) => long === '--json'))(
    'prints objects of its schemas with --json; in CI, where nothing is rewritten and no page opens',
    async () => {
      clean()
      const env = { CI: '1', DISPLAY: ':0' }
      for (const args of lines) {
        const given = [...args.filter((arg) => arg !== '--no-open'), '--json']
        const { status, written, json } = await inProcess(given, { cwd, columns: 80, env, ...scene })
        expect(written).not.toMatch(control)
        expect([
          args,
          status === 0,
          json().some(({ kind }) => kind === 'error' || kind === 'verification'),
        ]).toEqual([args, status === 0, status !== 0])
      }
      expect(opened).not.toHaveBeenCalled()
    },
  )
})
