// On a terminal of the system (util-linux `script`): what stays on its screen fits, lines of progress go, and Ctrl-C leaves it as it was.
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import stringWidth from 'string-width'
import { beforeAll, describe, expect, it } from 'vitest'
import { quoted } from '../../src/files/shell.ts'
import { packageRoot } from '../../src/package-root.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { tiny, tinyModel, workFolder } from './sherd.ts'
import { fits, screenOf } from './transcripts/screen.ts'

const sherd = `${quoted(process.execPath)} ${quoted(join(packageRoot(), 'dist/src/cli/bin.cjs'))}`
const isHere = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0
if (!isHere) console.warn('skipped: there is no "script" of util-linux (package bsdutils) here')

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'photos'), count: 20, size: 24, seed: 3 })
})

interface Shown {
  readonly status: number | null
  readonly written: string
}

/** Runs a command line of a shell on a terminal; `keys` are pressed once the output has what they wait for. */
function onTerminal(line: string, columns: number, keys?: { press: string; after: RegExp }): Promise<Shown> {
  const { CI: _, NO_COLOR: __, FORCE_COLOR: ___, ...env } = process.env
  const child = spawn('script', ['-qec', `stty cols ${columns} rows 24; exec ${line}`, '/dev/null'], {
    cwd,
    env: { ...env, TERM: 'xterm-256color', LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', OMP_WAIT_POLICY: 'passive' },
  })
  let written = ''
  let isPressed = keys === undefined
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written += text
    if (isPressed || !keys!.after.test(written)) return
    isPressed = true
    child.stdin.write(keys!.press)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, written }))
  })
}

/** What stays, after checks of what was on the screen at any time. */
function seen({ written }: Shown, columns: number): readonly string[] {
  const { lines, passing, isCursorShown } = screenOf(written)
  expect([...lines, ...passing].filter((line) => !fits(line, columns))).toEqual([])
  // A line of the full width would move the cursor into the next one, where it could not be written over.
  expect(passing.filter((line) => stringWidth(line) >= columns)).toEqual([])
  expect(passing.length).toBeGreaterThan(0)
  for (const line of passing) expect(lines).not.toContain(line)
  expect(isCursorShown).toBe(true)
  return lines
}

const pretrain = `${sherd} pretrain mae-tiny-cifar10 --data photos --precision fp32 ${tiny().map(quoted).join(' ')}`

describe.skipIf(!isHere).concurrent('a terminal', () => {
  it.each([40, 80])('of %d columns shows a run and an embedding', async (columns) => {
    const run = await onTerminal(`${pretrain} --steps 30 --out run-${columns}`, columns)
    expect(run.status).toBe(0)
    const text = seen(run, columns).join('\n')
    expect(text).toMatch(/^completed 30 steps in /m)
    expect(text).not.toMatch(/ left\b/) // of the line of progress
    const model = `random --preset mae-demo ${tinyModel().map(quoted).join(' ')}`
    const made = await onTerminal(`${sherd} embed photos --model ${model} --out ${columns}.npy`, columns)
    expect(made.status).toBe(0)
    expect(seen(made, columns).join(' ')).toMatch(/20 images, each 32 numbers/)
  })

  it('is as it was after Ctrl-C', async () => {
    const keys = { press: '\x03', after: /\/100,000/ }
    const run = await onTerminal(`${pretrain} --steps 100000 --out stopped`, 40, keys)
    expect(run.status).toBe(130)
    const text = seen(run, 40).join('\n')
    expect(text).toMatch(/^interrupted at step /m)
    expect(text).toMatch(/^ {2}(?:npx )?sherd pretrain --out stopped --resume$/m)
  })
})
