/**
 * An index of images as a folder: `index.json` (settings, model, checksums of the other files), `vectors-….npy` (of length 1), `images-….json`
 * (the file of each row), and for large sets `graph-….usearch`. The other files are named by their content and `index.json` is replaced last,
 * atomically, so that a reader finds the old index or the new one even if writing is interrupted.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import { cannotWrite } from '../files/cannot-write.ts'
import { RECORD } from '../files/claim.ts'
import { brokenSeal, flush, sealOf } from '../files/durable.ts'
import { npyHeader, readNpy } from '../files/npy.ts'
import { readRegular } from '../files/regular-file.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { coreCount } from '../machine/hardware.ts'
import { writeParts } from '../onnx/onnx-file.ts'
import { isFeature, type VectorFeature } from '../token/feature.ts'
import { openExact } from './vectors/exact.ts'
import type { Candidates } from './vectors/nearest.ts'
import { type GraphSettings, openGraph } from './vectors/neighbour-graph.ts'
import type { Vectors } from './vectors/unit-vectors.ts'

const FORMAT = 'sherd-index/1'
const isVector = (name: unknown) => typeof name === 'string' && isFeature(name) && name !== 'patches'
const count = z.number().int().min(0)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const file = (pattern: RegExp) => z.object({ name: z.string().regex(pattern), bytes: count, sha256 })

/** The requested kind of search; `auto`: a graph from 50,000 images on. */
const searchKinds = ['auto', 'exact', 'approximate'] as const
export type SearchKind = (typeof searchKinds)[number]

const factsSchema = z.object({
  format: z.literal(FORMAT),
  count: count.min(1),
  width: count.min(1),
  metric: z.literal('cosine'),
  pooling: z.custom<VectorFeature>(isVector, { error: 'expected the name of a feature' }),
  /** The model of the vectors; the checksum is null for features without one. */
  model: z
    .object({
      path: z.string(),
      step: z.number().nullable(),
      precision: z.string().optional(),
      /** A run that began with the weights of another model. */
      isInherited: z.boolean().optional(),
      sha256: sha256.nullable(),
    })
    .nullable(),
  /** The folder of the images; null if the features do not name it. */
  source: z
    .object({
      dir: z.string(),
      /** How rasters were read; null for images. */
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
      /** Height and width of the model's input. */
      size: z.tuple([count, count]),
      /** Patches of an image, at most, where images keep their shape; null: all have this size. */
      maxPatches: count.min(1).nullable().default(null),
    })
    .nullable(),
  /** How the images were prepared; null for those of other programs, and in indices of earlier versions. */
  preparation: z.record(z.string(), z.unknown()).nullable().default(null),
  classes: z.array(z.string()),
  search: z.enum(searchKinds),
  graph: z
    .object({
      connectivity: count,
      expansionAdd: count,
      expansionSearch: count,
      /** Measured recall of the ten nearest. */
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
      /** The path below the source's folder, or the sample's name. */
      file: z.string(),
      label: count.optional(),
      /** See source/file-state.ts. */
      state: z.string().optional(),
    }),
  ),
  skipped: z.array(z.object({ file: z.string(), reason: z.string(), state: z.string().optional() })),
})

export type IndexFacts = Omit<z.infer<typeof factsSchema>, 'format' | 'files' | 'metric'>
export type IndexedImage = z.infer<typeof imagesSchema>['images'][number]
export type IndexSkipped = z.infer<typeof imagesSchema>['skipped'][number]

export interface ImageIndex {
  /** Absolute. */
  readonly dir: string
  readonly facts: IndexFacts
  readonly images: readonly IndexedImage[]
  readonly skipped: readonly IndexSkipped[]
  readonly vectors: Vectors
  /** The row of each file. */
  readonly rows: ReadonlyMap<string, number>
  readonly isExact: boolean
  readonly candidates: Candidates
  close(): Promise<void>
}

const MANIFEST = 'index.json'
export const isIndex = (dir: string): boolean => existsSync(join(dir, MANIFEST))
/** Unfinished files are named by the process, so that two processes do not write to one. */
const draftOf = (dir: string, name: string) => join(dir, `${name}.${process.pid}.writing`)
export const graphDraft = (dir: string): string => draftOf(dir, 'graph.usearch')

/** Creates the folder. Throws `RUN` if it exists and is not an index. */
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
  name === RECORD ||
  /^(vectors|images|graph)(-[0-9a-f]{12})?\.(npy|json|usearch)(\.\d+)?(\.writing)?$/.test(name)

const CHUNK = 1 << 28

/** [count, width] as the parts of a `.npy` file, each small enough for one system call. */
function* npyParts({ count, width, values }: Vectors): Generator<Uint8Array> {
  yield npyHeader({ dtype: '<f4', shape: [count, width] })
  for (let at = 0; at < values.byteLength; at += CHUNK)
    yield new Uint8Array(values.buffer, values.byteOffset + at, Math.min(CHUNK, values.byteLength - at))
}

/** Renames a finished draft by its checksum. */
function keep(dir: string, draft: string, stem: string, ending: string) {
  const seal = sealOf(draft)
  flush(draft) // usearch does not
  const name = `${stem}-${seal.sha256.slice(0, 12)}.${ending}`
  renameSync(draft, join(dir, name))
  return { name, ...seal }
}

/** The files of the existing index, if it can be read. */
function namesIn(dir: string): string[] {
  try {
    return Object.values(readManifest(dir).files).flatMap((each) => each?.name ?? [])
  } catch {
    return []
  }
}

const FORGOTTEN = 3600_000 // ms after which an unfinished file counts as abandoned

/** Removes the files of the replaced index, and those that an interrupted write has left. */
function removeOld(dir: string, before: readonly string[]): void {
  const kept = new Set<string>([MANIFEST, RECORD, ...namesIn(dir)])
  for (const name of readdirSync(dir).filter((each) => isOurs(each) && !kept.has(each))) {
    const path = join(dir, name)
    if (before.includes(name) || Date.now() - statSync(path).mtimeMs > FORGOTTEN)
      rmSync(path, { force: true })
  }
}

/** Beside a new index that is being moved: the files of the one that it replaces. */
const REPLACED = 'replaced.json'

/** Moves the files of a new index into the folder of the old one (files/claim.ts): `index.json` behind those that it names. */
export function mergeIndex(from: string, to: string): void {
  const list = join(from, REPLACED)
  if (!existsSync(list)) writeWhole(list, JSON.stringify(namesIn(to)))
  const before = JSON.parse(readRegular(list)) as string[] // also where a process has ended behind the switch
  const last = [MANIFEST, RECORD]
  const names = readdirSync(from).filter(isOurs)
  for (const name of [...names.filter((each) => !last.includes(each)), ...last])
    if (names.includes(name)) renameSync(join(from, name), join(to, name))
  removeOld(to, before)
}

export interface IndexContent extends Pick<ImageIndex, 'facts' | 'images' | 'skipped' | 'vectors'> {}

/** Writes an index; its graph, if any, is at `graphDraft(dir)`. Throws `RUN` and leaves the existing index intact. */
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
    for (const draft of [vectorsDraft, imagesDraft, graphDraft(dir)]) rmSync(draft, { force: true })
    throw cannotWrite(dir, error, { what: `the index ${resolve(dir)}` })
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
  /** Ignores the graph. */
  readonly exact?: boolean
  /** Per search; all cores by default. */
  readonly threads?: number
}

/** Opens an index and checks the checksums of its files. Throws `RUN` if it is not an index, or damaged. */
export async function openIndex(dir: string, options: OpenOptions = {}): Promise<ImageIndex> {
  const manifest = readManifest(dir)
  try {
    return await openFiles(dir, manifest, options)
  } catch (error) {
    // Retry if the files are gone because the index was replaced meanwhile.
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

export const settingsOf = ({
  connectivity,
  expansionAdd,
  expansionSearch,
}: GraphSettings): GraphSettings => ({ connectivity, expansionAdd, expansionSearch })
