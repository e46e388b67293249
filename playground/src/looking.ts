/** What the encoder sees: it runs once for each picture; patches are compared on the page, from the features that it gave. */
import { likeness, placeOf } from '../../src/look/compare.ts'
import type { Engine } from './engine.ts'
import { latest } from './latest.ts'
import type { Encoded } from './protocol.ts'
import type { Likeness, Other, Picture, View } from './view.ts'

/** How many patches of each picture are framed. */
const NEAREST = 5

/** Of a patch: where there is one the pointer's, else the chosen one, else the most central. */
export function likeOf(
  { facts, encoded, other, chosen }: View,
  pointed: number | null = null,
): Likeness | null {
  if (!facts || !encoded) return null
  const { width, features } = encoded
  const patch = pointed ?? chosen ?? placeOf(undefined, facts.grid)
  const vector = features.slice(patch * width, (patch + 1) * width)
  const to = (each: Float32Array, own: number | null) => likeness(each, vector, { nearest: NEAREST, own })
  return { patch, own: to(features, patch), other: other && to(other.features, null) }
}

export interface Looking {
  /** Another picture, or one for comparison. */
  readonly see: (picture: Picture, as: 'picture' | 'other') => void
}

export interface LookingOptions {
  readonly engine: Engine
  readonly view: () => View
  readonly seen: (encoded: Encoded) => void
  readonly compared: (other: Other) => void
  readonly coloured: (colours: View['colours']) => void
  readonly complain: (error: unknown) => void
}

export function startLooking({ engine, view, seen, compared, coloured, complain }: LookingOptions): Looking {
  const safely = (work: () => Promise<void>) => work().catch(complain)
  const colour = latest<null>(() =>
    safely(async () => {
      const { encoded, other } = view()
      if (!encoded) return
      const features = [encoded.features, ...(other ? [other.features] : [])]
      const colours = await engine.ask('colour', { features, width: encoded.width })
      const now = view()
      if (now.encoded === encoded && now.other === other) coloured(colours)
    }),
  )
  const seePicture = latest<Picture>((picture) =>
    safely(async () => {
      const encoded = await engine.ask('see', { bytes: picture.bytes, attention: true })
      if (view().picture !== picture) return
      seen(encoded)
      colour(null)
    }),
  )
  const seeOther = latest<{ readonly picture: Picture; readonly of: View['opened'] }>(({ picture, of }) =>
    safely(async () => {
      const { features } = await engine.ask('see', { bytes: picture.bytes, attention: false })
      if (view().opened !== of) return
      compared({ picture, features })
      colour(null)
    }),
  )
  return {
    see(picture, as) {
      if (as === 'picture') seePicture(picture)
      else seeOther({ picture, of: view().opened })
    },
  }
}
