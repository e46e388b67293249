/** What the page and its worker say to each other. Every request has a number, and exactly one answer with it. */
import type { ErrorCode } from '../../src/errors.ts'
import type { ImageColours } from '../../src/look/compare.ts'
import type { Size } from '../../src/source/box.ts'
import type { LoadProgress } from './fetch-model.ts'
import type { GraphKind, ModelFacts } from './model-facts.ts'
import type { ModelSource } from './model-sources.ts'
import type { Preparing } from './prepare-pixels.ts'

/** Each with what it asks and what it gives. */
export interface Requests {
  /** Loads models in the place of those that are there. */
  open: { ask: { sources?: readonly ModelSource[]; files?: readonly File[] }; give: Opened }
  /** Decodes an image and brings it to the model's size. */
  prepare: {
    ask: { image: Blob; name: string; target: Size; channels: number; preparing: Preparing }
    give: Prepared
  }
  /** The `index`-th generated image of a class of `sherd sample-data`, as RGB bytes [side, side, 3]. */
  sample: { ask: { scene: string; side: number; index: number }; give: Uint8Array }
  rebuild: { ask: { bytes: Uint8Array; kept: readonly number[]; hidden: readonly number[] }; give: Predicted }
  /** The encoder's patches, and its attention where that is asked for and there is any. */
  see: { ask: { bytes: Uint8Array; attention: boolean }; give: Encoded }
  /** Of the patches of pictures, all of one encoder. */
  colour: { ask: { features: readonly Float32Array[]; width: number }; give: ImageColours }
}

export type Kind = keyof Requests

export interface Opened {
  readonly models: Partial<Record<GraphKind, OpenedModel>>
  /** Files that were left, with reasons. */
  readonly refused: readonly string[]
  readonly threads: number
}

export interface OpenedModel {
  readonly file: string
  readonly bytes: number
  readonly facts: ModelFacts
}

export interface Prepared {
  /** [H, W, C] */
  readonly bytes: Uint8Array
  /** Of the image as it was. */
  readonly original: Size
}

export interface Predicted {
  /** [N, P·P·C] in the target's space. */
  readonly prediction: Float32Array
  /** Of the run alone. */
  readonly milliseconds: number
}

export interface Encoded {
  /** [N, D] */
  readonly features: Float32Array
  readonly width: number
  readonly attention: Attention | null
}

/** Rows of attention over all tokens, the patches last. */
export interface Attention {
  /** [L, A, P + N] of blocks and heads. */
  readonly values: Float32Array
  readonly blocks: number
  readonly heads: number
  /** [A, P + N] of attention pooling, where there is any. */
  readonly pooling: Float32Array | null
}

export interface Asked<K extends Kind = Kind> {
  readonly id: number
  readonly kind: K
  readonly ask: Requests[K]['ask']
}

export type Answered =
  | { readonly id: number; readonly give: unknown }
  | { readonly id: number; readonly error: { readonly code: ErrorCode; readonly message: string } }
  | { readonly id: number; readonly progress: LoadProgress }
