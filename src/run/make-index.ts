/** Makes the index of a folder of images, or brings one up to date: only files that are new or have changed are embedded again. */
import { resolve } from 'node:path'
import { SherdError } from '../errors.ts'
import { coreCount } from '../machine/hardware.ts'
import { brokenData, type SkippedFile } from '../prepare/skipped.ts'
import { openExact } from '../search/exact.ts'
import { buildGraph, type GraphSettings, graphDefaults, openGraph } from '../search/graph.ts'
import { tuneGraph } from '../search/recall.ts'
import { rowOf, unitVectors, type Vectors } from '../search/vectors.ts'
import { type ImageSource, openSource } from '../source/open.ts'
import { subsetOf } from '../source/subset.ts'
import type { Pooling } from '../token/pool.ts'
import { rasterOptions, sampleSize } from './assemble.ts'
import type { Embedder } from './embedder.ts'
import type { Progress } from './features.ts'
import {
  graphDraft,
  type ImageIndex,
  type IndexContent,
  type IndexFacts,
  makeIndexFolder,
  settingsOf,
  writeIndex,
} from './index-folder.ts'
import { statesOf } from './source-state.ts'

/** Sets of so many vectors get a graph; fewer are compared one by one in some milliseconds. */
export const GRAPH_FROM = 50_000

export type SearchKind = 'auto' | 'exact' | 'approximate'

export interface StoreOptions {
  readonly kind?: SearchKind
  readonly settings?: GraphSettings
  /** Vectors that are in the graph. */
  readonly onGraph?: (done: number, of: number) => void
}

/** Writes an index, with a graph where it needs one. Throws `RUN`. */
export async function storeIndex(
  out: string,
  content: Omit<IndexContent, 'facts'> & { readonly facts: Omit<IndexFacts, 'graph'> },
  { kind = 'auto', settings = graphDefaults, onGraph }: StoreOptions = {},
): Promise<IndexFacts> {
  makeIndexFolder(out)
  const { vectors } = content
  const needsGraph = kind === 'approximate' || (kind === 'auto' && vectors.count >= GRAPH_FROM)
  const graph = needsGraph ? await makeGraph(graphDraft(out), vectors, settings, onGraph) : null
  const facts = { ...content.facts, graph }
  writeIndex(out, { ...content, facts })
  return facts
}

async function makeGraph(
  path: string,
  vectors: Vectors,
  settings: GraphSettings,
  onGraph?: StoreOptions['onGraph'],
): Promise<IndexFacts['graph']> {
  await buildGraph(path, vectors, settings, (done) => onGraph?.(done, vectors.count))
  const threads = coreCount()
  const exact = await openExact(vectors, { threads })
  try {
    const open = (tried: GraphSettings) => openGraph(path, vectors, { settings: tried, threads })
    const tuned = await tuneGraph(vectors, { exact, open, settings })
    return { ...settingsOf(tuned.settings), recall: tuned.recall }
  } finally {
    await exact.close()
  }
}

export interface IndexOptions extends StoreOptions {
  readonly out: string
  readonly pooling?: Pooling
  readonly onProgress?: Progress
}

export interface Indexed {
  readonly facts: IndexFacts
  /** Files whose vectors are new: all of them when the index is. */
  readonly embedded: number
  /** Files of the index before that are gone. */
  readonly removed: number
  readonly skipped: readonly SkippedFile[]
}

/** Indexes a folder of images, packed images or rasters. Throws `SOURCE`, `DATA_BROKEN`, `VALUE`, `RUN`. */
export async function indexFolder(
  dir: string,
  embedder: Embedder,
  { out, pooling = 'mean', onProgress, ...storing }: IndexOptions,
): Promise<Indexed> {
  makeIndexFolder(out) // before minutes are spent
  const rasters = rasterOptions(embedder.config, embedder.bands ?? embedder.config.data.bands)
  const source = await openSource(dir, rasters)
  const { height, width } = sampleSize(embedder.config)
  const { origin, sha256 } = embedder
  const made = await embedChanged(source, embedder, {
    pooling,
    before: null,
    ...(onProgress && { onProgress }),
  })
  const facts = {
    ...{ count: made.images.length, width: made.vectors.width, pooling, classes: [...source.classes] },
    model: { ...origin, sha256 },
    source: {
      dir: resolve(dir),
      rasters: rasters && asStored(rasters),
      size: [height, width] as [number, number],
    },
  }
  return { ...made, facts: await storeIndex(out, { ...made, facts }, storing) }
}

const asStored = (rasters: NonNullable<ReturnType<typeof rasterOptions>>) => ({
  ...rasters,
  bands: [...rasters.bands],
  bandNames: rasters.bandNames && [...rasters.bandNames],
})

/**
 * Brings an index up to date with its folder. `embedder`: the model that it was made with. Nothing is written when nothing has
 * changed. Throws as `indexFolder`, and `RUN` for an index of features, whose images are not known.
 */
export async function updateIndex(
  before: ImageIndex,
  embedder: Embedder,
  { onProgress, ...storing }: Omit<IndexOptions, 'out' | 'pooling'> = {},
): Promise<Indexed> {
  const { facts, dir: out } = before
  if (!facts.source || !before.images.every(({ state }) => state !== undefined))
    throw new SherdError(
      'RUN',
      `${out} was made of features, not of a folder: make it again from new features.`,
    )
  expectModel(before, embedder)
  const source = await openSource(facts.source.dir, facts.source.rasters)
  const { pooling } = facts
  const made = await embedChanged(source, embedder, { pooling, before, ...(onProgress && { onProgress }) })
  const { kind = facts.graph ? 'approximate' : 'auto' } = storing
  const isSame =
    made.embedded + made.removed === 0 &&
    made.skipped.length === before.skipped.length &&
    (kind === 'auto' || (kind === 'approximate') === (facts.graph !== null))
  if (isSame) return { ...made, facts }
  const now = { ...facts, count: made.images.length, classes: [...source.classes] }
  const settings = facts.graph ? { settings: settingsOf(facts.graph) } : {}
  return { ...made, facts: await storeIndex(out, { ...made, facts: now }, { ...settings, ...storing, kind }) }
}

/** Throws `RUN` when an index is of another model. */
export function expectModel(
  { dir, facts }: Pick<ImageIndex, 'dir' | 'facts'>,
  { origin, sha256 }: Pick<Embedder, 'origin' | 'sha256'>,
): void {
  const of = facts.model
  if (of?.sha256 && of.sha256 !== sha256)
    throw new SherdError(
      'RUN',
      `${dir} was made with another model: of ${of.path}${of.step === null ? '' : ` at step ${of.step}`} (SHA-256 ${of.sha256.slice(0, 12)}…), not ${origin.path} as it is now (${sha256.slice(0, 12)}…). Give that file with --model, or make the index again.`,
    )
}

interface Embedded extends Omit<IndexContent, 'facts'> {
  readonly embedded: number
  readonly removed: number
}

async function embedChanged(
  source: ImageSource,
  embedder: Embedder,
  { pooling, before, onProgress }: { pooling: Pooling; before: ImageIndex | null; onProgress?: Progress },
): Promise<Embedded> {
  const states = statesOf(source)
  const old = new Map(before?.skipped.map((each) => [each.file, each]))
  const rowBefore = source.files.map((file, i) => {
    const row = before?.rows.get(file)
    return row !== undefined && states[i] !== '' && before!.images[row]!.state === states[i] ? row : -1
  })
  const isKnownBroken = (file: string, i: number) => states[i] !== '' && old.get(file)?.state === states[i]
  const changed = [...source.files.keys()].filter(
    (i) => rowBefore[i]! < 0 && !isKnownBroken(source.files[i]!, i),
  )
  // A pack cannot be parted, and changes as a whole.
  const isWhole = changed.length === source.files.length || ('pack' in source && changed.length > 0)
  const asked = isWhole ? [...source.files.keys()] : changed
  const skippedNow: SkippedFile[] = []
  const { count, width, indices, vectors } = await embedAll(
    isWhole ? source : changed.length > 0 ? subsetOf(source, changed) : null,
    embedder,
    { onProgress, maxSkippedShare: 1, onSkip: (file) => skippedNow.push(file) },
  )
  const stateOf = new Map(source.files.map((file, i) => [file, states[i]!]))
  const skipped = [
    ...source.files.flatMap((file, i) => (!isWhole && isKnownBroken(file, i) ? [old.get(file)!] : [])),
    ...skippedNow.map((each) => ({ ...each, state: stateOf.get(each.file) ?? '' })),
  ].sort((a, b) => (a.file < b.file ? -1 : 1))
  const { maxSkippedShare } = embedder.config.data
  const broken = skipped.filter(({ reason }) => !reason.startsWith('no data'))
  if (broken.length > maxSkippedShare * source.files.length || skipped.length === source.files.length)
    throw brokenData(skipped, { files: source.files.length, maxShare: maxSkippedShare })

  const nowAt = new Map(Array.from(indices, (index, at) => [asked[index]!, at]))
  const fresh = unitVectors(
    { count, width, values: vectors[pooling] },
    (at) => source.files[asked[indices[at]!]!]!,
  )
  if (before && count > 0 && width !== before.facts.width)
    throw new SherdError(
      'RUN',
      `The model gives ${width} numbers, and the index holds ${before.facts.width}.`,
    )
  const kept = [...source.files.keys()].filter((i) => nowAt.has(i) || (!isWhole && rowBefore[i]! >= 0))
  const D = count > 0 ? width : before!.facts.width
  const values = new Float32Array(kept.length * D)
  for (const [to, i] of kept.entries())
    values.set(nowAt.has(i) ? rowOf(fresh, nowAt.get(i)!) : rowOf(before!.vectors, rowBefore[i]!), to * D)
  const images = kept.map((i) => ({
    file: source.files[i]!,
    ...(source.labels && { label: source.labels[i]! }),
    state: states[i]!,
  }))
  const names = new Set(images.map(({ file }) => file))
  return {
    ...{ images, skipped, vectors: { count: kept.length, width: D, values } },
    embedded: count,
    removed: before ? before.images.filter(({ file }) => !names.has(file)).length : 0,
  }
}

/** Nothing of no source, and of one of which nothing can be read: it is told by `onSkip`. */
async function embedAll(
  source: ImageSource | null,
  embedder: Embedder,
  options: { onProgress: Progress | undefined; maxSkippedShare: number; onSkip: (file: SkippedFile) => void },
) {
  const none = { cls: new Float32Array(0), mean: new Float32Array(0) }
  const nothing = { count: 0, width: 1, indices: new Int32Array(0), vectors: none }
  if (!source) return nothing
  let left = source.files.length
  const onSkip = (file: SkippedFile) => {
    left--
    options.onSkip(file)
  }
  try {
    return (await embedder.features(source, { ...options, onSkip })).features
  } catch (error) {
    if (left === 0 && error instanceof SherdError && error.code === 'DATA_BROKEN') return nothing
    throw error
  }
}
