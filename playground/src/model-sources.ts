/**
 * Where models come from: `?model=URL` (a file or a folder; may be repeated), else what the server lists at `v1/model`, else the
 * folder `models/` beside the page.
 */
import type { GraphKind } from './model-facts.ts'

/** Addresses to try for each graph, the best first. */
export interface ModelSource {
  readonly urls: readonly string[]
  /** Whether it is an error when none of them is there. */
  readonly required: boolean
}

const graphs: readonly GraphKind[] = ['autoencoder', 'encoder']
const endings = ['.onnx', '-fp16.onnx', '-int8.onnx']

const inFolder = (folder: string, required: boolean): ModelSource[] =>
  graphs.map((graph) => ({
    urls: endings.map((ending) => new URL(`${graph}${ending}`, folder).href),
    required: required && graph === 'autoencoder',
  }))

const asFolder = (url: string) => (url.endsWith('/') ? url : `${url}/`)

/** The sources that the page's own address names; null when it names none. */
export function namedSources(page: string): ModelSource[] | null {
  const named = new URL(page).searchParams.getAll('model').filter((model) => model !== '')
  if (named.length === 0) return null
  return named.flatMap((model) => {
    const { href, pathname } = new URL(model, page)
    return pathname.endsWith('.onnx') ? [{ urls: [href], required: true }] : inFolder(asFolder(href), true)
  })
}

/** All file names that end as an autoencoder's or encoder's does, wherever they are in what a server lists. */
function listedFiles(listing: unknown): string[] {
  if (typeof listing === 'string') return /\.onnx$/.test(listing) ? [listing] : []
  if (typeof listing !== 'object' || listing === null) return []
  return Object.values(listing).flatMap(listedFiles)
}

/** The sources in what `GET v1/model` answers. */
export function servedSources(page: string, listing: unknown): ModelSource[] {
  const files = [...new Set(listedFiles(listing).map((file) => file.split('/').at(-1)!))]
  return graphs.flatMap((graph) => {
    const urls = endings
      .map((ending) => `${graph}${ending}`)
      .filter((file) => files.includes(file))
      .map((file) => new URL(`models/${file}`, page).href)
    return urls.length > 0 ? [{ urls, required: true }] : []
  })
}

export const besideSources = (page: string): ModelSource[] => inFolder(new URL('models/', page).href, false)
