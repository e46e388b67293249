/**
 * Pixels that become RGB after they are resized, not before: colours count by their alpha, and inks are resized as inks. So OpenCLIP and CLIP
 * of OpenAI do it, which resize an image as Pillow opens it. In Pillow's whole-number arithmetic.
 */
import type { Size } from '../../source/box.ts'
import type { Placement } from './placement.ts'
import { rgbOfInks } from './raw-pixels.ts'
import { resample, type SampleSpace } from './resample-pixels.ts'
import { storeSample } from './sample-layout.ts'

export interface StoredPixels extends Size {
  /** [height, width, channels]: grey or RGB and alpha, or four inks. */
  readonly values: Uint8Array
  readonly channels: number
  readonly isInks: boolean
}

/** a · b / 255, rounded. */
function share(a: number, b: number): number {
  const product = a * b + 128
  return (product + (product >> 8)) >> 8
}

/** As `resample`, with values that are rounded to bytes. */
export function resampleStored(
  { values, channels, isInks, width, height }: StoredPixels,
  placement: Placement,
  { target, channels: wanted, out, rules = {} }: SampleSpace,
): void {
  const { box, cut } = placement
  const { size } = cut ?? { size: target }
  const isResized = size.width !== box.width || size.height !== box.height // else Pillow copies
  const count = width * height
  const colours = new Uint8Array(3 * count)
  /** Alpha, or black ink, three times. */
  const last = new Uint8Array(3 * count)
  for (let i = 0; i < count; i++) {
    const own = values[i * channels + (isInks ? 3 : channels - 1)]!
    last.fill(own, 3 * i, 3 * i + 3)
    for (let c = 0; c < 3; c++) {
      const value = values[i * channels + (channels < 3 ? 0 : c)]!
      colours[3 * i + c] = !isInks && isResized ? share(value, own) : value
    }
  }
  const resized = (pixels: Uint8Array, fill = rules.fill ?? null) => {
    const made = new Uint8Array(3 * target.width * target.height)
    const space = { target, channels: 3, out: made, rules: { ...rules, fill, isExact: false } }
    resample({ pixels, width, height }, placement, space)
    return made
  }
  const first = resized(colours)
  const second = resized(last, isInks ? undefined : [255, 255, 255]) // what surrounds an image has its own colour
  const rgb = isInks ? rgbOfInks(joined(first, second), 4) : first
  if (!isInks && isResized)
    for (const [i, alpha] of second.entries())
      if (alpha > 0) rgb[i] = Math.min(255, Math.trunc((255 * rgb[i]!) / alpha))
  storeSample(rgb, out, { width: target.width, channels: wanted, flip: false }) // mirrored already
}

const joined = (colours: Uint8Array, last: Uint8Array): Uint8Array =>
  Uint8Array.from({ length: (colours.length / 3) * 4 }, (_, i) =>
    i % 4 === 3 ? last[3 * ((i - 3) / 4)]! : colours[3 * ((i - (i % 4)) / 4) + (i % 4)]!,
  )
