/** Groups files into scenes (the bands of one place at one date) and checks them. */
import { didYouMean, SherdError } from '../../errors.ts'
import type { Size } from '../box.ts'
import { canonicalBand } from './band-names.ts'
import { type Grid, isSameArea, isSouthFirst, upsideDown } from './georeference.ts'
import type { BandPlace } from './raster-file.ts'
import type { NamedLayer, ProbedFile } from './raster-probe.ts'

export interface Scene extends Size {
  readonly name: string
  /** Key of its series. */
  readonly series: string
  readonly time: number | null
  /** Of each requested band. */
  readonly bands: readonly BandPlace[]
  /** Of the finest band. */
  readonly grid: Grid | null
  /** Unreadable, of unknown size. */
  readonly isBroken: boolean
  readonly files: readonly string[]
}

interface Held {
  readonly layer: NamedLayer
  readonly file: ProbedFile
}

/**
 * Scenes of files without axes of samples or dates, in the order of the files. A file with all bands is a scene by itself, whatever its
 * name.
 */
export function scenesOf(files: readonly ProbedFile[], bands: readonly string[]): Scene[] {
  const groups = new Map<string, ProbedFile[]>()
  for (const file of files) {
    const scene = isComplete(file, bands) ? `\0${file.path.file}` : keysOf(file).scene
    const group = groups.get(scene)
    if (group) group.push(file)
    else groups.set(scene, [file])
  }
  return [...groups.values()].map((group) => sceneOf(group, bands))
}

const isComplete = ({ isSingle, layers, path }: ProbedFile, bands: readonly string[]): boolean => {
  const held = new Set(layers.map(({ name }) => canonicalBand(name)))
  return (!isSingle || path.band === null) && bands.every((band) => held.has(canonicalBand(band)))
}

const keysOf = ({ path, isSingle }: ProbedFile) => (isSingle ? path.single : path.several)

function sceneOf(group: readonly ProbedFile[], bands: readonly string[]): Scene {
  const first = group[0]!
  const { series, name: shared } = keysOf(first)
  const name = group.length === 1 ? first.path.file : shared
  const { places, held, isBroken } = placesOf(group, { name, bands })
  const turned = turnedFiles(group)
  const gridOf = ({ path, content }: ProbedFile): Grid | null =>
    content?.grid && turned.has(path.file) ? upsideDown(content.grid) : (content?.grid ?? null)
  const known = held.filter(({ layer }) => layer.width > 0)
  const finest = known.reduce<Held | null>(
    (best, each) => (best && best.layer.width >= each.layer.width ? best : each),
    null,
  )
  for (const each of known) checkAlike({ each, finest: finest!, name, gridOf })
  return {
    ...{ name, series, time: first.path.time },
    bands: places.map((place) => (turned.has(place.file) ? { ...place, isUpsideDown: true } : place)),
    width: finest?.layer.width ?? 0,
    height: finest?.layer.height ?? 0,
    grid: finest ? gridOf(finest.file) : null,
    isBroken,
    files: group.map(({ path }) => path.file),
  }
}

/** The files that start in the south if others start in the north: their rows are reversed. */
function turnedFiles(group: readonly ProbedFile[]): ReadonlySet<string> {
  const south = group.filter(({ content }) => content?.grid && isSouthFirst(content.grid))
  const isMixed = group.some(({ content }) => content?.grid && !isSouthFirst(content.grid))
  return new Set(isMixed ? south.map(({ path }) => path.file) : [])
}

/** Locates the requested bands. Throws `SOURCE` if one is missing or duplicated. */
export function placesOf(
  group: readonly ProbedFile[],
  { name, bands }: { name: string; bands: readonly string[] },
): { places: BandPlace[]; held: Held[]; isBroken: boolean } {
  const broken = group.find(({ content }) => content === null)
  const all: Held[] = group.flatMap((file) => file.layers.map((layer) => ({ layer, file })))
  const held: Held[] = []
  const places = bands.map((band): BandPlace => {
    const canonical = canonicalBand(band)
    const named = all.filter(({ layer }) => canonicalBand(layer.name) === canonical)
    const [one, other] = named
    if (other)
      throw new SherdError(
        'SOURCE',
        `${name} has the band ${band} twice: in ${placeName(one!)} and in ${placeName(other)}. Move one away, or choose by the pattern.`,
      )
    if (one) {
      held.push(one)
      const { layer, file } = one
      return {
        file: file.path.file,
        band: layer.band,
        ...(layer.member === undefined ? {} : { member: layer.member }),
      }
    }
    // The bands of an unreadable file are unknown; reading it gives the reason.
    if (broken) return { file: broken.path.file, band: 0 }
    const there = [...new Set(all.map(({ layer }) => layer.name))]
    throw new SherdError(
      'SOURCE',
      `${name} has no band ${band}. It has: ${there.join(', ')}.${didYouMean(band, there)}`,
    )
  })
  return { places, held, isBroken: broken !== undefined }
}

const placeName = ({ layer, file }: Held): string =>
  `${file.path.file}${layer.member === undefined ? '' : ` (${layer.member})`}${file.isSingle ? '' : `, band ${layer.band + 1}`}`

function checkAlike({
  each,
  finest,
  name,
  gridOf,
}: {
  readonly each: Held
  readonly finest: Held
  readonly name: string
  readonly gridOf: (file: ProbedFile) => Grid | null
}): void {
  const { width, height } = finest.layer
  const size = ({ layer }: Held) => `${layer.width} x ${layer.height}`
  const differ = (what: string) =>
    new SherdError(
      'SOURCE',
      `The bands of ${name} do not lie on each other: ${finest.layer.name} in ${placeName(finest)} ${what} ${each.layer.name} in ${placeName(each)}. Bands of one scene must cover the same area, at resolutions that are whole multiples: cut or resample them (gdalwarp -te -tr).`,
    )
  if (width % each.layer.width !== 0 || height % each.layer.height !== 0)
    throw differ(`has ${size(finest)} pixels, no whole multiple of the ${size(each)} of`)
  const [one, other] = [gridOf(finest.file), gridOf(each.file)]
  if (!one || !other) return
  if (one.crs !== null && other.crs !== null && one.crs !== other.crs)
    throw differ(`is in ${one.crs}, and in ${other.crs} is`)
  if (!isSameArea(one, other, finest.layer)) throw differ('covers another area than')
}
