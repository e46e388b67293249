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
  const ratio = (a: number, b: number) => Math.max(a, b) / Math.max(Math.min(a, b), 1e-6)
  const greyOf = ({ grey, looked }: Compared) => grey / looked
  const both = (of: (images: Compared) => number) => [of(data), of(like)] as const
  const sides = both(({ shortSide }) => shortSide.median)
  const greys = both(greyOf)
  const brightnesses = both(({ brightness }) => brightness)
  const contrasts = both(({ contrast }) => contrast)
  const inBoth = ([own, other]: readonly [number, number]) =>
    `is ${percent(own)} in the images to learn from and ${percent(other)} in those to use it on`
  const rows: [Difference['what'], boolean, string][] = [
    [
      'size',
      ratio(...sides) >= OTHER_SIZE,
      `the shorter side is typically ${sides[0]} pixels in the images to learn from and ${sides[1]} in those to use it on: things have other sizes in them`,
    ],
    [
      'colour',
      Math.abs(greys[0] - greys[1]) >= OTHER_COLOUR,
      `${percent(greys[0])} of the images to learn from are grey, of those to use it on ${percent(greys[1])}`,
    ],
    [
      'brightness',
      Math.abs(brightnesses[0] - brightnesses[1]) >= OTHER_BRIGHTNESS,
      `the mean brightness ${inBoth(brightnesses)}`,
    ],
    ['contrast', ratio(...contrasts) >= OTHER_CONTRAST, `the contrast within an image ${inBoth(contrasts)}`],
  ]
  return rows.filter(([, differs]) => differs).map(([what, , text]) => ({ what, text }))
}
