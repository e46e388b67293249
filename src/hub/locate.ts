/** The door of the hub: from `hf:owner/name` to a folder or file on the disk. What is in the cache is taken without any request. */
import { readFileSync, rmSync } from 'node:fs'
import { basename, join, posix, resolve } from 'node:path'
import { brief, messageOf, SherdError } from '../errors.ts'
import {
  chooseWeightFile,
  descriptions,
  isPlainName,
  isWeightFile,
  shardsOf,
  usualWeights,
} from '../files/weight-files.ts'
import { makeFolder } from '../files/write-whole.ts'
import {
  blobPath,
  filesThere,
  isKnownAbsent,
  keepAbsence,
  keepCommit,
  knownCommit,
  linkBlob,
  type RepoCache,
  repoCache,
  snapshot,
} from './cache.ts'
import { listFolder, lookUp } from './client.ts'
import {
  type Download,
  expectRoom,
  fetchBlob,
  megabytes,
  missingBytes,
  type RemoteFile,
  sumOf,
} from './download.ts'
import { sayTerms } from './licence.ts'
import { hubListener } from './listener.ts'
import { type HubName, hubText, isHubName, parseHubName } from './name.ts'
import { type HubSettings, hubSettings } from './settings.ts'

export interface LocatedModel {
  /** On the disk. */
  readonly path: string
  /** For the hub's: `hf:owner/name@COMMIT`, which are the same bytes for everyone. */
  readonly hub?: string
}
export type HubLocated = Required<LocatedModel>

/** Downloads a model of the hub where it is not in the cache. Throws `USAGE` for such names, `HUB`, `RUN`, `INTERRUPTED`; never for others. */
export const localModel = async (model: string): Promise<LocatedModel> =>
  isHubName(model) ? fetchModel(model) : { path: resolve(model) }

export interface FetchOptions {
  /** Whether revisions are looked up again, and the checksums of what is there are compared. */
  readonly refresh?: boolean | undefined
}

export async function fetchModel(model: string, { refresh = false }: FetchOptions = {}): Promise<HubLocated> {
  const name = parseHubName(model)
  const settings = hubSettings()
  const cache = repoCache(settings.cache, name.repo)
  const commit = refresh ? null : knownCommit(cache, name.revision)
  const found = commit === null ? null : cached(cache, name, commit)
  if (commit !== null && found && (settings.offline || found.lacks.length === 0)) {
    for (const file of found.lacks)
      hubListener().note(
        `${file} of hf:${name.repo} is not in the cache, and HF_HUB_OFFLINE is set: if the model has one, it is not read`,
      )
    return located(cache, { name, commit, file: found.file })
  }
  if (settings.offline)
    throw new SherdError(
      'HUB',
      `${model} is not in the cache ${settings.cache}, and HF_HUB_OFFLINE is set, so nothing is downloaded: unset it, or name the cache by HF_HUB_CACHE.`,
    )
  return download(name, settings, cache, refresh)
}

const located = (
  cache: RepoCache,
  { name, commit, file }: { name: HubName; commit: string; file: string | null },
): HubLocated => ({
  path: join(snapshot(cache, commit), name.path, file ?? ''),
  hub: hubText(name, commit),
})

/** A name of a file of weights, or of a graph, as against one of a folder. */
const isFileName = (path: string) => isWeightFile(path) || /\.onnx$/i.test(path)

/** What is read beside a file of weights. */
function describing(file: string): readonly string[] {
  if (file.startsWith('open_clip_')) return ['open_clip_config.json']
  return ['config.json', 'preprocessor_config.json']
}

const indexOf = (path: string) => {
  try {
    return shardsOf(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

interface Cached {
  /** Where the folder has no other description than the file itself: the file. */
  readonly file: string | null
  /** Descriptions that may be in the repository. */
  readonly lacks: readonly string[]
}

/** Of a commit, if all of its weights are there. */
function cached(cache: RepoCache, { path }: HubName, commit: string): Cached | null {
  const isFile = isFileName(path)
  const inside = isFile ? posix.dirname(path) : path
  const folder = join(snapshot(cache, commit), inside)
  const names = filesThere(folder)
  const choice = isFile
    ? { file: names.find((each) => each === posix.basename(path)) ?? null, isIndex: false }
    : chooseWeightFile(
        (each) => names.includes(each),
        () => names,
      )
  if (choice.file === null) return null
  if (choice.isIndex) {
    const shards = indexOf(join(folder, choice.file))
    if (!shards || [...shards.keys()].some((each) => !names.includes(each))) return null
  }
  const isDescribed = !isFile || usualWeights.includes(choice.file)
  const lacks = (isDescribed ? describing(choice.file) : []).filter(
    (each) => !names.includes(each) && !isKnownAbsent(cache, commit, posix.join(inside, each)),
  )
  return { file: isFile ? null : aloneIn(names, choice.file), lacks }
}

/** A file of weights without any description, which may be one of sherd. */
const aloneIn = (names: readonly string[], file: string): string | null =>
  usualWeights.includes(file) || descriptions.some((each) => names.includes(each)) ? null : file

async function download(
  name: HubName,
  settings: HubSettings,
  cache: RepoCache,
  refresh: boolean,
): Promise<HubLocated> {
  const { repo, revision, path } = name
  hubListener().note(`looking up hf:${repo} at ${new URL(settings.endpoint).host} …`)
  const info = await lookUp(settings, name)
  const { commit } = info
  const request: Download = { settings, cache, repo, commit }
  const isFile = isFileName(path)
  const inside = isFile ? posix.dirname(path) : path
  const listed = await listFolder(settings, { ...name, revision: commit, path: inside === '.' ? '' : inside })
  const names = [...listed.keys()]
  const choice = isFile
    ? { file: listed.has(posix.basename(path)) ? posix.basename(path) : null, isIndex: false, all: names }
    : chooseWeightFile(
        (each) => listed.has(each),
        () => names,
      )
  if (choice.file === null) throw noWeights(name, names)
  const isDescribed = !isFile || usualWeights.includes(choice.file)
  const wanted = isDescribed ? descriptions.filter((each) => listed.has(each)) : []
  const first = [...wanted, ...(choice.isIndex ? [choice.file] : [])].map((each) => listed.get(each)!)
  const place = async (files: readonly RemoteFile[], of: number, before: number): Promise<void> => {
    let done = before
    for (const file of files) {
      const blob = blobPath(cache, file.sum)
      if (refresh && missingBytes(request, file) === 0 && (await sumOf(blob, file.sum)) !== file.sum) {
        hubListener().warn(`${file.path} of hf:${repo} in the cache was damaged: it is downloaded again`)
        rmSync(blob)
      }
      await fetchBlob(request, file, (bytes) =>
        hubListener().progress(`downloading hf:${repo}`, done + bytes, of),
      )
      linkBlob(cache, commit, file.path, file.sum)
      done += file.size
    }
  }
  const bytesOf = (files: readonly RemoteFile[]) => files.reduce((sum, { size }) => sum + size, 0)
  return inCache(settings, async () => {
    makeFolder(cache.folder)
    sayTerms(name, info, settings)
    await place(first, bytesOf(first), 0)
    const weights = choice.isIndex
      ? shardsIn(name, join(snapshot(cache, commit), inside, choice.file!), listed)
      : [listed.get(choice.file!)!]
    const missing = weights.reduce((sum, file) => sum + missingBytes(request, file), 0)
    const total = bytesOf(first) + bytesOf(weights)
    const count = first.length + weights.length
    hubListener().note(
      `hf:${repo} at ${commit.slice(0, 12)}${revision === commit ? '' : ` (${revision})`}: ${count} files, ${megabytes(total)}${missing < bytesOf(weights) ? `, ${megabytes(missing)} of them to download` : ''}`,
    )
    expectRoom(request, missing)
    await place(weights, total, bytesOf(first))
    for (const each of isDescribed ? descriptions : [])
      if (!listed.has(each)) keepAbsence(cache, commit, posix.join(inside, each))
    keepCommit(cache, revision, commit)
    return located(cache, { name, commit, file: isFile ? null : aloneIn(names, choice.file!) })
  })
}

/** The files that an index names, as the hub lists them. Throws `HUB` for others: an index is written by anyone. */
function shardsIn({ repo }: HubName, index: string, listed: ReadonlyMap<string, RemoteFile>): RemoteFile[] {
  const shards = indexOf(index)
  const wrong = [...(shards?.keys() ?? [])].find((each) => !isPlainName(each) || !listed.has(each))
  if (!shards || shards.size === 0 || wrong !== undefined)
    throw new SherdError(
      'HUB',
      `${basename(index)} of hf:${repo} ${wrong === undefined ? 'is no index of weights' : `names ${brief(wrong)}, which is not beside it`}: the repository is not complete; another @revision may be.`,
    )
  return [...shards.keys()].sort().map((each) => listed.get(each)!)
}

const SHOWN = 8

function noWeights({ repo, path }: HubName, names: readonly string[]): SherdError {
  const own = `hf:${repo}`
  const all = names.filter(isFileName)
  const shown = all.slice(0, SHOWN).join(', ')
  if (isFileName(path))
    return new SherdError(
      'HUB',
      `${own} has no file ${path}${all.length > 0 ? `: beside it are ${shown}` : ''}.`,
    )
  const where = path === '' ? own : `${own}, folder ${path}`
  return new SherdError(
    'HUB',
    all.length === 0
      ? `${where} has no weights that sherd reads: expected model.safetensors, pytorch_model.bin, one .safetensors, .pth, .pt, .ckpt or .bin file, or an index of several. There are: ${names.slice(0, SHOWN).join(', ') || 'no files'}. Those of a folder: ${own}/FOLDER.`
      : `${where} has several files of weights (${shown}): name one of them, such as ${own}/${posix.join(path, all[0]!)}.`,
  )
}

/** Says where the cache is, for what cannot be written in it. */
async function inCache<T>({ cache }: HubSettings, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isOfDisk = error instanceof SherdError ? error.code === 'RUN' : 'syscall' in (error as object)
    if (!isOfDisk || messageOf(error).includes('HF_HUB_CACHE')) throw error
    const what =
      error instanceof SherdError ? messageOf(error) : `Cannot write the cache: ${messageOf(error)}.`
    throw new SherdError('RUN', `${what} Downloads go to ${cache}: HF_HUB_CACHE names another folder.`, {
      cause: error,
    })
  }
}
