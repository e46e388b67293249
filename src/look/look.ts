/** What an encoder sees in a few images: the attention of its heads, the components of its patch features, patches that are alike. */
import { pause } from '../errors.ts'
import { pickSamples } from '../prepare/pixels.ts'
import type { Exhibit } from '../run/pictures.ts'
import { noGrad } from '../tensor/context.ts'
import { toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { toFloats } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { patchesOf, prefixLength } from '../token/prefix.ts'
import { expectFiniteRows, type FrozenEncoder, tokensOf } from '../weights/frozen-encoder.ts'
import { type Attention, attentionOf } from './attention.ts'
import { coloursOf, type ImageLikeness, likeness, type PatchAt, placeOf } from './compare.ts'
import { type HeadMap, headMaps } from './head-maps.ts'

export interface LookOptions {
  /** Whose attention is shown, from 0; default: the last, or attention pooling where there is no cls token. */
  readonly block?: number | undefined
  /** Of the first image, from 0; default: the most central. */
  readonly patch?: PatchAt | undefined
  /** How many patches of each image are said to be the most similar. */
  readonly nearest?: number | undefined
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SeenImage extends ImageLikeness {
  readonly file: string
  /** One for each head. */
  readonly attention: readonly HeadMap[]
  /** [N, 3], red, green, blue. */
  readonly colours: Uint8Array
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
  let features = new Float32Array(0) // [of · N, D]
  for (const [row, index] of exhibit.indices.entries()) {
    await pause(signal, { done: row, of, continues: false })
    const made = noGrad(() =>
      scope(() => {
        const encoded = tokens(pickSamples(exhibit, [row]))
        const shares = toFloats(toDtype(attention.read(encoded), 'float32'))
        const { grid } = encoded
        const prefix = prefixLength(encoded.prefix)
        return { own: toFloats(patchesOf(encoded)), grid, heads: headMaps(shares, heads, prefix), prefix }
      }),
    )
    const { own, ...rest } = made
    expectFiniteRows(own, [index], 'patches')
    if (row === 0) features = new Float32Array(of * own.length)
    features.set(own, row * own.length)
    seen.push(rest)
    onProgress?.(row + 1, of)
  }
  await pause(signal, { done: of, of, continues: false })
  const { grid, prefix } = seen[0]!
  const each = features.length / of
  const chosen = placeOf(patch, grid)
  const vector = features.slice(chosen * width, (chosen + 1) * width)
  const { colours, explained } = coloursOf(features, width, new Array(of).fill(each / width))
  return {
    ...{ grid, attention, prefix, explained, chosen },
    images: seen.map(({ heads }, i) => {
      const own = features.subarray(i * each, (i + 1) * each)
      const like = likeness(own, vector, { nearest, own: i === 0 ? chosen : null })
      return { file: exhibit.names[i]!, attention: heads, colours: colours[i]!, ...like }
    }),
  }
}

interface Seen {
  readonly grid: Grid
  readonly heads: readonly HeadMap[]
  /** P */
  readonly prefix: number
}
