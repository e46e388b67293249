/** Scenes → series: those of one place, ascending in time, all alike. */
import { SherdError } from '../errors.ts'
import type { Scene } from './raster-scenes.ts'

const day = (time: number): string => new Date(time).toISOString().replace(/T00:00:00\.000Z$|\.000Z$/, '')

/** Series in the order of their first scenes. Throws `SOURCE` when the scenes of one differ, or two have one date. */
export function seriesOf(scenes: readonly Scene[]): Scene[][] {
  const groups = new Map<string, Scene[]>()
  for (const scene of scenes) {
    const group = groups.get(scene.series)
    if (group) group.push(scene)
    else groups.set(scene.series, [scene])
  }
  return [...groups.values()].map(inTime)
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

/** Numbers in names count as numbers: `site_9` comes before `site_10`. */
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
}
