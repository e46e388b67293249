/**
 * Where models come from: `?model=URL` (a file or a folder; may be repeated), else what the server lists at `v1/model`, else the
 * folder `models/` beside the page.
 */
import { SherdError } from '../../src/errors.ts'
import type { Size } from '../../src/source/box.ts'
import type { GraphKind } from './model-facts.ts'

/** Addresses to try for each graph, the best first. */
export interface ModelSource {
  readonly urls: readonly string[]
  /** Whether it is an error when none of them is there; `one`: when no source of their folder is. */
  readonly required: boolean | 'one'
  /** At which the server reads images; it may be another one than the model's. */
  readonly size?: Size
}

const graphs: readonly GraphKind[] = ['autoencoder', 'encoder']
const endings = ['.onnx', '-fp16.onnx', '-int8.onnx']

const inFolder = (folder: string, required: boolean): ModelSource[] =>
  graphs.map((graph) => ({
    urls: endings.map((ending) => new URL(`${graph}${ending}`, folder).href),
    required: required && 'one',
  }))

const asFolder = (url: string) => (url.endsWith('/') ? url : `${url}/`)

/** The sources that the page's own address names; null when it names none. */
export function namedSources(page: string): ModelSource[] | null {
  const named = new URL(page).searchParams.getAll('model').filter((model) => model !== '')
  if (named.length === 0) return null
  return named.flatMap((model) => {
    if (!URL.canParse(model, page))
      throw new SherdError('VALUE', `?model=${model} is no address: expected that of a file or a folder.`)
    const { href, pathname } = new URL(model, page)
    return pathname.endsWith('.onnx') ? [{ urls: [href], required: true }] : inFolder(asFolder(href), true)
  })
}

/** Of what `GET v1/model` of `sherd serve` answers, what is read here. */
interface Listing {
  readonly models?: readonly { readonly graph?: unknown; readonly url?: unknown; readonly shape?: unknown }[]
}

function sizeIn(shape: unknown): Size | null {
  const [height, width]: unknown[] = Array.isArray(shape) ? shape.slice(-2) : []
  return Number.isSafeInteger(height) && Number.isSafeInteger(width) ? ({ height, width } as Size) : null
}

/** The sources that a server lists; none where the answer is another one. */
export function servedSources(page: string, listing: unknown): ModelSource[] {
  const models = (listing as Listing | null)?.models
  if (!Array.isArray(models)) return []
  return graphs.flatMap((graph) => {
    const { url, shape }: { url?: unknown; shape?: unknown } =
      models.find((model) => model?.graph === graph) ?? {}
    const size = sizeIn(shape)
    // Relative to the page, which may lie in a folder of another server that passes requests on.
    return typeof url === 'string'
      ? [{ urls: [new URL(url.replace(/^\/+/, ''), page).href], required: true, ...(size && { size }) }]
      : []
  })
}

export const besideSources = (page: string): ModelSource[] => inFolder(new URL('models/', page).href, false)

/** The models that belong to the page: named in its address, listed by its server, or in a folder beside it. */
export async function ownSources(page: string): Promise<readonly ModelSource[]> {
  const named = namedSources(page)
  if (named) return named
  const response = await fetch(new URL('v1/model', page)).catch(() => null)
  const isJson = response?.ok && response.headers.get('content-type')?.includes('json')
  // The list may be elsewhere than the page, and its addresses are those of the server.
  const sources = isJson
    ? servedSources(new URL('..', response.url).href, await response.json().catch(() => null))
    : []
  return sources.length > 0 ? sources : besideSources(page)
}
