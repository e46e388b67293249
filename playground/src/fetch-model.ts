/** A model's bytes, with progress, and with words for what can go wrong on the way. */
import { messageOf, SherdError } from '../../src/errors.ts'
import type { Size } from '../../src/source/box.ts'
import type { ModelSource } from './model-sources.ts'

/** What 32-bit WebAssembly can hold beside a copy of it. */
export const MOST_BYTES = 1.5e9

export interface LoadProgress {
  readonly name: string
  readonly loaded: number
  /** Null when the server does not say. */
  readonly total: number | null
}

export interface ModelFile {
  readonly name: string
  readonly bytes: Uint8Array
  /** Of the images, where it is asked for and the file takes any. */
  readonly size?: Size
}

export const checkBytes = (name: string, bytes: number): void => {
  if (bytes > MOST_BYTES)
    throw new SherdError(
      'VALUE',
      `${name} has ${(bytes / 1e6).toFixed(0)} MB, and a page can hold about ${MOST_BYTES / 1e6} MB: export it with --precision fp16 or int8.`,
    )
}

/** The first address that answers; null when none does and none must. */
async function fetchModel(
  { urls, required, size }: ModelSource,
  onProgress: (progress: LoadProgress) => void,
): Promise<ModelFile | null> {
  for (const url of urls) {
    const name = new URL(url).pathname.split('/').at(-1)!
    let response: Response
    try {
      response = await fetch(url)
    } catch (cause) {
      throw new SherdError(
        'SOURCE',
        `${url} cannot be reached (${messageOf(cause)}): is the address right, and does its server allow this page to read it (CORS)?`,
        { cause },
      )
    }
    // Some servers answer everything that is not there with a page.
    if (response.status === 404 || response.headers.get('content-type')?.startsWith('text/html')) {
      await response.body?.cancel()
      continue
    }
    if (!response.ok)
      throw new SherdError('SOURCE', `${url} cannot be loaded: the server answered ${response.status}.`)
    return { name, bytes: await bytesOf(response, name, onProgress), ...(size && { size }) }
  }
  if (required !== true) return null
  throw noModelAt(urls[0]!)
}

const noModelAt = (url: string) =>
  new SherdError('SOURCE', `There is no model at ${url}: expected a file of "sherd export onnx".`)

/** All that are there. Throws for what must be. */
export async function fetchModels(
  sources: readonly ModelSource[],
  onProgress: (progress: LoadProgress) => void,
): Promise<ModelFile[]> {
  const folderOf = ({ urls }: ModelSource) => new URL('.', urls[0]).href
  const loaded: ModelFile[] = []
  const found = new Set<string>()
  for (const source of sources) {
    const file = await fetchModel(source, onProgress)
    if (!file) continue
    loaded.push(file)
    found.add(folderOf(source))
  }
  const empty = sources.find((source) => source.required === 'one' && !found.has(folderOf(source)))
  if (empty) throw noModelAt(empty.urls[0]!)
  return loaded
}

async function bytesOf(
  response: Response,
  name: string,
  onProgress: (progress: LoadProgress) => void,
): Promise<Uint8Array> {
  // Of a compressed answer the length is not that of the file.
  const stated = response.headers.has('content-encoding') ? null : response.headers.get('content-length')
  const total = stated === null ? null : Number(stated)
  if (total !== null) checkBytes(name, total)
  const parts: Uint8Array[] = []
  let loaded = 0
  const reader = response.body!.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value)
    loaded += value.length
    checkBytes(name, loaded)
    onProgress({ name, loaded, total })
  }
  const bytes = new Uint8Array(loaded)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
