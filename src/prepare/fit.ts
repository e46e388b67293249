/**
 * How a whole image becomes a sample outside training: sherd's own centred box, or as the libraries of published encoders do it, including
 * how each rounds.
 */
import type { Box, Size } from '../source/box.ts'
import { centerCrop, roundHalfEven } from './crop.ts'
import type { Placement } from './decode/placement.ts'
import { refuse } from './decode/refused-file.ts'
import { mostPixels, type PatchBudget, sizeWithin } from './patch-budget.ts'

/** Python's `int(short · long / short)`, as transformers and torchvision have it. */
const alongShorter = ({ width, height }: Size, side: number): Size =>
  width <= height
    ? { width: side, height: Math.trunc((side * height) / width) }
    : { width: Math.trunc((side * width) / height), height: side }

/** The size with the image's aspect ratio that covers `scaled` or is covered by it, rounded as timm and OpenCLIP do. */
function inRatio(image: Size, scaled: Size, choose: (...ratios: number[]) => number): Size {
  const ratio = choose(image.height / scaled.height, image.width / scaled.width)
  const side = (pixels: number) => Math.max(1, roundHalfEven(pixels / ratio))
  return { width: side(image.width), height: side(image.height) }
}

/** The size that the whole image is resized to. `scaled`: the model's size divided by the crop share. */
const sizes = {
  shortest: (image, scaled) =>
    scaled.width === scaled.height ? alongShorter(image, scaled.width) : inRatio(image, scaled, Math.min),
  longest: (image, scaled) => inRatio(image, scaled, Math.max),
  squash: (_, scaled) => scaled,
  patches: (_, scaled) => scaled, // of a size that has the image's shape, except where all have one size
} satisfies Record<string, (image: Size, scaled: Size) => Size>

export const resizeModes = ['box', ...(Object.keys(sizes) as (keyof typeof sizes)[])] as const
export type ResizeMode = (typeof resizeModes)[number]

/** Where a centred cut begins that has half a pixel too much. */
const cutRules = {
  before: Math.floor,
  even: roundHalfEven,
} satisfies Record<string, (at: number) => number>

export const cutRuleNames = Object.keys(cutRules) as [CutRule, ...CutRule[]]
export type CutRule = keyof typeof cutRules

/** Keys of `data` that say how a whole image becomes a sample. */
export interface Fitting {
  readonly resize: ResizeMode
  /** The share of the resized image's side that is cut out. */
  readonly cropShare: number
  readonly cutRule: CutRule
  /** What the image is brought to where that is no multiple of the patch; the sample is its upper left part. Null: the sample's size. */
  readonly inputSize?: readonly [height: number, width: number] | null
  /** Resized values are not rounded to bytes: samples are float32, 0 to 255. */
  readonly isExact: boolean
  /** Each image has a size of its own within it; null, the default: all have that of the model. */
  readonly budget?: PatchBudget | null | undefined
}

/** The size of an image's sample, where `target` is that of the model. Throws `DECODE` for one that is too long for its budget. */
export function sizeOfSample(image: Size, target: Size, fitting?: Fitting | null): Size {
  const { budget } = fitting ?? {}
  if (!budget) return target
  const size = sizeWithin(image, budget)
  if (size.width * size.height <= mostPixels(budget)) return size
  return refuse(
    `an image of ${image.width} x ${image.height} pixels cannot become ${budget.most} patches (data.maxPatches)`,
  )
}

/** As timm rounds it. */
export const scaledSide = (side: number, cropShare: number): number => Math.floor(side / cropShare)

/** The place of a sample of the size `target`. No `fitting`: the centred box. */
export function fitted(image: Size, target: Size, fitting?: Fitting | null): Pick<Placement, 'box' | 'cut'> {
  if (!fitting || fitting.resize === 'box') return { box: centerCrop(image, target) }
  const { resize, cropShare, cutRule, inputSize } = fitting
  const [height, width] = inputSize ?? [target.height, target.width]
  const side = (pixels: number) => scaledSide(pixels, cropShare)
  const size = sizes[resize](image, { width: side(width), height: side(height) })
  const begin = (left: number) => (left < 0 ? -Math.floor(-left / 2) : cutRules[cutRule](left / 2))
  const box: Box = { left: 0, top: 0, width: image.width, height: image.height }
  const cut = { size, left: begin(size.width - width), top: begin(size.height - height) }
  return { box, cut }
}
