/** What the page shows, as one value: everything that is drawn is drawn from it. */
import type { MaskOrder } from '../../src/token/mask-order.ts'
import type { Attention } from './attention.ts'
import type { ModelFacts } from './model-facts.ts'
import type { Opened } from './protocol.ts'
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
  readonly attention: Attention | null
}
