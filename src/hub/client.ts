/**
 * What is asked of the hub's API, by its own client, which is 5 MB and loaded when the hub is asked. Answers are checked, since a mirror may
 * write anything. The token is set by our `fetch`.
 */
import { posix } from 'node:path'
import { brief, messageOf, SherdError } from '../errors.ts'
import type { RemoteFile } from './download.ts'
import { COMMIT, type HubName, staysInside } from './name.ts'
import { clientFetch } from './requests.ts'
import type { HubSettings } from './settings.ts'

export interface HubModel {
  readonly commit: string
  readonly licence: string | null
  /** Of its text. */
  readonly link: string | null
  readonly gated: boolean
}

const asked = async <T>({ endpoint }: HubSettings, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SherdError) throw error
    throw new SherdError(
      'HUB',
      `${new URL(endpoint).host} answers in a way that is not understood: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  }
}

const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value.trim().slice(0, 200) : null

/** The commit of a revision, and what the card says. Throws `HUB`. */
export function lookUp(settings: HubSettings, { repo, revision }: HubName): Promise<HubModel> {
  const fetch = clientFetch(settings, { repo, revision })
  return asked(settings, async () => {
    const { modelInfo } = await import('@huggingface/hub')
    const found = await modelInfo({
      ...{ name: repo, revision, hubUrl: settings.endpoint, fetch },
      additionalFields: ['sha', 'cardData'],
    })
    if (typeof found.sha !== 'string' || !COMMIT.test(found.sha))
      throw new Error(`its commit of ${repo} is ${brief(JSON.stringify(found.sha) ?? 'not said')}`)
    const card: Readonly<Record<string, unknown>> = { ...found.cardData }
    const licence = textOf([card.license].flat()[0])
    const own = textOf(card.license_name)
    return {
      commit: found.sha,
      licence: licence === null ? own : own === null ? licence : `${licence} (${own})`,
      link: /^https?:/.test(textOf(card.license_link) ?? '') ? textOf(card.license_link) : null,
      gated: found.gated !== false && found.gated !== undefined,
    }
  })
}

const MOST_FILES = 20_000

/** The files of one folder, by their names in it. Names that would leave the cache are not among them. Throws `HUB`. */
export function listFolder(
  settings: HubSettings,
  { repo, revision, path }: HubName,
): Promise<ReadonlyMap<string, RemoteFile>> {
  const fetch = clientFetch(settings, { repo, revision, file: path })
  return asked(settings, async () => {
    const { listFiles } = await import('@huggingface/hub')
    const files = new Map<string, RemoteFile>()
    const encoded = path.split('/').map(encodeURIComponent).join('/')
    let seen = 0
    for await (const { type, path: full, size, oid, lfs } of listFiles({
      ...{ repo, revision, hubUrl: settings.endpoint, fetch, ...(path !== '' && { path: encoded }) },
    })) {
      if (++seen > MOST_FILES) throw new Error(`more than ${MOST_FILES} files in one folder`)
      const file = { path: full, size: lfs?.size ?? size, sum: lfs?.oid ?? oid ?? '' }
      if (type === 'file' && isFile(file, path)) files.set(posix.basename(full), file)
    }
    return files
  })
}

const isFile = ({ path, size, sum }: RemoteFile, folder: string): boolean =>
  typeof path === 'string' &&
  staysInside(path) &&
  posix.join(folder, posix.basename(path)) === path &&
  Number.isSafeInteger(size) &&
  size >= 0 &&
  /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(sum)

/** The checksums of all files of a commit, by their paths. Throws `HUB`. */
export function listAll(
  settings: HubSettings,
  repo: string,
  commit: string,
): Promise<ReadonlyMap<string, string>> {
  const fetch = clientFetch(settings, { repo, revision: commit })
  return asked(settings, async () => {
    const { listFiles } = await import('@huggingface/hub')
    const sums = new Map<string, string>()
    const request = { repo, revision: commit, recursive: true, hubUrl: settings.endpoint, fetch }
    for await (const { type, path, oid, lfs } of listFiles(request))
      if (type === 'file') sums.set(path, lfs?.oid ?? oid ?? '')
    return sums
  })
}

/** `isPrivate`: undefined: as its owner's settings say. Throws `HUB`. */
export function createModel(settings: HubSettings, repo: string, isPrivate?: boolean): Promise<void> {
  const fetch = clientFetch(settings, { repo })
  return asked(settings, async () => {
    const { createRepo } = await import('@huggingface/hub')
    await createRepo({
      ...{ repo, hubUrl: settings.endpoint, fetch, accessToken: UNUSED },
      ...(isPrivate !== undefined && { visibility: isPrivate ? 'private' : 'public' }),
    })
  })
}

/** The client asks for one by its type; ours is set by our `fetch`. */
const UNUSED = 'hf_set-by-fetch'

export interface Upload {
  readonly repo: string
  /** The commit that it goes onto: where there is another one by now, the hub refuses. */
  readonly parent: string
  readonly files: readonly { readonly path: string; readonly content: URL }[]
  readonly title: string
  /** Gets how many bytes of large files have been sent. */
  readonly onSent?: (bytes: number) => void
}

/** One commit of files, large ones by LFS. Throws `HUB`. */
export function upload(settings: HubSettings, { repo, parent, files, title, onSent }: Upload): Promise<void> {
  const sent = new Map<number, number>()
  const fetch = clientFetch(settings, { repo, file: 'what is uploaded' }, (request, bytes) => {
    sent.set(request, bytes)
    onSent?.([...sent.values()].reduce((sum, each) => sum + each, 0))
  })
  return asked(settings, async () => {
    const { uploadFiles } = await import('@huggingface/hub')
    await uploadFiles({
      ...{ repo, hubUrl: settings.endpoint, fetch, parentCommit: parent, commitTitle: title },
      ...{ files: [...files], useXet: false },
    })
  })
}
