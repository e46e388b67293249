/**
 * The scale of heat maps. Its lightness goes one way only, so that it also reads without colour: on paper from pale clay to fired
 * black, on dark ground from embers to glow. What is high stands out on both.
 */

type Rgb = readonly [number, number, number]

const onPaper: readonly Rgb[] = [
  [247, 236, 215],
  [236, 196, 138],
  [214, 137, 76],
  [168, 72, 41],
  [107, 32, 28],
  [43, 13, 17],
]

const onDark: readonly Rgb[] = [
  [38, 27, 24],
  [92, 38, 28],
  [152, 62, 37],
  [209, 118, 66],
  [236, 186, 126],
  [255, 243, 222],
]

const stopsOf = (isDark: boolean) => (isDark ? onDark : onPaper)

/** The colour of a share in [0, 1]; shares outside count as the nearest end. */
export function heat(share: number, isDark: boolean): Rgb {
  const stops = stopsOf(isDark)
  const at = Math.min(1, Math.max(0, share)) * (stops.length - 1)
  const below = Math.min(stops.length - 2, Math.floor(at))
  const [a, b] = [stops[below]!, stops[below + 1]!]
  const mix = (c: 0 | 1 | 2) => Math.round(a[c] + (b[c] - a[c]) * (at - below))
  return [mix(0), mix(1), mix(2)]
}

/** The scale as a gradient of CSS, from low to high. */
export const heatGradient = (isDark: boolean): string =>
  `linear-gradient(to right, ${stopsOf(isDark)
    .map((rgb) => `rgb(${rgb.join(' ')})`)
    .join(', ')})`
