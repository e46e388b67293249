/**
 * A place for a result, `--out`: free, in work, or filled. Whatever takes minutes is made in `OUT.partial/` beside it and moved to its name
 * when it is complete, so that a reader finds the old result or the new one. What it was made by is kept with it (`made.json` in a folder,
 * `.NAME.made.json` beside a file): the same request continues where it was stopped or finds its result, another one is refused.
 */
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { sherdVersion } from '../package-root.ts'
import { cannotWrite, isDiskFull } from './cannot-write.ts'
import { flush } from './durable.ts'
import { filesBelow } from './fingerprint.ts'
import { contentOf, differencesOf, type Made, readRecord, recordOf } from './made.ts'
import { lockByProcess } from './process-lock.ts'
import { expectWritable, makeFolder, writeWhole } from './write-whole.ts'

export interface ClaimRequest {
  readonly out: string
  readonly kind: 'file' | 'folder'
  /** Files beside `out` that belong to a result of kind `file`. */
  readonly also?: readonly string[]
  readonly made: Made
  readonly overwrite?: boolean | undefined
  /** Whether an unfinished draft is worth keeping. Others are dropped when the work fails, and started over. */
  readonly continues?: boolean
  /** Whether a folder without a record, as older versions left it, is such a result and may be replaced. */
  readonly isResult?: (dir: string) => boolean
  /**
   * Moves what is in a new folder into the old one, in an order in which readers find one of both at any moment. It is called again after a
   * crash. By default the old folder is renamed and the new one takes its name.
   */
  readonly merge?: (from: string, to: string) => void
}

export interface Draft<R> {
  /** `continued`: there is a draft of the same request. */
  readonly state: 'new' | 'continued'
  /** For files of the work itself, that go when it is done. */
  readonly dir: string
  /** Where to write what becomes `out`, or one of `also`. A folder is there already. */
  readonly fileFor: (path?: string) => string
  /** Moves the result to its name, with what the command says about it. Throws `RUN`; the old result stays then. */
  finish(result: R): void
  /** Keeps the draft, if there is anything in it. */
  leave(): void
  /** Removes the draft. */
  drop(): void
}

/** The same request has made it: what its command said. */
interface Done<R> {
  readonly state: 'done'
  readonly result: R
}

export type Claim<R> = Draft<R> | Done<R>

export const RECORD = 'made.json'
const LOCK = 'lock'
/** What becomes the result. */
const RESULT = 'result'
/** Files to be moved: from here on the new result counts, and the next process completes it. */
const MOVES = 'moves.json'

/**
 * Throws `USAGE` for a result or a draft of another request unless `overwrite`, and for a folder that is no result of sherd in any case;
 * `RUN` where another process writes to it, or nothing can be written.
 */
export function claim<R>(request: ClaimRequest): Claim<R> {
  return orRun(resolve(request.out), () => {
    const out = followed(request)
    const draft = `${out}.partial`
    // A result that is there needs no draft, and may lie in a folder that cannot be written.
    const found = existsSync(draft) ? null : lookAt<R>(out, request)
    if (found) return found
    makeFolder(dirname(out))
    const lock = begin(out, draft)
    try {
      completeMoves(draft, request)
      const done = lookAt<R>(out, request)
      if (!done) return open<R>(out, { draft, request, lock })
      lock.giveUp()
      return done
    } catch (error) {
      lock.giveUp()
      throw error
    }
  })
}

/** Makes a result by `work`, or finds it made. After an error the draft is kept where the request can be continued. */
export async function claimed<R>(
  request: ClaimRequest,
  work: (draft: Draft<R>) => Promise<R>,
): Promise<{ readonly result: R; readonly wasThere: boolean }> {
  const place = claim<R>(request)
  if (place.state === 'done') return { result: place.result, wasThere: true }
  try {
    const result = await work(place)
    place.finish(result)
    return { result, wasThere: false }
  } catch (error) {
    throw abandoned(request, place, error)
  }
}

/** Ends a draft whose work has failed, and returns the error, which says where the disk was full what is kept. */
export function abandoned(
  { out, continues = false }: Pick<ClaimRequest, 'out' | 'continues'>,
  place: Draft<never>,
  error: unknown,
): unknown {
  if (continues) place.leave()
  else place.drop()
  if (!isDiskFull(error)) return error
  const { code, message } = cannotWrite(out, error)
  const left = existsSync(place.dir) ? `What is done is kept in ${place.dir}.` : 'Nothing is left behind.'
  return new SherdError(code, `${message} ${left}`, { cause: error })
}

/** For files that take seconds: throws `USAGE` if there is one, `RUN` if it cannot be written. Call it before anything is computed. */
export function expectFree(path: string, overwrite = false): void {
  const full = resolve(path)
  if (!overwrite && looked(full)?.isDirectory() === false)
    throw new SherdError('USAGE', `${full} is there already. ${REPLACE}`)
  expectWritable(full)
}

const REPLACE = 'Replace it with --overwrite, or choose another name.'

function orRun<T>(out: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw cannotWrite(out, error)
  }
}

/** A link is followed: what it leads to is replaced, and it stays. */
function followed({ out, also = [] }: ClaimRequest): string {
  const full = resolve(out)
  if (!looked(full)?.isSymbolicLink()) return full
  const why = !existsSync(full)
    ? 'that leads nowhere'
    : also.length > 0
      ? `and ${also.map((path) => basename(path)).join(', ')} would be written beside it: give the file itself`
      : null
  if (why) throw new SherdError('USAGE', `${full} is a link ${why}, or choose another name.`)
  return realpathSync(full)
}

/** Without following links; also of a path below a file, where there is nothing. */
function looked(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw error
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

const recordName = (out: string) => `.${basename(out)}.${RECORD}`
const recordPath = (out: string, kind: ClaimRequest['kind']): string =>
  kind === 'folder' ? join(out, RECORD) : join(dirname(out), recordName(out))

/** The result, if the same request has made it; null if the place is free, or is to be replaced. */
function lookAt<R>(
  out: string,
  { kind, made, overwrite = false, isResult, also = [] }: ClaimRequest,
): Done<R> | null {
  if (!existsSync(out) || (kind === 'folder' && isFolder(out) && readdirSync(out).length === 0)) return null
  const there = `${out} is there already`
  if (isFolder(out) !== (kind === 'folder'))
    throw new SherdError(
      'USAGE',
      `${there}, and is a ${isFolder(out) ? 'folder' : 'file'}: choose another name for --out, of a ${kind}.`,
    )
  const record = readRecord(recordPath(out, kind))
  if (kind === 'folder' && !record && !isResult?.(out))
    throw new SherdError(
      'USAGE',
      `${there}, and is no result of this command: it has ${readdirSync(out)[0]}. Choose another name for --out.`,
    )
  if (overwrite) return null
  if (!record) throw new SherdError('USAGE', `${there}. ${REPLACE}`)
  const differences = differencesOf(record, made)
  if (differences.length > 0)
    throw new SherdError('USAGE', `${there}, of another request:${asList(differences)}${REPLACE}`)
  const paths = [out, ...also]
  if (!paths.every((path) => existsSync(path)) || contentOf(paths, RECORD) !== record.content)
    throw new SherdError('USAGE', `${there}, and was changed after it had been made. ${REPLACE}`)
  return { state: 'done', result: record.result as R }
}

const asList = (lines: readonly string[]) => `\n  ${lines.join('\n  ')}\n`

interface Lock {
  readonly release: () => void
  /** Removes the draft, too, unless it can be continued. */
  readonly giveUp: () => void
}

/** Makes the folder of the draft and locks it. */
function begin(out: string, draft: string): Lock {
  for (let tries = 1; ; tries++)
    try {
      makeFolder(draft)
      const path = join(draft, LOCK)
      const { release, heldBy } = lockByProcess(path)
      if (release)
        return {
          release,
          giveUp: () => (existsSync(join(draft, RECORD)) ? release() : remove(draft, release)),
        }
      throw new SherdError(
        'RUN',
        `${out} is being written by ${heldBy}. Wait for it, or end it; if it has ended, remove ${path}.`,
      )
    } catch (error) {
      // Its owner has just finished and removed the folder.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && tries < 10) continue
      removeIfEmpty(draft)
      throw error
    }
}

/** Removes a draft; the record first, since what is left after a crash is no draft, and the lock last. */
function remove(draft: string, release: () => void): void {
  empty(draft)
  release()
  removeIfEmpty(draft)
}

function removeIfEmpty(draft: string): void {
  try {
    rmdirSync(draft)
  } catch {
    // it holds a draft, or another process has come
  }
}

function empty(draft: string): void {
  rmSync(join(draft, RECORD), { force: true })
  for (const name of readdirSync(draft))
    if (name !== LOCK) rmSync(join(draft, name), { recursive: true, force: true })
}

/** Moves what a finished draft holds to its names, the first time or after a crash. A folder in the way goes into the draft. */
function completeMoves(draft: string, { merge }: ClaimRequest): void {
  const list = join(draft, MOVES)
  if (!existsSync(list)) return
  const dir = dirname(draft)
  for (const name of JSON.parse(readFileSync(list, 'utf8')) as string[]) {
    const source = join(draft, RESULT, basename(name))
    const target = join(dir, basename(name))
    if (!existsSync(source)) continue
    if (isFolder(target) && merge) merge(source, target)
    else if (isFolder(target)) {
      const aside = join(draft, 'replaced')
      renameSync(target, aside)
      try {
        renameSync(source, target)
      } catch (error) {
        renameSync(aside, target)
        throw error
      }
    } else renameSync(source, target)
  }
  flush(dir)
  empty(draft)
}

function open<R>(
  out: string,
  { draft, request, lock }: { draft: string; request: ClaimRequest; lock: Lock },
): Draft<R> {
  const { kind, made, overwrite = false, also = [], continues = false } = request
  const sherd = sherdVersion()
  const before = readRecord(join(draft, RECORD))
  const kept = before?.continues ? before : null
  const differences = kept ? differencesOf(kept, made) : []
  if (kept && kept.sherd !== sherd) differences.push(`sherd: ${kept.sherd} → ${sherd}`)
  if (differences.length > 0 && !overwrite)
    throw new SherdError(
      'USAGE',
      `${draft} holds what another request has begun:${asList(differences)}Start from the beginning with --overwrite, or choose another name.`,
    )
  const isContinued = kept !== null && differences.length === 0
  if (!isContinued) {
    empty(draft)
    writeWhole(join(draft, RECORD), recordOf(made, { sherd, continues }))
  }
  const fileFor = (path = out) => join(draft, RESULT, basename(path))
  makeFolder(kind === 'folder' ? fileFor() : join(draft, RESULT))
  return {
    ...{ state: isContinued ? 'continued' : 'new', dir: draft, fileFor },
    finish: (result) =>
      orRun(out, () => {
        const paths = [out, ...also].map(fileFor)
        const record = recordOf(made, { sherd, content: contentOf(paths, RECORD), result })
        writeWhole(kind === 'folder' ? join(paths[0]!, RECORD) : fileFor(recordName(out)), record)
        const names = [...(kind === 'file' ? [recordName(out)] : []), ...also, out].map((path) =>
          basename(path),
        )
        writeWhole(join(draft, MOVES), JSON.stringify(names))
        completeMoves(draft, request)
        remove(draft, lock.release)
      }),
    leave: () => {
      const own = [RECORD, LOCK].map((name) => join(draft, name))
      if (filesBelow(draft).every((file) => own.includes(file))) remove(draft, lock.release)
      else lock.release()
    },
    drop: () => (existsSync(join(draft, MOVES)) ? lock.release() : remove(draft, lock.release)),
  }
}
