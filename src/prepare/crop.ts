/**
 * Crops of images. `random` is torchvision's RandomResizedCrop, including the rounding of `get_params`, as in the reference
 * recipes; `center` is for evaluation and pictures. A crop is a pure function of the image's size and the draws of its address.
 */

import type { Draws } from '../random/draws.ts'
import type { Box, Size } from '../source/box.ts'

export interface CropSettings {
  /** Output size. */
  readonly target: Size
  /** The least and largest share of the image's area. Only `random` reads it. */
  readonly scale: readonly [number, number]
  /** The least and largest width / height of the box. Only `random` reads it. */
  readonly ratio: readonly [number, number]
}

export type Crop = (image: Size, settings: CropSettings, draws: Draws) => Box

const ATTEMPTS = 10

/** Python's `round`: halves go to the even neighbour. */
export function roundHalfEven(x: number): number {
  const nearest = Math.round(x)
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest
}

function centered(image: Size, { width, height }: Size): Box {
  return {
    left: Math.floor((image.width - width) / 2),
    top: Math.floor((image.height - height) / 2),
    width,
    height,
  }
}

/** Random area and aspect ratio; after ten attempts that do not fit, the centre at the nearest ratio. */
function randomCrop(image: Size, { scale, ratio }: CropSettings, draws: Draws): Box {
  const between = (low: number, high: number) => low + (high - low) * draws.uniform()
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = image.width * image.height * between(scale[0], scale[1])
    const aspect = Math.exp(between(Math.log(ratio[0]), Math.log(ratio[1])))
    const width = roundHalfEven(Math.sqrt(area * aspect))
    const height = roundHalfEven(Math.sqrt(area / aspect))
    if (width < 1 || width > image.width || height < 1 || height > image.height) continue
    const top = draws.below(image.height - height + 1)
    const left = draws.below(image.width - width + 1)
    return { left, top, width, height }
  }
  const aspect = image.width / image.height
  if (aspect < ratio[0])
    return centered(image, { width: image.width, height: roundHalfEven(image.width / ratio[0]) })
  if (aspect > ratio[1])
    return centered(image, { width: roundHalfEven(image.height * ratio[1]), height: image.height })
  return centered(image, image)
}

/** The largest centred box with the target's aspect ratio. */
export function centerCrop(image: Size, target: Size): Box {
  const isWider = image.width * target.height > image.height * target.width
  if (!isWider) {
    const height = Math.round((image.width * target.height) / target.width)
    return centered(image, { width: image.width, height: Math.max(1, height) })
  }
  const width = Math.round((image.height * target.width) / target.height)
  return centered(image, { width: Math.max(1, width), height: image.height })
}

/** The table of crops. `none` takes the whole image, which resizing then stretches. */
export const crops = {
  random: randomCrop,
  center: (image, { target }) => centerCrop(image, target),
  none: (image) => centered(image, image),
} satisfies Record<string, Crop>

export type CropKind = keyof typeof crops
