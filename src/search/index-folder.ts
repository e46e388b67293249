/**
 * An index of images as a folder: `index.json` (what it is, of which model, and the checksums of the rest), `vectors-….npy` (of length 1), `images-….json`
 * (who is who), and for large sets `graph-….usearch`. The other files are named by their content, and `index.json` is replaced last and whole; so whoever
 * opens the folder finds the old index or the new one, whatever ends the writing.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import { brokenSeal, flush, sealOf } from '../files/durable.ts'
import { npyHeader, readNpy } from '../files/npy.ts'
import { readRegular } from '../files/regular-file.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { coreCount } from '../machine/hardware.ts'
import { writeParts } from '../onnx/onnx-file.ts'
import { poolings } from '../token/pool.ts'
import { openExact } from './vectors/exact.ts'
import type { Candidates } from './vectors/nearest.ts'
import { type GraphSettings, openGraph } from './vectors/neighbour-graph.ts'
import type { Vectors } from './vectors/unit-vectors.ts'

const FORMAT = 'sherd-index/1'
const count = z.number().int().min(0)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const file = (pattern: RegExp) => z.object({ name: z.string().regex(pattern), bytes: count, sha256 })

/** How an index was asked to be searched; `auto`: by a graph from a size on. */
const searchKinds = ['auto', 'exact', 'approximate'] as const
export type SearchKind = (typeof searchKinds)[number]

const factsSchema = z.object({
  format: z.literal(FORMAT),
  count: count.min(1),
  /** D */
  width: count.min(1),
  metric: z.literal('cosine'),
  pooling: z.enum(poolings),
  /** What made the vectors; the checksum is null when features came without one. */
  model: z
    .object({
      path: z.string(),
      step: z.number().nullable(),
      precision: z.string().optional(),
      sha256: sha256.nullable(),
    })
    .nullable(),
  /** Where the images are; null when features did not say it. */
  source: z
    .object({
      dir: z.string(),
      /** What was asked of rasters; null for images. */
      rasters: z
        .object({
          bands: z.array(z.string()),
          bandNames: z.array(z.string()).nullable(),
          pattern: z.string().nullable(),
          frames: count,
          window: z.number().nullable(),
          nodata: z.number().nullable(),
          applyScale: z.boolean().default(false),
        })
        .nullable(),
      /** Height and width that the model sees. */
      size: z.tuple([count, count]),
    })
    .nullable(),
  classes: z.array(z.string()),
  search: z.enum(searchKinds),
  graph: z
    .object({
      connectivity: count,
      expansionAdd: count,
      expansionSearch: count,
      /** The share of the ten nearest that it was seen to find. */
      recall: z.number(),
    })
    .nullable(),
  files: z.object({
    vectors: file(/^vectors-[0-9a-f]{12}\.npy$/),
    images: file(/^images-[0-9a-f]{12}\.json$/),
    graph: file(/^graph-[0-9a-f]{12}\.usearch$/).nullable(),
  }),
})
const imagesSchema = z.object({
  images: z.array(
    z.object({
      /** The path below the source's folder, or what a sample is called. */
      file: z.string(),
      label: count.optional(),
      /** What tells whether the file has changed. */
      state: z.string().optional(),
    }),
  ),
  /** Files that could not be read. */
  skipped: z.array(z.object({ file: z.string(), reason: z.string(), state: z.string().optional() })),
})

export type IndexFacts = Omit<z.infer<typeof factsSchema>, 'format' | 'files' | 'metric'>
export type IndexedImage = z.infer<typeof imagesSchema>['images'][number]
export type IndexSkipped = z.infer<typeof imagesSchema>['skipped'][number]

export interface ImageIndex {
  /** Absolute path of the index. */
  readonly dir: string
  readonly facts: IndexFacts
  readonly images: readonly IndexedImage[]
  readonly skipped: readonly IndexSkipped[]
  readonly vectors: Vectors
  /** The row of each name. */
  readonly rows: ReadonlyMap<string, number>
  /** Whether every vector is compared. */
  readonly isExact: boolean
  readonly candidates: Candidates
  close(): Promise<void>
}

const MANIFEST = 'index.json'
const isIndex = (dir: string): boolean => existsSync(join(dir, MANIFEST))
/** What is not finished has the writer's name, so that two do not write into one file. */
const draftOf = (dir: string, name: string) => join(dir, `${name}.${process.pid}.writing`)
export const graphDraft = (dir: string): string => draftOf(dir, 'graph.usearch')

/** Creates the folder. Throws `RUN` when something else than an index is there already. */
export function makeIndexFolder(dir: string): void {
  makeFolder(resolve(dir))
  const others = readdirSync(dir).filter((name) => !isOurs(name))
  if (!isIndex(dir) && others.length > 0)
    throw new SherdError(
      'RUN',
      `${resolve(dir)} is no index and not empty, it has ${others[0]}: choose another folder for --out.`,
    )
}

const isOurs = (name: string) =>
  name === MANIFEST ||
  /^(vectors|images|graph)(-[0-9a-f]{12})?\.(npy|json|usearch)(\.\d+)?(\.writing)?$/.test(name)

const CHUNK = 1 << 28

/** [count, width] as the parts of a `.npy` file, none too large for one call of the system. */
function* npyParts({ count, width, values }: Vectors): Generator<Uint8Array> {
  yield npyHeader({ dtype: '<f4', shape: [count, width] })
  for (let at = 0; at < values.byteLength; at += CHUNK)
    yield new Uint8Array(values.buffer, values.byteOffset + at, Math.min(CHUNK, values.byteLength - at))
}

/** A finished draft gets a name that says what it holds. */
function keep(dir: string, draft: string, stem: string, ending: string) {
  const seal = sealOf(draft)
  flush(draft) // usearch does not
  const name = `${stem}-${seal.sha256.slice(0, 12)}.${ending}`
  renameSync(draft, join(dir, name))
  return { name, ...seal }
}

/** The files of the index that is there, if it can be read. */
function namesIn(dir: string): string[] {
  try {
    return Object.values(readManifest(dir).files).flatMap((each) => each?.name ?? [])
  } catch {
    return []
  }
}

const FORGOTTEN = 3600_000 // ms: nobody writes a file for so long

/** Removes what the index before held, and what an interrupted writing has left. */
function removeOld(dir: string, before: readonly string[]): void {
  const kept = new Set<string>([MANIFEST, ...namesIn(dir)])
  for (const name of readdirSync(dir).filter((each) => isOurs(each) && !kept.has(each))) {
    const path = join(dir, name)
    if (before.includes(name) || Date.now() - statSync(path).mtimeMs > FORGOTTEN)
      rmSync(path, { force: true })
  }
}

export interface IndexContent extends Pick<ImageIndex, 'facts' | 'images' | 'skipped' | 'vectors'> {}

/** Writes an index, whose graph, if any, lies in `graphDraft(dir)`. Throws `RUN`; the folder then holds the index that it held. */
export function writeIndex(dir: string, { facts, images, skipped, vectors }: IndexContent): void {
  const [vectorsDraft, imagesDraft] = [draftOf(dir, 'vectors.npy'), draftOf(dir, 'images.json')]
  try {
    const before = namesIn(dir)
    writeParts(vectorsDraft, [...npyParts(vectors)])
    writeParts(imagesDraft, [Buffer.from(`${JSON.stringify({ images, skipped })}\n`)])
    const files = {
      vectors: keep(dir, vectorsDraft, 'vectors', 'npy'),
      images: keep(dir, imagesDraft, 'images', 'json'),
      graph: facts.graph ? keep(dir, graphDraft(dir), 'graph', 'usearch') : null,
    }
    const manifest = { format: FORMAT, metric: 'cosine', ...facts, files }
    writeWhole(join(dir, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
    removeOld(dir, before)
  } catch (error) {
    if (error instanceof SherdError) throw error
    throw new SherdError('RUN', `Cannot write the index ${resolve(dir)}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function readManifest(dir: string): z.infer<typeof factsSchema> {
  const path = join(dir, MANIFEST)
  if (!existsSync(path) || !statSync(path).isFile())
    throw new SherdError(
      'RUN',
      `${resolve(dir)} is no index: it has no ${MANIFEST}. "sherd index" makes one.`,
    )
  return parsed(path, factsSchema)
}

function parsed<T>(path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(readRegular(path)))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError('RUN', `${path} is damaged or not of this version of sherd: ${why}`, {
      cause: error,
    })
  }
}

export interface OpenOptions {
  /** Compares every vector though there is a graph. */
  readonly exact?: boolean
  /** Of one search; all cores by default. */
  readonly threads?: number
}

/** Opens an index, after comparing the checksums of its files. Throws `RUN` when it is none, or damaged. */
export async function openIndex(dir: string, options: OpenOptions = {}): Promise<ImageIndex> {
  const manifest = readManifest(dir)
  try {
    return await openFiles(dir, manifest, options)
  } catch (error) {
    // Files that are gone because the index was replaced meanwhile are those of the one before.
    if (JSON.stringify(readManifest(dir)) === JSON.stringify(manifest)) throw error
    return openIndex(dir, options)
  }
}

async function openFiles(
  dir: string,
  { format: _, metric: __, files, ...facts }: z.infer<typeof factsSchema>,
  { exact = false, threads = coreCount() }: OpenOptions,
): Promise<ImageIndex> {
  for (const each of [files.vectors, files.images, files.graph]) {
    const broken = each && brokenSeal(join(dir, each.name), each)
    if (broken)
      throw new SherdError('RUN', `The index is damaged: ${join(dir, each.name)} ${broken}. Make it again.`)
  }
  const { images, skipped } = parsed(join(dir, files.images.name), imagesSchema)
  if (images.length !== facts.count)
    throw new SherdError('RUN', `The index is damaged: ${images.length} names for ${facts.count} vectors.`)
  const shape = [facts.count, facts.width]
  const { values } = readNpy(join(dir, files.vectors.name), { dtype: /^<f4$/, shape })
  const vectors = {
    ...{ count: facts.count, width: facts.width },
    values: new Float32Array(values.buffer, values.byteOffset, facts.count * facts.width),
  }
  const { graph } = facts
  const isExact = exact || !graph || !files.graph
  const candidates = isExact
    ? await openExact(vectors, { threads })
    : await openGraph(join(dir, files.graph!.name), vectors, { settings: graph, threads })
  return {
    ...{ dir: resolve(dir), facts, images, skipped, vectors, isExact, candidates },
    rows: new Map(images.map(({ file }, row) => [file, row])),
    close: () => candidates.close(),
  }
}

/** What of an index's graph its settings are. */
export const settingsOf = ({
  connectivity,
  expansionAdd,
  expansionSearch,
}: GraphSettings): GraphSettings => ({ connectivity, expansionAdd, expansionSearch })
