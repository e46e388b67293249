/** Indexes that are claimed (files/claim.ts): continued after an interruption, found when they are there, replaced in one step. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { rasterOptions } from '../config/assemble.ts'
import { bandsOf } from '../config/resolve.ts'
import { namesBeside } from '../evaluate/feature-file.ts'
import { abandoned, type ClaimRequest, claim, claimed, type Draft } from '../files/claim.ts'
import { fingerprintOfFiles } from '../files/fingerprint.ts'
import { openSource } from '../source/open.ts'
import type { VectorFeature } from '../token/feature.ts'
import { madeOfImages, withJournal } from './claimed-rows.ts'
import type { Embedder } from './embedder.ts'
import { indexFeatures } from './index-features.ts'
import { type ImageIndex, type IndexFacts, isIndex, mergeIndex, type SearchKind } from './index-folder.ts'
import { type Indexed, type IndexOptions, indexFolder, updateIndex } from './make-index.ts'

interface Place {
  readonly out: string
  readonly overwrite?: boolean | undefined
}

const placeOf = ({ out, overwrite }: Place) =>
  ({ out, overwrite, kind: 'folder', isResult: isIndex, merge: mergeIndex }) as const

interface Asked {
  readonly pooling: VectorFeature
  readonly kind: SearchKind
}

/** What the index of a folder depends on, new or brought up to date. */
const madeOf = async (dir: string, embedder: Embedder, { pooling, kind }: Asked) => {
  const rasters = rasterOptions(embedder.config, embedder.bands ?? bandsOf(embedder.config))
  return madeOfImages('index', embedder, await openSource(dir, rasters), { pooling, search: kind })
}

const journaledIn =
  (draft: Draft<unknown>): IndexOptions['journaled'] =>
  (name, body) =>
    withJournal(draft, body, name)

/** What a process that was ended has left in its draft. */
function removeUnfinished(dir: string): void {
  for (const name of readdirSync(dir)) if (name.endsWith('.writing')) rmSync(join(dir, name))
}

/** Throws as `claim` and `indexFolder`. */
export async function claimIndex(
  dir: string,
  embedder: Embedder,
  { out, overwrite, pooling: asked = embedder.feature, kind = 'auto', ...options }: IndexOptions & Place,
): Promise<{ readonly result: Indexed; readonly wasThere: boolean }> {
  const { name: pooling } = embedder.featureOf(asked)
  const made = await madeOf(dir, embedder, { pooling, kind })
  const request: ClaimRequest = { ...placeOf({ out, overwrite }), made, continues: true }
  return claimed<Indexed>(request, async (draft) => {
    removeUnfinished(draft.fileFor())
    const journaled = journaledIn(draft)
    const made = await indexFolder(dir, embedder, {
      ...{ ...options, pooling, kind, out: draft.fileFor() },
      ...(journaled && { journaled }),
    })
    return withoutVectors(made)
  })
}

/** Without the vectors. */
const withoutVectors = ({ facts, embedded, removed, skipped }: Indexed): Indexed => ({
  ...{ facts, embedded, removed, skipped },
})

/** Brings an index up to date; nothing is written if nothing has changed. Throws as `claim` and `updateIndex`. */
export async function claimUpdate(
  before: ImageIndex,
  embedder: Embedder,
  options: Partial<Omit<IndexOptions, 'pooling' | 'out'>> = {},
): Promise<Indexed> {
  const { facts, dir } = before
  if (!facts.source) return updateIndex(before, embedder) // throws
  const { kind = facts.search } = options
  const made = await madeOf(facts.source.dir, embedder, { pooling: facts.pooling, kind })
  const place = claim<Indexed>({ ...placeOf({ out: dir, overwrite: true }), made, continues: true })
  if (place.state === 'done') return place.result
  try {
    removeUnfinished(place.fileFor())
    const journaled = journaledIn(place)
    const made = await updateIndex(before, embedder, {
      ...{ ...options, out: place.fileFor() },
      ...(journaled && { journaled }),
    })
    if (made.facts === facts) place.drop()
    else place.finish(withoutVectors(made))
    return made
  } catch (error) {
    throw abandoned({ out: dir, continues: true }, place, error)
  }
}

/** An index of vectors that are there. Throws as `claim` and `indexFeatures`. */
export async function claimFeatures(
  path: string,
  {
    out,
    overwrite,
    pooling,
    ...options
  }: Omit<IndexOptions, 'onProgress' | 'journaled' | 'pooling'> &
    Place & { readonly pooling?: VectorFeature | undefined },
): Promise<{ readonly result: IndexFacts; readonly wasThere: boolean }> {
  const inputs = { features: fingerprintOfFiles([path, namesBeside(path)]) }
  const made = { command: 'index', options: { pooling, search: options.kind ?? 'auto' }, inputs }
  return claimed<IndexFacts>({ ...placeOf({ out, overwrite }), made }, (draft) =>
    indexFeatures(path, { ...options, out: draft.fileFor(), ...(pooling && { pooling }) }),
  )
}
