/** The operators that a view is made of, by name; what is drawn for a sample, or stands in a reference file, is a list of such steps. */
import { SherdError } from '../../errors.ts'
import { resizeBicubic } from '../decode/resize.ts'
import { storeSample } from '../decode/sample-layout.ts'
import { brightness, contrast, saturation } from './blend.ts'
import { blurPillow } from './box-blur.ts'
import type { Change, Raster } from './change.ts'
import { blurTorchvision } from './gaussian-blur.ts'
import { greyscale } from './greyscale.ts'
import { hue } from './hue.ts'
import type { OperatorName, Step, StepOf } from './step.ts'
import { solarise } from './value-tables.ts'

const mirror: Change = ({ pixels, width }) => {
  const out = new Uint8Array(pixels.length)
  storeSample(pixels, out, { width, channels: 3, flip: true })
  return out
}

function resizedCrop({ box, size }: StepOf<'resizedCrop'>, image: Raster): Raster {
  const [top, left, height, width] = box
  if (top + height > image.height || left + width > image.width)
    throw new SherdError(
      'VALUE',
      `resizedCrop: expected a box within ${image.height} × ${image.width} (height × width), got rows ${top} to ${top + height}, columns ${left} to ${left + width}`,
    )
  const target = { height: size[0], width: size[1] }
  return { ...target, pixels: resizeBicubic(image, { top, left, height, width }, target) }
}

const changes: {
  [Name in Exclude<OperatorName, 'resizedCrop'>]: (step: StepOf<Name>) => Change
} = {
  brightness: ({ factor }) => brightness(factor),
  contrast: ({ factor }) => contrast(factor),
  saturation: ({ factor }) => saturation(factor),
  hue: ({ factor }) => hue(factor),
  greyscale: () => greyscale,
  solarise: ({ threshold }) => solarise(threshold),
  blurPillow: ({ radius }) => blurPillow(radius),
  blurTorchvision: ({ kernelSize, sigma }) => blurTorchvision(kernelSize, sigma),
  flip: () => mirror,
}

function applyStep(image: Raster, step: Step): Raster {
  if (step.operator === 'resizedCrop') return resizedCrop(step, image)
  const changeOf = changes[step.operator] as (step: Step) => Change // the row of its own name
  return { ...image, pixels: changeOf(step)(image) }
}

/** The steps in their order. The given pixels stay as they are. */
export const applySteps = (image: Raster, all: readonly Step[]): Raster => all.reduce(applyStep, image)
