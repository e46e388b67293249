/** Decoded pixels → a sample: by the addon in one pass, or by resize.ts and sample-layout.ts, with the same bytes. */
import { pixelsAddon } from '../../native/pixels-addon.ts'
import type { Size } from '../../source/box.ts'
import type { Placement } from './placement.ts'
import { interpolations, type PixelRules, type RgbImage, resizePixels } from './resize.ts'
import { storeSample } from './sample-layout.ts'

export interface SampleSpace {
  readonly target: Size
  /** 3: as they are. 1: luma. */
  readonly channels: number
  /** [target.height, target.width, channels], or the bytes of as many float32 where `rules` want them exact. */
  readonly out: Uint8Array
  readonly rules?: PixelRules | undefined
}

/** The bytes of a sample. */
export const sampleBytes = ({ target, channels, rules }: Omit<SampleSpace, 'out'>): number =>
  target.width * target.height * channels * (rules?.isExact ? 4 : 1)

/** As the addon takes a placement and the rules (`kPlaceNumbers` of native/pixels/pixels.cc). */
export function placeNumbers(
  { box, flip, cut }: Placement,
  { target, rules = {} }: Pick<SampleSpace, 'target' | 'rules'>,
): number[] {
  const { size, left, top } = cut ?? { size: target, left: 0, top: 0 }
  const { interpolation = 'bicubic', isExact = false, fill } = rules
  const [red = 0, green = red, blue = red] = fill ?? []
  return [
    ...[box.left, box.top, box.width, box.height, flip ? 1 : 0],
    ...[size.width, size.height, left, top],
    ...[interpolations.indexOf(interpolation), isExact ? 1 : 0, red, green, blue],
  ]
}

/** The box of an image, resized, mirrored, and as luma where one channel is wanted. */
export function resample(image: RgbImage, placement: Placement, space: SampleSpace): void {
  const addon = pixelsAddon()
  const { target, channels, out, rules } = space
  const { pixels, width, height } = image
  if (addon) {
    const place = Float64Array.from(placeNumbers(placement, space))
    addon.resize(pixels, width, height, 3, place, target.width, target.height, channels, out)
    return
  }
  const layout = { width: target.width, channels, flip: placement.flip }
  const resized = resizePixels(image, placement, target, rules)
  if (resized instanceof Uint8Array) storeSample(resized, out, layout)
  else {
    const exact = new Float32Array(target.width * target.height * channels) // `out` may begin anywhere
    storeSample(resized, exact, layout)
    out.set(new Uint8Array(exact.buffer))
  }
}
