/** What the page shows, as one value: everything that is drawn is drawn from it. */

import type { ImageColours, ImageLikeness } from '../../src/look/compare.ts'
import type { MaskOrder } from '../../src/token/mask-order.ts'
import type { ModelFacts } from './model-facts.ts'
import type { Encoded, Opened } from './protocol.ts'
import type { Rebuilt } from './rebuild.ts'
import type { Settings } from './settings.ts'

export interface Picture {
  readonly name: string
  /** At the model's size, [H, W, C]. */
  readonly bytes: Uint8Array
  /** What of the image that is. */
  readonly about: string
}

/** A prediction, with what it is of. */
export interface Made {
  readonly bytes: Uint8Array
  readonly prediction: Float32Array
  /** [N] */
  readonly hidden: Uint8Array
  readonly milliseconds: number
}

/** The picture whose patches are compared with the chosen one. */
export interface Other {
  readonly picture: Picture
  /** [N, D] */
  readonly features: Float32Array
}

/** What is like a patch. */
export interface Likeness {
  readonly patch: number
  readonly own: ImageLikeness
  readonly other: ImageLikeness | null
}

export interface View {
  readonly opened: Opened | null
  /** Of whichever model is open; both are of the same. */
  readonly facts: ModelFacts | null
  readonly picture: Picture | null
  readonly settings: Settings
  readonly mask: MaskOrder | null
  /** [N] */
  readonly hidden: Uint8Array | null
  readonly made: Made | null
  readonly rebuilt: Rebuilt | null
  readonly encoded: Encoded | null
  readonly other: Other | null
  /** Of the picture and, where there is one, the other. */
  readonly colours: ImageColours | null
  /** The patch that was chosen; null: the most central. */
  readonly chosen: number | null
  /** Of the chosen patch, or of that below the pointer. */
  readonly like: Likeness | null
}
