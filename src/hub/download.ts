/**
 * One file into the cache: from where an earlier start stopped, under a name that says it is not complete, and to its own name only once its
 * length and checksum are those that the hub states. One process at a time; another one waits.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { flush } from '../files/durable.ts'
import { isLfsPointer } from '../files/lfs-pointer.ts'
import { lockByProcess } from '../files/process-lock.ts'
import { makeFolder } from '../files/write-whole.ts'
import { blobPath, type RepoCache } from './cache.ts'
import { hubListener } from './listener.ts'
import { ExpiredLink, type Purpose } from './refusal.ts'
import { ask, backoff, pausing, stopped, TRIES, webPage, whyFailed } from './requests.ts'
import type { HubSettings } from './settings.ts'

/** A file as the hub lists it. */
export interface RemoteFile {
  readonly path: string
  readonly size: number
  /** SHA-256 of a large file, Git's SHA-1 of a small one: the name of its blob. */
  readonly sum: string
}

export interface Download {
  readonly settings: HubSettings
  readonly cache: RepoCache
  readonly repo: string
  readonly commit: string
}

const isSha256 = (sum: string) => sum.length === 64

/** The checksum that a blob should be named by. */
export async function sumOf(path: string, sum: string): Promise<string> {
  const hash = createHash(isSha256(sum) ? 'sha256' : 'sha1')
  if (!isSha256(sum)) hash.update(`blob ${statSync(path).size}\0`)
  for await (const part of createReadStream(path, { highWaterMark: 4 << 20 })) hash.update(part as Buffer)
  return hash.digest('hex')
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** The file that holds what has come so far. Others of Hugging Face's libraries continue it, too. */
const partOf = (blob: string) => `${blob}.incomplete`

/** Bytes that have yet to come. */
export function missingBytes({ cache }: Download, { size, sum }: RemoteFile): number {
  const blob = blobPath(cache, sum)
  if (sizeOf(blob) === size && existsSync(blob)) return 0
  return size - Math.min(size, sizeOf(partOf(blob)))
}

/** Throws `RUN` where so many bytes do not fit. */
export function expectRoom({ cache }: Download, bytes: number): void {
  let dir = cache.folder
  while (!existsSync(dir) && dirname(dir) !== dir) dir = dirname(dir)
  const { bavail, bsize } = statfsSync(dir)
  if (bavail * bsize >= bytes || bytes === 0) return
  throw new SherdError(
    'RUN',
    `${megabytes(bytes)} have to be downloaded, and where the cache is (${dir}) ${megabytes(bavail * bsize)} are free: make room, or let HF_HUB_CACHE name a folder on another disk.`,
  )
}

export const megabytes = (bytes: number): string =>
  bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(1)} GB`
    : bytes >= 1e5
      ? `${(bytes / 1e6).toFixed(1)} MB`
      : `${bytes} bytes`

const POLL = 200 // ms
/** A lock of another machine whose file has not grown for so long is passed over. */
const PATIENCE = 120_000 // ms

/** Downloads a file unless it is there. `onBytes`: how many of it there are. Throws `HUB`, `RUN`, `INTERRUPTED`. */
export async function fetchBlob(
  download: Download,
  file: RemoteFile,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const blob = blobPath(download.cache, file.sum)
  makeFolder(dirname(blob))
  makeFolder(download.cache.locks)
  const lock = join(download.cache.locks, `${file.sum}.sherd.lock`)
  let seen = { size: -1, at: 0 }
  for (let isFirst = true; ; isFirst = false) {
    const { release, heldBy } = lockByProcess(lock)
    if (release)
      try {
        if (!isWhole(blob, file)) await receive(download, file, { blob, part: partOf(blob), onBytes })
        return onBytes(file.size)
      } finally {
        release()
      }
    if (isFirst) hubListener().note(`${file.path} is being downloaded by ${heldBy}: waiting for it …`)
    if (hubListener().signal?.()?.aborted) throw stopped()
    const size = sizeOf(partOf(blob))
    if (size !== seen.size) seen = { size, at: performance.now() }
    onBytes(size)
    if (performance.now() - seen.at > PATIENCE && !isWhole(blob, file)) {
      hubListener().note(`${heldBy} makes no progress with ${file.path}: downloading it beside …`)
      const part = `${blob}.${process.pid}.incomplete`
      try {
        return await receive(download, file, { blob, part, onBytes })
      } finally {
        rmSync(part, { force: true })
      }
    }
    await pausing.sleep(POLL)
  }
}

/** One of another length is no such file; it is removed. */
function isWhole(blob: string, { size }: RemoteFile): boolean {
  const found = statSync(blob, { throwIfNoEntry: false })
  if (!found) return false
  if (found.size === size) return true
  rmSync(blob, { force: true })
  return false
}

interface Places {
  readonly blob: string
  readonly part: string
  readonly onBytes: (bytes: number) => void
}

const MOST_PARTS = 1000 // answers that each bring something
const REPEATS = 2 // of what is wrong, and of links that have expired

/** What came is not the file. */
class WrongContent extends Error {}

/** Until the part is the file; then it gets its name. */
async function receive(download: Download, file: RemoteFile, { blob, part, onBytes }: Places): Promise<void> {
  const { signal } = hubListener()
  let idle = 0
  let wrong = 0
  for (let parts = 1; ; parts++) {
    const had = sizeOf(part)
    try {
      if (had !== file.size || !existsSync(part)) await receivePart(download, file, { part, onBytes })
      const sum = await sumOf(part, file.sum)
      if (sum === file.sum) break
      rmSync(part, { force: true })
      throw new WrongContent(
        `its checksum is ${sum.slice(0, 12)}, and the hub states ${file.sum.slice(0, 12)}.`,
      )
    } catch (error) {
      if (signal?.()?.aborted) throw stopped()
      const isWrong = error instanceof WrongContent
      const isExpired = error instanceof ExpiredLink
      if (error instanceof SherdError && !isExpired) throw error
      idle = sizeOf(part) > had ? 0 : idle + 1
      wrong += isWrong || isExpired ? 1 : 0
      if (wrong >= REPEATS) throw isWrong ? arrivesWrong(download, file, error) : error
      if (idle >= TRIES || parts >= MOST_PARTS) throw lost(download, file, error)
      hubListener().note(`${file.path}: ${whyFailed(error).replace(/\.$/, '')}; trying again …`)
      if (idle > 0 && wrong === 0) await pausing.sleep(backoff(idle), signal?.())
    }
  }
  flush(part)
  renameSync(part, blob)
}

const arrivesWrong = ({ repo }: Download, { path }: RemoteFile, error: WrongContent) =>
  new SherdError(
    'HUB',
    `${path} of ${repo} arrives wrong, each time: ${error.message} Nothing of it is kept. A proxy or mirror on the way may change files: try another network or another HF_ENDPOINT.`,
    { cause: error },
  )

const lost = ({ repo, settings }: Download, { path, size }: RemoteFile, error: unknown) =>
  new SherdError(
    'HUB',
    `The connection to ${new URL(settings.endpoint).host} is lost each time (${whyFailed(error)}), for ${path} of ${repo}, ${megabytes(size)}. What has come is kept: start again.`,
    { cause: error },
  )

const urlOf = ({ settings, repo, commit }: Download, { path }: RemoteFile): string =>
  `${settings.endpoint}/${repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`

const writing = <T>(path: string, work: Promise<T>): Promise<T> =>
  work.catch((error: unknown) => {
    throw cannotWrite(path, error)
  })

/**
 * Continues the part as far as the answer goes. What is there stays, also where a server sends all from the beginning. Throws `WrongContent`,
 * `RUN` for the disk, as `ask`, and errors of the network.
 */
async function receivePart(
  download: Download,
  file: RemoteFile,
  { part, onBytes }: Pick<Places, 'part' | 'onBytes'>,
): Promise<void> {
  const purpose: Purpose = { repo: download.repo, revision: download.commit, file: file.path }
  if (sizeOf(part) >= file.size) rmSync(part, { force: true })
  const had = sizeOf(part)
  const headers = { 'accept-encoding': 'identity', ...(had > 0 && { range: `bytes=${had}-` }) }
  const response = await ask(urlOf(download, file), { headers }, download.settings, purpose)
  const handle = await writing(part, open(part, had === 0 ? 'w' : 'r+'))
  let at = continuesAt(response, had) ? had : 0
  const length = Number(response.headers.get('content-length') ?? Number.NaN)
  const end = at + length
  let start: Buffer | null = null
  const wrong = async (bytes: number) => {
    if (had === 0) rmSync(part, { force: true })
    else await handle.truncate(had)
    return new WrongContent(whatCame(start ?? Buffer.alloc(0), bytes, file, response))
  }
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      start ??= Buffer.from(chunk.subarray(0, 512))
      if (at + chunk.length > file.size) throw await wrong(at + chunk.length)
      for (let done = Math.min(chunk.length, Math.max(0, had - at)); done < chunk.length; )
        done += (await writing(part, handle.write(chunk, done, chunk.length - done, at + done))).bytesWritten
      at += chunk.length
      onBytes(Math.max(at, had))
    }
    if (at === file.size) return
    if (at === end) throw await wrong(at) // it ended as the server wished
    throw new Error(`it ended after ${at} of ${file.size} bytes`)
  } finally {
    await handle.close()
  }
}

const continuesAt = ({ status, headers }: Response, from: number): boolean =>
  status === 206 && headers.get('content-range')?.startsWith(`bytes ${from}-`) === true

function whatCame(start: Buffer, bytes: number, { size }: RemoteFile, { url, headers }: Response): string {
  const host = url === '' ? 'the hub' : new URL(url).host
  if (isLfsPointer(start)) return `${host} sends a Git LFS pointer, a few lines of text in place of the file.`
  const isPage = /^\s*<(?:!doctype|html|head|body|\?xml)/i.test(start.toString('latin1'))
  if (isPage || /text\/html/.test(headers.get('content-type') ?? '')) return `${host} ${webPage}`
  return `${bytes > size ? `more than its ${size}` : `${bytes} of its ${size}`} bytes come.`
}
