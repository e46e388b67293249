/** How the images that an encoder is to be used on differ from those that it learns from. */
import type { Survey } from './survey.ts'

export interface Difference {
  readonly what: 'size' | 'colour' | 'brightness' | 'contrast' | 'bands'
  readonly text: string
}

/** Ratio of the median shorter sides from which sizes differ. */
const OTHER_SIZE = 1.5
/** Of the share of grey images. */
const OTHER_COLOUR = 0.2
/** Of the mean luma, 0 to 1: an eighth of the range. */
const OTHER_BRIGHTNESS = 0.125
/** Ratio of the mean deviations of luma within an image. */
const OTHER_CONTRAST = 1.5

const percent = (share: number) => `${Math.round(100 * share)} %`

type Compared = Pick<Survey, 'shortSide' | 'grey' | 'looked' | 'brightness' | 'contrast'>

export function differences(data: Compared, like: Compared): Difference[] {
  const found: Difference[] = []
  const [own, other] = [data.shortSide.median, like.shortSide.median]
  if (Math.max(own / other, other / own) >= OTHER_SIZE)
    found.push({
      what: 'size',
      text: `the shorter side is typically ${own} pixels in the images to learn from and ${other} in those to use it on: things have other sizes in them`,
    })
  const [grey, otherGrey] = [data.grey / data.looked, like.grey / like.looked]
  if (Math.abs(grey - otherGrey) >= OTHER_COLOUR)
    found.push({
      what: 'colour',
      text: `${percent(grey)} of the images to learn from are grey, of those to use it on ${percent(otherGrey)}`,
    })
  if (Math.abs(data.brightness - like.brightness) >= OTHER_BRIGHTNESS)
    found.push({
      what: 'brightness',
      text: `the mean brightness is ${percent(data.brightness)} in the images to learn from and ${percent(like.brightness)} in those to use it on`,
    })
  const ratio = data.contrast / Math.max(like.contrast, 1e-6)
  if (Math.max(ratio, 1 / Math.max(ratio, 1e-6)) >= OTHER_CONTRAST)
    found.push({
      what: 'contrast',
      text: `the contrast within an image is ${percent(data.contrast)} in the images to learn from and ${percent(like.contrast)} in those to use it on`,
    })
  return found
}
