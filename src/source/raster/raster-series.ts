/** Groups scenes of one place into series, ascending in time, with equal sizes and orientation. */
import { SherdError } from '../../errors.ts'
import {
  type Extent,
  extentOf,
  type Grid,
  isSameArea,
  isSouthFirst,
  sharedArea,
  upsideDown,
} from './georeference.ts'
import type { Scene } from './raster-scenes.ts'

const day = (time: number): string => new Date(time).toISOString().replace(/T00:00:00\.000Z$|\.000Z$/, '')

/** Least common area for scenes of one place. */
const LEAST_SHARED = 0.5

/**
 * Series in the order of their first scenes. Throws `SOURCE` if the scenes of one differ, share a date or are of different places; adds a
 * note if they are slightly shifted.
 */
export function seriesOf(scenes: readonly Scene[], notes: string[]): Scene[][] {
  const groups = new Map<string, Scene[]>()
  for (const scene of scenes) {
    const group = groups.get(scene.series)
    if (group) group.push(scene)
    else groups.set(scene.series, [scene])
  }
  const series = [...groups.values()].map((group) => inTime(inOneOrder(group)))
  const shifted = series.flatMap((dates) => shiftOf(dates) ?? [])
  if (shifted[0])
    notes.push(`${shifted[0]}${shifted.length > 1 ? ` So it is in ${shifted.length} series.` : ''}`)
  return series
}

/** If orientations differ, all start in the north. */
function inOneOrder(scenes: readonly Scene[]): readonly Scene[] {
  const isNorth = scenes.some(({ grid }) => grid && !isSouthFirst(grid))
  if (!isNorth) return scenes
  return scenes.map((scene) =>
    scene.grid && isSouthFirst(scene.grid)
      ? {
          ...scene,
          grid: upsideDown(scene.grid),
          bands: scene.bands.map((place) => ({ ...place, isUpsideDown: true })),
        }
      : scene,
  )
}

const shown = (grid: Grid): string => {
  const { left, right, bottom, top }: Extent = extentOf(grid)
  const number = (value: number) => Number(value.toPrecision(10))
  return `x ${number(left)} to ${number(right)}, y ${number(bottom)} to ${number(top)}${grid.crs === null ? '' : ` (${grid.crs})`}`
}

/** A note if scenes are shifted by more than half a pixel, or null. */
function shiftOf(scenes: readonly Scene[]): string | null {
  const [one, ...rest] = scenes.filter(({ grid }) => grid !== null)
  const other = one && rest.find((each) => !isSameArea(one.grid!, each.grid!, one))
  return other
    ? `The dates of the series ${one.series} do not lie on each other: ${one.name} covers ${shown(one.grid!)}, ${other.name} ${shown(other.grid!)}. Pixels are compared by their row and column, so bring them to one grid (gdalwarp -te).`
    : null
}

function inTime(scenes: readonly Scene[]): Scene[] {
  const undated = scenes.find(({ time }) => time === null)
  const dated = scenes.find(({ time }) => time !== null)
  if (undated && dated)
    throw new SherdError(
      'SOURCE',
      `${undated.name} has no date, but ${dated.name} of the same series (${dated.series}) has one. Give a pattern with the group (?<date>…).`,
    )
  const sorted = undated
    ? scenes.toSorted((a, b) => byName.compare(a.name, b.name))
    : scenes.toSorted((a, b) => a.time! - b.time!)
  for (const [i, scene] of sorted.entries()) {
    const before = sorted[i - 1]
    if (before && scene.time !== null && scene.time === before.time)
      throw new SherdError(
        'SOURCE',
        `${before.name} and ${scene.name} of the series ${scene.series} have the same date, ${day(scene.time)}. Move one away, or tell them apart by the pattern's group (?<series>…).`,
      )
  }
  const whole = sorted.filter(({ isBroken }) => !isBroken)
  for (const scene of whole) checkAlike(whole[0]!, scene)
  return sorted
}

/** Natural order: `site_9` before `site_10`. */
const byName = new Intl.Collator('en', { numeric: true })

function checkAlike(one: Scene, other: Scene): void {
  const differ = (what: string, a: unknown, b: unknown) =>
    new SherdError(
      'SOURCE',
      `The frames of the series ${one.series} differ in ${what}: ${one.name} has ${a}, ${other.name} has ${b}. Bring them to one grid (gdalwarp), or tell them apart by the pattern's group (?<series>…).`,
    )
  if (one.width !== other.width || one.height !== other.height)
    throw differ('size', `${one.width} x ${one.height} pixels`, `${other.width} x ${other.height}`)
  const [a, b] = [one.grid, other.grid]
  if (!a || !b) return
  if (a.crs !== b.crs) throw differ('coordinate reference system', a.crs ?? 'none', b.crs ?? 'none')
  const [fine, coarse] = [a.metresPerPixel, b.metresPerPixel]
  if (fine !== null && coarse !== null && Math.abs(fine - coarse) > 1e-3 * fine)
    throw differ('resolution', `${fine} m`, `${coarse} m`)
  if (sharedArea(a, b) < LEAST_SHARED)
    throw new SherdError(
      'SOURCE',
      `The dates of the series ${one.series} are of different places: ${one.name} covers ${shown(a)}, ${other.name} ${shown(b)}. Tell them apart by the pattern's group (?<series>…), or bring them to one grid (gdalwarp -te).`,
    )
}
