/**
 * Location and pixel size of an image from the tags of GeoTIFF 1.1: an affine transformation and the keys of a coordinate reference
 * system. Does not project: systems are only compared, and metres are exact in projected systems, within a percent in degrees.
 */
import type { Size } from '../box.ts'

export interface Grid {
  /** Such as `EPSG:32632`, or a name for systems without a code; null if unknown. */
  readonly crs: string | null
  /** x and y of the upper left, the upper right and the lower left corner, in the system's units. */
  readonly corners: readonly number[]
  /** Side of a pixel on the ground; null if the unit is unknown. */
  readonly metresPerPixel: number | null
}

export interface GeoTags {
  /** [16], row by row. */
  readonly transformation: readonly number[] | null
  /** [3] */
  readonly scale: readonly number[] | null
  /** [6 or more]: column, row, depth; x, y, z. */
  readonly tiePoint: readonly number[] | null
  readonly keys: Readonly<Record<string, unknown>>
}

const USER_DEFINED = 32767
const WEB_MERCATOR = 3857
const PIXEL_IS_POINT = 2
/** Of WGS 84. */
const EARTH_RADIUS = 6_378_137
const METRES_PER_DEGREE = (Math.PI / 180) * EARTH_RADIUS
const METRES: Readonly<Record<number, number>> = { 9001: 1, 9002: 0.3048, 9003: 1200 / 3937 }

/** Null without georeference. */
export function gridOf({ width, height }: Size, tags: GeoTags): Grid | null {
  const affine = affineOf(tags)
  if (!affine?.every(Number.isFinite)) return null
  const [a, b, c, d, e, f] = affine as [number, number, number, number, number, number]
  const half = tags.keys.GTRasterTypeGeoKey === PIXEL_IS_POINT ? -0.5 : 0
  const at = (column: number, row: number) => {
    const [u, v] = [column + half, row + half]
    return [a * u + b * v + c, d * u + e * v + f]
  }
  const corners = [...at(0, 0), ...at(width, 0), ...at(0, height)]
  const side = Math.sqrt(Math.abs(a * e - b * d))
  const unit = unitOf(tags.keys, at(width / 2, height / 2)[1]!)
  const metresPerPixel = unit !== null && side > 0 ? side * unit : null
  return { crs: systemOf(tags.keys), corners, metresPerPixel }
}

/** x = a·column + b·row + c, y = d·column + e·row + f. */
function affineOf({ transformation: m, scale, tiePoint }: GeoTags): readonly number[] | null {
  if (m && m.length >= 8) return [m[0]!, m[1]!, m[3]!, m[4]!, m[5]!, m[7]!]
  if (!scale || scale.length < 2 || !tiePoint || tiePoint.length < 6) return null
  const [sx, sy] = [scale[0]!, scale[1]!]
  return [sx, 0, tiePoint[3]! - tiePoint[0]! * sx, 0, -sy, tiePoint[4]! + tiePoint[1]! * sy]
}

function systemOf(keys: GeoTags['keys']): string | null {
  for (const key of ['ProjectedCSTypeGeoKey', 'GeographicTypeGeoKey']) {
    const code = keys[key]
    if (typeof code === 'number' && code > 0 && code !== USER_DEFINED) return `EPSG:${code}`
  }
  const names = [keys.PCSCitationGeoKey, keys.GTCitationGeoKey, keys.GeogCitationGeoKey]
  return names.find((name): name is string => typeof name === 'string' && name !== '') ?? null
}

/** Metres per unit at the image's centre, averaged over both directions. */
function unitOf(keys: GeoTags['keys'], y: number): number | null {
  const projected = keys.ProjectedCSTypeGeoKey
  if (keys.GTModelTypeGeoKey === 2 || (projected === undefined && keys.GeographicTypeGeoKey !== undefined))
    return METRES_PER_DEGREE * Math.sqrt(Math.max(0, Math.cos((y * Math.PI) / 180)))
  if (projected === WEB_MERCATOR) return 1 / Math.cosh(y / EARTH_RADIUS)
  if (projected === undefined) return null
  const unit = keys.ProjLinearUnitsGeoKey
  return unit === undefined ? 1 : typeof unit === 'number' ? (METRES[unit] ?? null) : null
}

/** Whether two images cover the same area, within half a pixel of the finer one. */
export function isSameArea(one: Grid, other: Grid, finest: Size): boolean {
  const [x0, y0, x1, y1, x2, y2] = one.corners as [number, number, number, number, number, number]
  const across = Math.hypot(x1 - x0, y1 - y0) / finest.width
  const down = Math.hypot(x2 - x0, y2 - y0) / finest.height
  const tolerance = Math.max(across, down) / 2
  return one.corners.every((value, i) => Math.abs(value - other.corners[i]!) <= tolerance)
}

/** In the units of its system. */
export interface Extent {
  readonly left: number
  readonly right: number
  readonly bottom: number
  readonly top: number
}

export function extentOf({ corners: [x0, y0, x1, y1, x2, y2] }: Grid): Extent {
  const xs = [x0!, x1!, x2!, x1! + x2! - x0!]
  const ys = [y0!, y1!, y2!, y1! + y2! - y0!]
  return { left: Math.min(...xs), right: Math.max(...xs), bottom: Math.min(...ys), top: Math.max(...ys) }
}

/** Intersection over the smaller area. */
export function sharedArea(one: Grid, other: Grid): number {
  const [a, b] = [extentOf(one), extentOf(other)]
  const area = ({ left, right, bottom, top }: Extent) => Math.max(0, right - left) * Math.max(0, top - bottom)
  const both = {
    ...{ left: Math.max(a.left, b.left), right: Math.min(a.right, b.right) },
    ...{ bottom: Math.max(a.bottom, b.bottom), top: Math.min(a.top, b.top) },
  }
  return area(both) / Math.min(area(a), area(b))
}

export const isSouthFirst = ({ corners }: Grid): boolean => corners[5]! > corners[1]!

/** The grid of the vertically flipped image. */
export function upsideDown(grid: Grid): Grid {
  const [x0, y0, x1, y1, x2, y2] = grid.corners as [number, number, number, number, number, number]
  return { ...grid, corners: [x2, y2, x1 + x2 - x0, y1 + y2 - y0, x0, y0] }
}
