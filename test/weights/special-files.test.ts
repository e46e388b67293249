// Files of a run that somebody else has prepared: links, FIFOs and devices are told, not waited for, not read without end, not
// written through; and a checkpoint under the name of another step is not continued from.
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { listCheckpoints } from '../../src/checkpoint/checkpoint.ts'
import { openRun, runPaths } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { writeWhole } from '../../src/files/write-whole.ts'
import { appendNote, readMetrics } from '../../src/run/journal.ts'
import { lockRun } from '../../src/run/lock.ts'
import { startTraceFile } from '../../src/run/trace-file.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'

const config = tinyConfig({ train: { steps: 4 }, checkpoint: { everySteps: 2 } })
let [made, data, out, outside] = ['', '', '', '']
beforeAll(async () => {
  ;[data, made] = [await sampleFolder(10), join(await workFolder(), 'made')]
  await run({ config, data, out: made })
})
beforeEach(async () => {
  const dir = await workFolder()
  ;[out, outside] = [join(dir, 'run'), join(dir, 'outside')]
  cpSync(made, out, { recursive: true })
  writeFileSync(outside, 'precious')
})
const fifo = (path: string) => execFileSync('mkfifo', [path])
const replaced = (path: string, make: (path: string) => void) => {
  rmSync(path, { force: true })
  make(path)
  return path
}

describe.each<[string, (path: string) => void, RegExp]>([
  ['a FIFO', fifo, /no regular file/],
  ['a device without end', (path) => symlinkSync('/dev/zero', path), /it is a link/],
  ['a link out of the folder', (path) => symlinkSync(outside, path), /it is a link/],
  ['a link to nothing', (path) => symlinkSync(`${outside}-none`, path), /it is a link|is not a run/],
])('%s', (_, make, why) => {
  it('is no configuration of a run', () => {
    replaced(runPaths(out).config, make)
    expect(() => openRun(out)).toThrow(why)
  })

  it('gets no line of the journal, and is not made a draft or a trace of', () => {
    replaced(runPaths(out).journal, make)
    expect(() => appendNote(runPaths(out).journal, { event: 'x' })).toThrow(/Cannot write .*journal\.jsonl/)
    const file = join(out, 'x.npy')
    replaced(`${file}.writing`, make)
    writeWhole(file, 'whole')
    expect(readFileSync(file, 'utf8')).toBe('whole')
    expect(existsSync(`${file}.writing`)).toBe(false)
    startTraceFile(replaced(join(out, 'trace.json'), make), [])
    expect(readFileSync(outside, 'utf8')).toBe('precious')
    expect(existsSync(`${outside}-none`)).toBe(false)
  })
})

it('metrics, lock and weights that are no files are reported', () => {
  replaced(runPaths(out).metrics, (path) => symlinkSync(outside, path))
  expect(() => readMetrics(runPaths(out).metrics)).toThrow(/Cannot read .*metrics\.jsonl: it is a link/)
  replaced(runPaths(out).lock, (path) => symlinkSync(outside, path))
  expect(() => lockRun(out)).toThrow(/is a link or no regular file/)
  expect(() => readSafetensors(replaced(join(out, 'w.safetensors'), fifo))).toThrow(/no regular file/)
  expect(readFileSync(outside, 'utf8')).toBe('precious')
})

it('a checkpoint under the name of a later step is refused, and nothing is lost', async () => {
  const { checkpoints } = runPaths(out)
  const [first, last] = listCheckpoints(checkpoints)
  rmSync(last!.path, { recursive: true })
  const wrong = join(checkpoints, 'step-00000009')
  renameSync(first!.path, wrong)
  const longer = tinyConfig({ train: { steps: 6 }, checkpoint: { everySteps: 2 } })
  await expect(run({ config: longer, data, out, resume: true })).rejects.toMatchObject({
    code: 'RUN',
    message: expect.stringContaining(
      `${wrong} holds the checkpoint of step 2: rename it to step-00000002`,
    ) as string,
  })
  expect(readdirSync(checkpoints)).toEqual(['step-00000009'])
  renameSync(wrong, first!.path)
  const events = await run({ config: longer, data, out, resume: true })
  expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', step: 6 })
  expect(listCheckpoints(checkpoints).map(({ step }) => step)).toEqual([4, 6])
})
