// A place for a result: nobody ever finds half of one, and nothing is replaced by accident.
import { spawn } from 'node:child_process'
import fs, {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { type ClaimRequest, claim, claimed, type Draft, expectFree } from '../../src/files/claim.ts'
import { fingerprintOf } from '../../src/files/fingerprint.ts'
import { sherdVersion } from '../../src/package-root.ts'

const root = mkdtempSync(join(tmpdir(), 'sherd claim '))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let places = 0
/** A new folder, with a space in its name. */
function place(name = 'out.npy'): string {
  const dir = join(root, `place ${++places}`)
  mkdirSync(dir)
  return join(dir, name)
}
const listOf = (path: string) => readdirSync(dirname(path)).sort()

const made = { command: 'embed', options: { pooling: 'mean' }, inputs: { images: 'aa', model: 'bb' } }
const asked = (out: string, more: Partial<ClaimRequest> = {}): ClaimRequest => ({
  ...{ out, kind: 'file', made, continues: true },
  ...more,
})

function begun(request: ClaimRequest): Draft<unknown> {
  const found = claim(request)
  if (found.state === 'done') throw new Error('it is done')
  return found
}

/** Makes a file or a folder with one file, of this text. */
function make(request: ClaimRequest, text: string, result: unknown = { count: 3 }): void {
  const draft = begun(request)
  writeFileSync(request.kind === 'file' ? draft.fileFor() : join(draft.fileFor(), 'a.txt'), text)
  for (const path of request.also ?? []) writeFileSync(draft.fileFor(path), `${text} also`)
  draft.finish(result)
}
const textOf = (out: string, kind: ClaimRequest['kind']) =>
  readFileSync(kind === 'file' ? out : join(out, 'a.txt'), 'utf8')

describe.each(['file', 'folder'] as const)('a %s', (kind) => {
  const name = kind === 'file' ? 'out.npy' : 'out'

  it('is new, then done: the result is found again with what was said about it', () => {
    const out = place(name)
    const request = asked(out, { kind })
    const draft = begun(request)
    expect(draft.state).toBe('new')
    expect(existsSync(out)).toBe(false)
    writeFileSync(kind === 'file' ? draft.fileFor() : join(draft.fileFor(), 'a.txt'), 'made')
    draft.finish({ count: 3 })
    expect(textOf(out, kind)).toBe('made')
    expect(listOf(out)).toEqual(kind === 'file' ? ['.out.npy.made.json', 'out.npy'] : ['out'])
    const again = claim(request)
    expect(again).toEqual({ state: 'done', result: { count: 3 } })
    expect(listOf(out)).toHaveLength(kind === 'file' ? 2 : 1)
  })

  it('continues after an interruption, and only then', () => {
    const out = place(name)
    const request = asked(out, { kind })
    const first = begun(request)
    writeFileSync(join(first.dir, 'so-far'), '12')
    first.leave()
    const second = begun(request)
    expect(second.state).toBe('continued')
    expect(readFileSync(join(second.dir, 'so-far'), 'utf8')).toBe('12')
    second.drop()
    expect(listOf(out)).toEqual([])
    expect(begun(request).state).toBe('new')
  })

  it('keeps no draft that holds nothing', () => {
    const out = place(name)
    begun(asked(out, { kind })).leave()
    expect(listOf(out)).toEqual([])
  })

  it('refuses another request with each difference, and replaces with --overwrite', () => {
    const out = place(name)
    make(asked(out, { kind }), 'old')
    const other = {
      command: 'embed',
      options: { pooling: 'cls', seed: 1 },
      inputs: { ...made.inputs, images: 'cc' },
    }
    const request = asked(out, { kind, made: other })
    let message = ''
    try {
      claim(request)
    } catch (error) {
      message = (error as Error).message
      expect(error).toMatchObject({ code: 'USAGE' })
    }
    expect(message).toBe(
      `${out} is there already, of another request:\n` +
        '  pooling: "mean" → "cls"\n  seed: not set → 1\n  images: others than then, or changed since\n' +
        'Replace it with --overwrite, or choose another name.',
    )
    expect(listOf(out)).toHaveLength(kind === 'file' ? 2 : 1)
    make({ ...request, overwrite: true }, 'new', null)
    expect(textOf(out, kind)).toBe('new')
    expect(claim(request)).toEqual({ state: 'done', result: null })
    expect(() => claim(asked(out, { kind, made: { ...made, command: 'classify' } }))).toThrow(
      'command: embed → classify',
    )
  })

  it('refuses the draft of another request, and keeps it', () => {
    const out = place(name)
    const first = begun(asked(out, { kind }))
    writeFileSync(join(first.dir, 'so-far'), '12')
    first.leave()
    const other = { ...made, options: { pooling: 'cls' } }
    expect(() => claim(asked(out, { kind, made: other }))).toThrow(
      /out(\.npy)?\.partial holds what another request has begun:\n {2}pooling: "mean" → "cls"\nStart from the beginning with --overwrite/,
    )
    expect(begun(asked(out, { kind })).state).toBe('continued')
  })

  it('starts over the draft of another request with --overwrite', () => {
    const out = place(name)
    const first = begun(asked(out, { kind }))
    writeFileSync(join(first.dir, 'so-far'), '12')
    first.leave()
    const request = asked(out, { kind, made: { ...made, options: {} }, overwrite: true })
    const second = begun(request)
    expect(second.state).toBe('new')
    expect(existsSync(join(second.dir, 'so-far'))).toBe(false)
    second.drop()
  })

  it('finds the old result or the new one, wherever finishing is cut off', () => {
    const cuttable = ['renameSync', 'rmSync', 'rmdirSync'] as const
    const real = { ...fs }
    const seen = new Set<string>()
    // The n-th rename and all that comes after it fail, as if the process had been killed there.
    for (let cut = 0; cut < 40; cut++) {
      const out = place(name)
      const also = kind === 'file' ? [join(dirname(out), 'out.json')] : []
      make(asked(out, { kind, also }), 'old')
      const request = asked(out, { kind, also, overwrite: true })
      const draft = begun(request)
      writeFileSync(kind === 'file' ? draft.fileFor() : join(draft.fileFor(), 'a.txt'), 'new')
      for (const path of also) writeFileSync(draft.fileFor(path), 'new also')
      let calls = 0
      const spies = cuttable.map((each) =>
        vi.spyOn(fs, each).mockImplementation(((...args: never[]) => {
          if (calls++ >= cut) throw new Error('killed')
          return (real[each] as (...args: never[]) => void)(...args)
        }) as never),
      )
      syncBuiltinESMExports()
      let wasCut = false
      try {
        draft.finish({ count: 4 })
      } catch {
        wasCut = true
      }
      for (const spy of spies) spy.mockRestore()
      syncBuiltinESMExports()
      const partial = `${out}.partial`
      const copies = [out, join(partial, 'replaced'), join(partial, 'result', name)]
      const texts = copies.filter((path) => existsSync(kind === 'file' ? path : join(path, 'a.txt')))
      expect(texts.length).toBeGreaterThan(0)
      // A dead process holds no lock; the next one completes what was begun, or has the old result.
      if (existsSync(join(partial, 'lock'))) writeFileSync(join(partial, 'lock'), deadLock())
      const next = claim<{ count: number }>(asked(out, { kind, also }))
      expect(next.state).toBe('done')
      const text = textOf(out, kind)
      const { count } = (next as { result: { count: number } }).result
      expect([count, text]).toEqual(text === 'new' ? [4, 'new'] : [3, 'old'])
      for (const path of also) expect(readFileSync(path, 'utf8')).toBe(`${text} also`)
      seen.add(`${wasCut} ${text}`)
      if (!wasCut) {
        expect(listOf(out).filter((each) => each.includes('partial'))).toEqual([])
        break
      }
    }
    expect([...seen].sort()).toEqual(['false new', 'true new', 'true old'])
  })

  it('follows a link, which stays', () => {
    const out = place(name)
    const target = place(name)
    make(asked(target, { kind }), 'old')
    symlinkSync(target, out)
    expect(claim(asked(out, { kind })).state).toBe('done')
    make(asked(out, { kind, overwrite: true }), 'new')
    expect(textOf(target, kind)).toBe('new')
    expect(textOf(out, kind)).toBe('new')
    expect(listOf(out)).toEqual([name])
    rmSync(target, { recursive: true })
    expect(() => claim(asked(out, { kind }))).toThrow('is a link that leads nowhere')
  })

  it('is not replaced by the other kind', () => {
    const out = place(name)
    make(asked(out, { kind }), 'old')
    const other = kind === 'file' ? 'folder' : 'file'
    expect(() => claim(asked(out, { kind: other, overwrite: true }))).toThrow(
      `is there already, and is a ${kind}: choose another name for --out, of a ${other}.`,
    )
    expect(textOf(out, kind)).toBe('old')
  })

  it('is not called done where it was changed', () => {
    const out = place(name)
    make(asked(out, { kind }), 'old')
    writeFileSync(kind === 'file' ? out : join(out, 'a.txt'), 'longer than it was')
    expect(() => claim(asked(out, { kind }))).toThrow('was changed after it had been made')
    make(asked(out, { kind, overwrite: true }), 'new')
    expect(textOf(out, kind)).toBe('new')
  })

  it('says where it cannot be written', () => {
    const file = place('file')
    writeFileSync(file, '')
    for (const out of [join(file, name), `/proc/${name}`])
      expect(() => claim(asked(out, { kind }))).toThrow(expect.objectContaining({ code: 'RUN' }))
    expect(listOf(file)).toEqual(['file'])
  })

  it('keeps the old result where the disk is full', () => {
    const out = place(name)
    make(asked(out, { kind }), 'old')
    const draft = begun(asked(out, { kind, overwrite: true }))
    // Nothing was written, so that there is nothing to move.
    rmSync(join(draft.dir, 'result'), { recursive: true })
    expect(() => draft.finish(null)).toThrow(expect.objectContaining({ code: 'RUN' }))
    draft.drop()
    expect(textOf(out, kind)).toBe('old')
    expect(claim(asked(out, { kind })).state).toBe('done')
  })
})

const deadLock = (more: object = {}) =>
  JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), start: null, since: 'then', ...more })

describe('two processes', () => {
  const other = () =>
    spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], { stdio: 'pipe' })

  it('do not write to one place: the second is refused and says whom it waits for', async () => {
    const out = place()
    const child = other()
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve))
      const draft = begun(asked(out))
      writeFileSync(join(draft.dir, 'so-far'), '12')
      expect(() => claim(asked(out))).toThrow(
        new RegExp(`out\\.npy is being written by process ${process.pid} on `),
      )
      draft.leave()
      writeFileSync(join(draft.dir, 'lock'), deadLock({ pid: child.pid }))
      expect(() => claim(asked(out))).toThrow(
        `is being written by process ${child.pid} on ${hostname()} since then`,
      )
      expect(() => claim(asked(out, { overwrite: true }))).toThrow('is being written by')
      expect(existsSync(join(draft.dir, 'so-far'))).toBe(true)
      if (process.platform === 'linux') {
        // The id is of another process now.
        writeFileSync(join(draft.dir, 'lock'), deadLock({ pid: child.pid, start: '1' }))
        begun(asked(out)).leave()
      }
    } finally {
      child.kill('SIGKILL')
    }
  })

  it.each([
    ['of a process that has ended', deadLock()],
    ['of an earlier process with this id', deadLock({ pid: process.pid })],
    ['that was cut off', ''],
  ])('a lock %s counts for nothing', (_, text) => {
    const out = place()
    const draft = begun(asked(out))
    writeFileSync(join(draft.dir, 'so-far'), '12')
    draft.leave()
    const lock = join(draft.dir, 'lock')
    writeFileSync(lock, text)
    utimesSync(lock, 1, 1)
    const next = begun(asked(out))
    expect(next.state).toBe('continued')
    expect(readdirSync(next.dir).filter((name) => name.startsWith('lock'))).toEqual(['lock'])
    next.drop()
  })

  it('a lock of another machine counts', () => {
    const out = place()
    begun(asked(out)).leave()
    mkdirSync(`${out}.partial`, { recursive: true })
    writeFileSync(join(`${out}.partial`, 'lock'), deadLock({ host: 'elsewhere' }))
    expect(() => claim(asked(out))).toThrow(/on elsewhere .* if it has ended, remove .*lock/)
  })
})

describe('a draft', () => {
  it('of another version of sherd is refused; a result of it is not', () => {
    const out = place()
    const draft = begun(asked(out))
    writeFileSync(join(draft.dir, 'so-far'), '12')
    draft.leave()
    const record = join(draft.dir, 'made.json')
    const older = (path: string) =>
      writeFileSync(
        path,
        readFileSync(path, 'utf8').replace(`"sherd": "${sherdVersion()}"`, '"sherd": "0.0.1"'),
      )
    older(record)
    expect(() => claim(asked(out))).toThrow(`sherd: 0.0.1 → ${sherdVersion()}`)
    make(asked(out, { overwrite: true }), 'new')
    older(join(dirname(out), '.out.npy.made.json'))
    expect(claim(asked(out)).state).toBe('done')
  })

  it('without a record, as an interrupted removal leaves it, is none', () => {
    const out = place()
    mkdirSync(`${out}.partial`)
    writeFileSync(join(`${out}.partial`, 'so-far'), '12')
    const draft = begun(asked(out))
    expect(draft.state).toBe('new')
    expect(existsSync(join(draft.dir, 'so-far'))).toBe(false)
  })

  it('that cannot be continued is begun again, for any request', () => {
    const out = place()
    const draft = begun(asked(out, { continues: false }))
    writeFileSync(draft.fileFor(), 'half')
    draft.leave() // as if killed
    const next = begun(asked(out, { made: { ...made, options: {} } }))
    expect(next.state).toBe('new')
    expect(existsSync(next.fileFor())).toBe(false)
  })

  it('is kept after an error where it can be continued', async () => {
    const out = place()
    const fails = (request: ClaimRequest) =>
      claimed(request, async (draft) => {
        writeFileSync(join(draft.dir, 'so-far'), '12')
        throw new Error('stopped')
      })
    await expect(fails(asked(out))).rejects.toThrow('stopped')
    expect(listOf(out)).toEqual(['out.npy.partial'])
    await expect(fails(asked(out, { continues: false, overwrite: true }))).rejects.toThrow('stopped')
    expect(listOf(out)).toEqual([])
    const work = async (draft: Draft<number>) => {
      writeFileSync(draft.fileFor(), 'made')
      return 7
    }
    expect(await claimed(asked(out), work)).toEqual({ result: 7, wasThere: false })
    expect(await claimed(asked(out), () => Promise.reject(new Error('not called')))).toEqual({
      ...{ result: 7, wasThere: true },
    })
  })
})

it('never replaces a folder that is no result, but takes an empty one, or one of an older version', () => {
  const out = place('photos')
  mkdirSync(out)
  const request = asked(out, { kind: 'folder', overwrite: true })
  make(request, 'new')
  rmSync(join(out, 'made.json'))
  expect(() => claim(request)).toThrow('is there already, and is no result of this command: it has a.txt.')
  make({ ...request, isResult: (dir) => existsSync(join(dir, 'a.txt')) }, 'newer')
  expect(textOf(out, 'folder')).toBe('newer')
})

it('a file of others, or of an older version, is refused, and replaced with --overwrite', () => {
  const out = place()
  writeFileSync(out, 'other')
  expect(() => claim(asked(out))).toThrow(`${out} is there already. Replace it with --overwrite`)
  make(asked(out, { overwrite: true }), 'new')
  expect(textOf(out, 'file')).toBe('new')
})

it('takes no link for files that have others beside them', () => {
  const out = place()
  writeFileSync(join(dirname(out), 'x'), '')
  symlinkSync(join(dirname(out), 'x'), out)
  expect(() => claim(asked(out, { also: [join(dirname(out), 'out.json')] }))).toThrow(
    'is a link and out.json would be written beside it: give the file itself, or choose another name.',
  )
})

it('small files are refused before anything is computed, unless they may be replaced', () => {
  const path = place('picture.png')
  expectFree(path)
  writeFileSync(path, 'old')
  expect(() => expectFree(path)).toThrow(
    `${path} is there already. Replace it with --overwrite, or choose another name.`,
  )
  expectFree(path, true)
  expect(textOf(path, 'file')).toBe('old')
  expect(listOf(path)).toEqual(['picture.png'])
  expect(() => expectFree(dirname(path), true)).toThrow('it is a folder')
})

it('a fingerprint knows files that are new, gone, changed or elsewhere', () => {
  const dir = dirname(place())
  mkdirSync(join(dir, 'b'))
  writeFileSync(join(dir, 'a.txt'), '1')
  writeFileSync(join(dir, 'b', 'c.txt'), '2')
  const all = [fingerprintOf(dir)]
  expect(fingerprintOf(dir)).toBe(all[0])
  writeFileSync(join(dir, 'a.txt'), '12')
  all.push(fingerprintOf(dir))
  utimesSync(join(dir, 'b', 'c.txt'), 5, 5)
  all.push(fingerprintOf(dir))
  writeFileSync(join(dir, 'b', 'd.txt'), '')
  all.push(fingerprintOf(dir), fingerprintOf(join(dir, 'a.txt')), fingerprintOf(join(dir, 'no')))
  expect(new Set(all).size).toBe(all.length)
})
