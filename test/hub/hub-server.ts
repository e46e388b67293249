/**
 * A server that answers as the Hugging Face hub does: the API of models, `resolve` with its headers, redirects of large files to a "storage"
 * of another origin, ranges, gates. Folders of ../shared/reference/layouts are served through it. `faults` change what the next requests get.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface ServedRepo {
  /** By path. */
  readonly files: ReadonlyMap<string, Buffer>
  readonly commit: string
  /** Tags and other branches. */
  readonly refs?: Readonly<Record<string, string>>
  readonly card?: Readonly<Record<string, unknown>>
  readonly gated?: false | 'auto' | 'manual'
  readonly isPrivate?: boolean
}

/** What happens to a request in place of its answer; true: it has been answered. */
export type Fault = (request: IncomingMessage, response: ServerResponse, file: Buffer | null) => boolean

export interface HubServer {
  readonly endpoint: string
  readonly repos: Map<string, ServedRepo>
  /** Tokens, and the repositories that their accounts may write, and read where they are gated or private. */
  readonly tokens: Map<string, readonly string[]>
  /** Each is asked once for each request, in order, until one answers. */
  readonly faults: Fault[]
  /** Method, path and range of each request; those of the storage begin with `storage`. */
  readonly log: string[]
  /** Headers of requests to the storage. */
  readonly storageHeaders: IncomingMessage['headers'][]
  close(): Promise<void>
}

const LARGE = 10_000 // bytes from which a file is in the storage, as one of LFS is

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
export const gitSum = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
export const isLarge = (bytes: Buffer): boolean => bytes.length >= LARGE
/** The name of the blob. */
export const sumOfBlob = (bytes: Buffer): string => (isLarge(bytes) ? sha256(bytes) : gitSum(bytes))

/** The files of a folder, by name. */
export function filesOf(folder: string, except: readonly string[] = []): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const files = names.filter((name) => statSync(join(folder, name)).isFile() && !except.includes(name))
  return new Map(files.map((name) => [name, readFileSync(join(folder, name))]))
}

const listening = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      resolve('setSecureContext' in server ? `https://localhost:${port}` : `http://127.0.0.1:${port}`)
    })
  })

function refuse(response: ServerResponse, status: number, code: string, message = code): void {
  response.writeHead(status, {
    ...{ 'content-type': 'application/json', 'x-error-code': code, 'x-error-message': message },
  })
  response.end(JSON.stringify({ error: message }))
}

/** Bytes, or the range of them that is asked for. */
function send(request: IncomingMessage, response: ServerResponse, bytes: Buffer, headers = {}): void {
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? []
  const start = Number(from ?? 0)
  if (start >= bytes.length && from !== undefined) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` })
    response.end()
    return
  }
  const part = bytes.subarray(start)
  const range = from !== undefined && {
    'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
  }
  response.writeHead(from === undefined ? 200 : 206, {
    ...{ 'content-length': part.length, 'content-type': 'application/octet-stream', ...range, ...headers },
  })
  response.end(part)
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** `tls`: a key and its certificate; then both servers are `https://localhost`. */
export async function serveHub(
  repos: Readonly<Record<string, ServedRepo>>,
  tls?: { readonly key: Buffer; readonly cert: Buffer },
): Promise<HubServer> {
  const serverOf: typeof createServer = tls
    ? (((answer: never) => createTls(tls, answer)) as never)
    : createServer
  const log: string[] = []
  const storageHeaders: IncomingMessage['headers'][] = []
  const faults: Fault[] = []
  const tokens = new Map<string, readonly string[]>()
  const known = new Map(Object.entries(repos))
  const hasFault = (request: IncomingMessage, response: ServerResponse, file: Buffer | null) =>
    faults.some((fault, i) => {
      if (!fault(request, response, file)) return false
      faults.splice(i, 1)
      return true
    })
  const said = ({ method, url, headers }: IncomingMessage) =>
    `${method} ${url}${headers.range ? ` ${headers.range}` : ''}`

  const stored = new Map<string, Buffer>()
  const storage = serverOf(async (request, response) => {
    log.push(`storage ${said(request)}`)
    storageHeaders.push(request.headers)
    if (request.method === 'PUT') {
      const body = await bodyOf(request)
      stored.set(sha256(body), body)
      response.writeHead(200).end()
      return
    }
    const bytes = [...known.values()]
      .flatMap(({ files }) => [...files.values()])
      .find((each) => request.url!.startsWith(`/${sha256(each)}`))
    if (hasFault(request, response, bytes ?? null)) return
    if (!bytes) return refuse(response, 403, 'AccessDenied')
    send(request, response, bytes)
  })
  const storageOrigin = await listening(storage)

  const hub = serverOf(async (request, response) => {
    log.push(said(request))
    const [path = ''] = decodeURIComponent(request.url!).split('?')
    const [, name = ''] = /^\/(?:api\/models\/)?([^/]+\/[^/]+?)(?:\.git)?(?=\/|$)/.exec(path) ?? []
    const repo = known.get(name)
    const rest = path.slice(path.indexOf(name) + name.length)
    const [, revisionOrFile = ''] = /^\/(?:revision|tree|resolve)\/(.*)$/.exec(rest) ?? []
    const revisions: Record<string, string> = repo ? { main: repo.commit, ...repo.refs } : {}
    for (const commit of Object.values(revisions)) revisions[commit] = commit
    const revision = Object.keys(revisions)
      .sort((a, b) => b.length - a.length)
      .find((each) => revisionOrFile === each || revisionOrFile.startsWith(`${each}/`))
    const below = revision === undefined ? '' : revisionOrFile.slice(revision.length + 1)
    const file = rest.startsWith('/resolve/') ? (repo?.files.get(below) ?? null) : null
    if (hasFault(request, response, file)) return
    const json = (value: unknown) => {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
      response.end(JSON.stringify(value))
    }
    const token = request.headers.authorization?.replace('Bearer ', '')
    const granted = token === undefined ? null : tokens.get(token)
    if (token !== undefined && !granted)
      return refuse(response, 401, '', 'Invalid credentials in Authorization header')
    if (path === '/api/repos/create') {
      const { organization, name: own, visibility } = JSON.parse(String(await bodyOf(request)))
      const full = `${organization}/${own}`
      if (!granted?.includes(full))
        return refuse(response, 403, '', `You don't have the rights to create a model under ${organization}`)
      known.set(full, { files: new Map(), commit: '1'.repeat(40), isPrivate: visibility === 'private' })
      return json({ url: `${endpoint}/${full}`, id: '1' })
    }
    if (!repo || (repo.isPrivate && !granted?.includes(name)))
      return refuse(response, token === undefined ? 401 : 404, 'RepoNotFound', 'Repository not found')
    if (request.method === 'POST') {
      if (!granted?.includes(name)) return refuse(response, 403, '', 'Forbidden')
      const body = String(await bodyOf(request))
      if (rest.startsWith('/preupload/')) {
        const { files } = JSON.parse(body) as { files: { path: string; size: number }[] }
        return json({
          files: files.map(({ path, size }) => ({ path, uploadMode: size >= LARGE ? 'lfs' : 'regular' })),
        })
      }
      if (rest.endsWith('/info/lfs/objects/batch')) {
        const { objects } = JSON.parse(body) as { objects: { oid: string; size: number }[] }
        const upload = (oid: string) => ({ upload: { href: `${storageOrigin}/put/${oid}`, header: {} } })
        return json({
          transfer: 'basic',
          objects: objects.map((each) => ({ ...each, actions: upload(each.oid) })),
        })
      }
      const [header, ...parts] = body.split('\n').map((line) => JSON.parse(line))
      if (header.value.parentCommit !== repo.commit)
        return refuse(response, 412, '', 'A commit has happened since')
      const files = new Map(repo.files)
      for (const { key, value } of parts)
        files.set(
          value.path,
          key === 'lfsFile' ? stored.get(value.oid)! : Buffer.from(value.content, value.encoding),
        )
      known.set(name, { ...repo, files, commit: createHash('sha1').update(body).digest('hex') })
      return json({
        success: true,
        commitOid: known.get(name)!.commit,
        commitUrl: `${endpoint}/${name}`,
        hookOutput: '',
      })
    }
    if (revision === undefined) return refuse(response, 404, 'RevisionNotFound')
    if (rest.startsWith('/revision/'))
      return json({
        ...{ _id: '1', id: name, private: repo.isPrivate ?? false, gated: repo.gated ?? false },
        ...{ sha: revisions[revision], downloads: 1, likes: 1 },
        ...{ lastModified: '2026-01-01T00:00:00.000Z', cardData: repo.card },
      })
    if (rest.startsWith('/tree/')) {
      const folder = below === '' ? '' : `${below}/`
      const inside = [...repo.files].filter(([each]) => each.startsWith(folder))
      if (inside.length === 0 && folder !== '') return refuse(response, 404, 'EntryNotFound')
      const isWhole = /recursive=true/i.test(request.url!)
      const direct = inside.filter(([each]) => isWhole || !each.slice(folder.length).includes('/'))
      const folders = new Set(
        inside.flatMap(([each]) => each.slice(folder.length).split('/').slice(0, -1)[0] ?? []),
      )
      return json([
        ...[...folders].map((each) => ({
          type: 'directory',
          oid: '0'.repeat(40),
          size: 0,
          path: folder + each,
        })),
        ...direct.map(([each, bytes]) => ({
          ...{ type: 'file', oid: gitSum(bytes), size: bytes.length, path: each },
          ...(isLarge(bytes) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
        })),
      ])
    }
    if (repo.gated && !granted?.includes(name)) return refuse(response, granted ? 403 : 401, 'GatedRepo')
    if (!file) return refuse(response, 404, 'EntryNotFound')
    const headers = { 'x-repo-commit': repo.commit, etag: `"${sumOfBlob(file)}"` }
    if (!isLarge(file)) return send(request, response, file, headers)
    response.writeHead(302, {
      ...{ ...headers, 'x-linked-etag': `"${sha256(file)}"`, 'x-linked-size': file.length },
      location: `${storageOrigin}/${sha256(file)}?Signature=x`,
    })
    response.end()
  })
  const endpoint = await listening(hub)
  const close = async () => {
    for (const server of [hub, storage]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
  return { ...{ endpoint, repos: known, tokens, faults, log, storageHeaders }, close }
}
