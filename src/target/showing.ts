/** What pictures show of objectives and their targets. A new kind is a row here and in `src/picture/shown-tiles.ts`. */
import type { Tensor } from '../tensor/tensor.ts'
import type { BandStatistics } from './band-pixels.ts'

/** How a target is drawn beside the image. `errors`: it has no picture of its own. */
export type Showing =
  /** `statistics`: of the normalisation; null: none. */
  | { readonly kind: 'pixels'; readonly statistics: BandStatistics | null }
  | { readonly kind: 'features' }
  /** Histograms of gradients; `cells`: rows and columns of them in a patch. */
  | { readonly kind: 'gradients'; readonly bins: number; readonly cells: readonly [number, number] }
  | { readonly kind: 'codes'; readonly codes: number }
  | { readonly kind: 'errors' }

type Drawn<K extends Showing['kind'], V> = Extract<Showing, { readonly kind: K }> & Readonly<V>

/** Values for pictures, at every place: [B, places, …], dates after each other. */
export type Shown =
  /** [B, places, P·P·C], bands in their order. */
  | Drawn<'pixels', { said: Tensor }>
  | Drawn<'features', { wanted: Tensor; said: Tensor }>
  /** [B, places, channels · bins · cells], as `gradientHistograms` gives them. */
  | Drawn<'gradients', { wanted: Tensor; said: Tensor }>
  /** int64 [B, places, one of each head]; `said` null: nothing predicts codes, as in a tokenizer. */
  | Drawn<'codes', { wanted: Tensor; said: Tensor | null }>
  /** [B, N], of tokens. */
  | Drawn<'errors', { errors: Tensor }>

export type ShownOf<K extends Showing['kind']> = Extract<Shown, { readonly kind: K }>

/** What an objective made of a batch, for pictures: in the order of the columns. */
export interface Exposure {
  /** [B, N] 1 for tokens that the encoder did not see; null: it saw all. */
  readonly hidden: Tensor | null
  /** [B, N] 1 for tokens that something is said of; null: of all. */
  readonly predicted: Tensor | null
  readonly shown: readonly Shown[]
}
