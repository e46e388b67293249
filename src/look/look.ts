/** What an encoder sees in a few images: the attention of its heads, the components of its patch features, patches that are alike. */
import { pause, SherdError } from '../errors.ts'
import { pickSamples } from '../prepare/pixels.ts'
import type { Exhibit } from '../run/pictures.ts'
import { noGrad } from '../tensor/context.ts'
import { toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { toFloats } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { patchesOf, prefixLength } from '../token/prefix.ts'
import { expectFiniteRows, type FrozenEncoder, tokensOf } from '../weights/frozen-encoder.ts'
import { type Attention, attentionOf, type HeadMap, headMaps } from './attention.ts'
import { componentColours, principalComponents } from './components.ts'
import { type NearPatch, nearestPlaces, similarities } from './nearest.ts'

export interface LookOptions {
  /** Whose attention is shown, from 0; default: the last, or attention pooling where there is no cls token. */
  readonly block?: number | undefined
  /** Of the first image, from 0; default: the most central. */
  readonly patch?: readonly [row: number, column: number] | undefined
  /** How many patches of each image are said to be the most similar. */
  readonly nearest?: number | undefined
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SeenImage {
  readonly file: string
  /** One for each head. */
  readonly attention: readonly HeadMap[]
  /** [N, 3], red, green, blue. */
  readonly colours: Uint8Array
  /** [N] Cosines with the chosen patch. */
  readonly similarity: Float64Array
  readonly nearest: readonly NearPatch[]
}

export interface Look {
  readonly grid: Grid
  readonly attention: Pick<Attention, 'of' | 'block'>
  /** How many tokens stand in front of the patches. */
  readonly prefix: number
  readonly explained: readonly number[]
  /** Index in the grid of the first image. */
  readonly chosen: number
  readonly images: readonly SeenImage[]
}

/** Throws `USAGE` for a block or a patch that there is not, `NON_FINITE` if an output is not finite. */
export async function lookAt(
  encoder: FrozenEncoder,
  exhibit: Exhibit,
  { block, patch, nearest = 5, onProgress, signal }: LookOptions = {},
): Promise<Look> {
  const attention = attentionOf(encoder, block)
  const { width, heads } = encoder.dimensions
  const tokens = tokensOf(encoder, { taps: attention.taps })
  const of = exhibit.shape[0]
  const seen: Seen[] = []
  for (const [row, index] of exhibit.indices.entries()) {
    await pause(signal, { done: row, of, continues: false })
    const made = noGrad(() =>
      scope((): Seen => {
        const encoded = tokens(pickSamples(exhibit, [row]))
        const shares = toFloats(toDtype(attention.read(encoded), 'float32'))
        const features = toFloats(patchesOf(encoded))
        const { grid, prefix } = encoded
        return { grid, features, heads: headMaps(shares, heads, prefix), prefix: prefixLength(prefix) }
      }),
    )
    expectFiniteRows(made.features, [index], 'patches')
    seen.push(made)
    onProgress?.(row + 1, of)
  }
  await pause(signal, { done: of, of, continues: false })
  const { grid, prefix } = seen[0]!
  const N = grid.h * grid.w
  const features = new Float32Array(of * N * width)
  for (const [i, each] of seen.entries()) features.set(each.features, i * N * width)
  const components = principalComponents(features, width)
  const colours = componentColours(components)
  const chosen = placeOf(patch, grid)
  const similarity = similarities(features, width, chosen)
  return {
    ...{ grid, attention, prefix, explained: components.explained, chosen },
    images: seen.map(({ heads }, i) => {
      const own = similarity.slice(i * N, (i + 1) * N)
      return {
        ...{ file: exhibit.names[i]!, attention: heads, similarity: own },
        colours: colours.slice(3 * i * N, 3 * (i + 1) * N),
        nearest: nearestPlaces(own, nearest, i === 0 ? chosen : null),
      }
    }),
  }
}

interface Seen {
  readonly grid: Grid
  /** [N, D] */
  readonly features: Float32Array
  readonly heads: readonly HeadMap[]
  /** P */
  readonly prefix: number
}

function placeOf(patch: LookOptions['patch'], { h, w }: Grid): number {
  const [row, column] = patch ?? [Math.floor(h / 2), Math.floor(w / 2)]
  if (row >= h || column >= w)
    throw new SherdError(
      'USAGE',
      `--patch ${row},${column}: the grid has ${h} rows and ${w} columns, counted from 0.`,
    )
  return row * w + column
}
