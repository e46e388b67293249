/** Opens every file of a folder and reads its header, several concurrently. */
import { join } from 'node:path'
import { messageOf, SherdError } from '../../errors.ts'
import { canonicalBand } from './band-names.ts'
import { blockCache } from './block-cache.ts'
import type { Layer, RasterContent } from './raster-file.ts'
import { openRasterFile } from './raster-formats.ts'
import type { PathFacts } from './raster-path.ts'

const AT_ONCE = 32
/** Previews in Sentinel-2 products, which are not bands. */
const PICTURES = new Set(['tci', 'pvi'])

export interface NamedLayer extends Layer {
  readonly name: string
}

export interface ProbedFile {
  readonly path: PathFacts
  /** Whether it holds one band of a scene with a file per band. */
  readonly isSingle: boolean
  readonly layers: readonly NamedLayer[]
  /** Null if unreadable. */
  readonly content: RasterContent | null
}

export interface ProbeOptions {
  readonly dir: string
  readonly bands: readonly string[]
  readonly bandNames: readonly string[] | null
  readonly frames: number
}

export interface Probed {
  readonly files: readonly ProbedFile[]
  /** Reasons of unreadable files, by path. */
  readonly problems: ReadonlyMap<string, string>
}

/** Throws `SOURCE` if the bands of a file are unknown. */
export async function probeRasters(paths: readonly PathFacts[], options: ProbeOptions): Promise<Probed> {
  const wanted = new Set(options.bands.map(canonicalBand))
  const problems = new Map<string, string>()
  const found = new Array<ProbedFile | null>(paths.length)
  let next = 0
  const probeInTurn = async () => {
    while (next < paths.length) {
      const i = next++
      found[i] = await probe(paths[i]!, { ...options, wanted, problems })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, probeInTurn))
  return { files: found.filter((file) => file !== null), problems }
}

interface Probing extends ProbeOptions {
  readonly wanted: ReadonlySet<string>
  readonly problems: Map<string, string>
}

async function probe(path: PathFacts, probing: Probing): Promise<ProbedFile | null> {
  const { dir, frames, wanted, problems, bandNames } = probing
  let content: RasterContent
  try {
    const file = await openRasterFile({ path: join(dir, path.file), blocks: blockCache(0, () => 0) })
    try {
      content = await file.describe(frames)
    } finally {
      await file.close()
    }
  } catch (error) {
    // An unreadable file is reported when its sample is read, unless its band is not requested.
    if (path.band !== null && !wanted.has(canonicalBand(path.band))) return null
    problems.set(path.file, messageOf(error))
    return { path, isSingle: path.band !== null, layers: [], content: null }
  }
  const bands = content.layers.filter(({ isAlpha }) => !isAlpha)
  const isSingle = bands.length === 1
  const isPicture =
    !isSingle &&
    path.band !== null &&
    PICTURES.has(canonicalBand(path.band)) &&
    !content.layers.some(({ isNamed }) => isNamed)
  if (isPicture) return null
  const names = isSingle
    ? [nameOfOne(bands[0]!, path, { wanted, bandNames })]
    : namesOfMany(bands, bandNames, { file: path.file, ...content })
  const layers = bands.flatMap((layer, i) => {
    const name = names[i]
    return name == null ? [] : [{ ...layer, name }]
  })
  if (layers.length === 0)
    throw new SherdError(
      'SOURCE',
      `${path.file} has ${count(bands.length)} and does not say which: give their names in order (data.bandNames), or a pattern with the group (?<band>…).${hint(content)}`,
    )
  return { path, isSingle, layers, content }
}

const hint = ({ advice }: Pick<RasterContent, 'advice'>): string =>
  advice ? ` ${advice[0]!.toUpperCase()}${advice.slice(1)}.` : ''

const count = (bands: number): string => (bands === 1 ? '1 band' : `${bands} bands`)

function nameOfOne(
  layer: Layer,
  path: PathFacts,
  { wanted, bandNames }: { wanted: ReadonlySet<string>; bandNames: readonly string[] | null },
): string | null {
  const said = layer.isNamed ? layer.name : null
  if (path.isBandGiven) return path.band
  if (said !== null && wanted.has(canonicalBand(said))) return said
  return path.band ?? said ?? (bandNames?.length === 1 ? bandNames[0]! : layer.name)
}

function namesOfMany(
  layers: readonly Layer[],
  bandNames: readonly string[] | null,
  { file, ...content }: { file: string; layers: readonly Layer[] } & Pick<RasterContent, 'advice'>,
): readonly (string | null)[] {
  if (layers.some(({ isNamed }) => isNamed)) return layers.map(({ name, isNamed }) => (isNamed ? name : null))
  if (bandNames === null) return layers.map(({ name }) => name)
  if (bandNames.length === layers.length) return bandNames
  // Names of all bands, including alpha.
  if (bandNames.length === content.layers.length)
    return bandNames.filter((_, i) => !content.layers[i]!.isAlpha)
  throw new SherdError(
    'SOURCE',
    `${file} has ${count(layers.length)} without names, but data.bandNames has ${bandNames.length}: give one for each band, in order.${hint(content)}`,
  )
}
