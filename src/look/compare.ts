/** Patch features of several images as colours that mean the same in all of them, and what is like a patch of the first. Runs in browsers. */
import { SherdError } from '../errors.ts'
import { componentColours, principalComponents } from '../picture/components.ts'
import type { Grid } from '../token/grid.ts'
import { type NearPatch, nearestPlaces, similarities } from './nearest.ts'

export type PatchAt = readonly [row: number, column: number]

/** The place of a patch, by default the most central. Throws `USAGE` for one that the grid does not have. */
export function placeOf(patch: PatchAt | undefined, { h, w }: Grid, option = '--patch'): number {
  const [row, column] = patch ?? [Math.floor(h / 2), Math.floor(w / 2)]
  if (row >= h || column >= w)
    throw new SherdError(
      'USAGE',
      `${option} ${row},${column}: the grid has ${h} rows and ${w} columns, counted from 0.`,
    )
  return row * w + column
}

export interface ImageColours {
  /** Of each image [N, 3], red, green, blue. */
  readonly colours: readonly Uint8Array[]
  /** Share of the variance of each of the three components. */
  readonly explained: readonly number[]
}

/** `features`: those of all images behind one another, [patches, D]; `patches`: how many each image has. */
export function coloursOf(features: Float32Array, width: number, patches: readonly number[]): ImageColours {
  const components = principalComponents(features, width)
  const all = componentColours(components)
  let at = 0
  return {
    explained: components.explained,
    colours: patches.map((count) => {
      at += 3 * count
      return all.slice(at - 3 * count, at)
    }),
  }
}

export interface ImageLikeness {
  /** [N] Cosines with the chosen patch. */
  readonly similarity: Float64Array
  readonly nearest: readonly NearPatch[]
}

/** What of an image's features [N, D] is like `vector`; `own`: the chosen patch itself, where it is of this image. */
export function likeness(
  features: Float32Array,
  vector: Float32Array,
  { nearest, own }: { readonly nearest: number; readonly own: number | null },
): ImageLikeness {
  const similarity = similarities(features, vector)
  return { similarity, nearest: nearestPlaces(similarity, nearest, own) }
}
