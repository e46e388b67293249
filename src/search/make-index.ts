/** Makes the index of a folder of images, or updates one: only new and changed files are embedded. */
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { fittingOf, openData, rasterOptions, sampleSize } from '../config/assemble.ts'
import { preparationDifferences } from '../config/preparation.ts'
import { bandsOf } from '../config/resolve.ts'
import { interrupted, SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { coreCount } from '../machine/hardware.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { tellNote } from '../source/notes.ts'
import type { VectorFeature } from '../token/feature.ts'
import type { Progress } from '../weights/folder-features.ts'
import { changedVectors, type Journaled } from './changed-vectors.ts'
import type { Embedder } from './embedder.ts'
import {
  graphDraft,
  type ImageIndex,
  type IndexContent,
  type IndexFacts,
  makeIndexFolder,
  type SearchKind,
  settingsOf,
  writeIndex,
} from './index-folder.ts'
import { openExact } from './vectors/exact.ts'
import { buildGraph, type GraphSettings, graphDefaults, openGraph } from './vectors/neighbour-graph.ts'
import { tuneGraph } from './vectors/recall.ts'
import type { Vectors } from './vectors/unit-vectors.ts'

/** From this many vectors on an index has a graph; smaller ones are searched exactly in milliseconds. */
const GRAPH_FROM = 50_000

export interface StoreOptions {
  readonly kind?: SearchKind
  readonly settings?: GraphSettings
  /** Progress of building the graph. */
  readonly onGraph?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Writes an index, with a graph where it needs one. Throws `RUN`. */
export async function storeIndex(
  out: string,
  content: Omit<IndexContent, 'facts'> & { readonly facts: Omit<IndexFacts, 'graph' | 'search'> },
  { kind = 'auto', settings = graphDefaults, onGraph, signal }: StoreOptions = {},
): Promise<IndexFacts> {
  makeIndexFolder(out)
  const { vectors } = content
  const needsGraph = kind === 'approximate' || (kind === 'auto' && vectors.count >= GRAPH_FROM)
  const graph = needsGraph ? await makeGraph(graphDraft(out), vectors, { settings, onGraph, signal }) : null
  const facts = { ...content.facts, search: kind, graph }
  writeIndex(out, { ...content, facts })
  return facts
}

async function makeGraph(
  path: string,
  vectors: Vectors,
  { settings, onGraph, signal }: Pick<StoreOptions, 'onGraph' | 'signal'> & { settings: GraphSettings },
): Promise<IndexFacts['graph']> {
  const of = vectors.count
  const build = buildGraph(path, vectors, settings, (done) => {
    if (signal?.aborted) throw interrupted({ done, of, unit: 'images of the graph', continues: true })
    onGraph?.(done, of)
  })
  await build.catch((error: unknown) => {
    rmSync(path, { force: true })
    throw cannotWrite(path, error)
  })
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
  /** Default: the model's own. */
  readonly pooling?: VectorFeature | undefined
  readonly onProgress?: Progress
  readonly journaled?: Journaled
}

export interface Indexed {
  readonly facts: IndexFacts
  /** Files embedded now. */
  readonly embedded: number
  /** Files of the existing index that are gone. */
  readonly removed: number
  readonly skipped: readonly SkippedFile[]
}

/** Indexes a folder of images, packed images or rasters. Throws `SOURCE`, `DATA_BROKEN`, `VALUE`, `RUN`. */
export async function indexFolder(
  dir: string,
  embedder: Embedder,
  { out, pooling: asked = embedder.feature, onProgress, journaled, ...storing }: IndexOptions,
): Promise<Indexed> {
  makeIndexFolder(out) // before minutes are spent
  const { name: pooling } = embedder.featureOf(asked)
  const rasters = rasterOptions(embedder.config, embedder.bands ?? bandsOf(embedder.config))
  const source = await openData(embedder.config, dir, rasters)
  const { height, width } = sampleSize(embedder.config)
  const { origin, sha256, isInherited, preparation } = embedder
  const { signal } = storing
  const made = await changedVectors(source, embedder, {
    ...{ pooling, before: null, onProgress, signal, journaled },
  })
  const facts = {
    ...{ count: made.images.length, width: made.vectors.width, pooling, classes: [...source.classes] },
    preparation,
    model: { ...origin, sha256, ...(isInherited && { isInherited }) },
    source: {
      dir: resolve(dir),
      rasters: rasters && asStored(rasters),
      size: [height, width] as [number, number],
      maxPatches: patchesOf(embedder),
    },
  }
  return { ...made, facts: await storeIndex(out, { ...made, facts }, storing) }
}

/** Patches of an image, at most, where images keep their shape; null where all have one size. */
const patchesOf = ({ config }: Pick<Embedder, 'config'>) => fittingOf(config)?.budget?.most ?? null

const asStored = (rasters: NonNullable<ReturnType<typeof rasterOptions>>) => ({
  ...rasters,
  bands: [...rasters.bands],
  bandNames: rasters.bandNames && [...rasters.bandNames],
  applyScale: rasters.applyScale ?? false,
})

/**
 * Updates an index from its folder. `embedder`: the model that made it; `out`: another folder to write to. Writes nothing if nothing
 * has changed. Throws as `indexFolder`, and `RUN` for an index of features, whose images are unknown.
 */
export async function updateIndex(
  before: ImageIndex,
  embedder: Embedder,
  { onProgress, journaled, out = before.dir, ...storing }: Partial<Omit<IndexOptions, 'pooling'>> = {},
): Promise<Indexed> {
  const { facts, dir } = before
  if (!facts.source || !before.images.every(({ state }) => state !== undefined))
    throw new SherdError(
      'RUN',
      `${dir} was made of features, not of a folder: make it again from new features.`,
    )
  expectModel(before, embedder)
  const source = await openData(embedder.config, facts.source.dir, facts.source.rasters)
  const { pooling } = facts
  const { signal } = storing
  const made = await changedVectors(source, embedder, { pooling, before, onProgress, signal, journaled })
  const { kind = facts.search } = storing
  const isSame =
    made.embedded + made.removed === 0 &&
    JSON.stringify(made.skipped) === JSON.stringify(before.skipped) &&
    kind === facts.search
  if (isSame) return { ...made, facts }
  const now = { ...facts, count: made.images.length, classes: [...source.classes] }
  const settings = facts.graph ? { settings: settingsOf(facts.graph) } : {}
  return { ...made, facts: await storeIndex(out, { ...made, facts: now }, { ...settings, ...storing, kind }) }
}

/** Throws `RUN` if an index is of another model or precision, or of images that were prepared otherwise. */
export function expectModel(
  { dir, facts }: Pick<ImageIndex, 'dir' | 'facts'>,
  { config, origin, sha256, preparation }: Pick<Embedder, 'config' | 'origin' | 'sha256' | 'preparation'>,
): void {
  const of = facts.model
  const [then, now] = [facts.source?.maxPatches ?? null, patchesOf({ config })]
  const inWords = (most: number | null) =>
    most === null ? 'that all have one size' : `that keep their shape in up to ${most} patches`
  if (facts.source && !facts.source.size.includes(0) && then !== now)
    throw new SherdError(
      'RUN',
      `${dir} holds vectors of images ${inWords(then)}, and ${origin.path} would get images ${inWords(now)}: open it as the index was made (--image-size, data.resize, data.maxPatches), or make the index again.`,
    )
  if (of?.sha256 && of.sha256 !== sha256)
    throw new SherdError(
      'RUN',
      `${dir} was made with another model: of ${of.path}${of.step === null ? '' : ` at step ${of.step}`} (SHA-256 ${of.sha256.slice(0, 12)}…), not ${origin.path} as it is now (${sha256.slice(0, 12)}…). Give that file with --model, or make the index again.`,
    )
  if (of?.precision !== undefined && of.precision !== origin.precision)
    throw new SherdError(
      'RUN',
      `${dir} holds vectors that were computed in ${of.precision}, and those of ${origin.path} would be in ${origin.precision}: leave --precision out, or make the index again.`,
    )
  if (!facts.preparation)
    tellNote(
      `${dir} does not say how its images were prepared, as indices of earlier versions and of features of other programs: as ${origin.path} prepares them now is assumed.`,
    )
  const other = facts.preparation ? preparationDifferences(facts.preparation, preparation) : []
  if (other.length > 0)
    throw new SherdError(
      'RUN',
      `${dir} holds vectors of images that were prepared otherwise than ${origin.path} prepares them now:\n  ${other.join('\n  ')}\nRestore what says it, such as preprocessor_config.json beside the weights, or make the index again.`,
    )
}
