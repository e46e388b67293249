/** The picture to keep: original, masked, rebuilt and errors side by side, each with its words below. All of the run that is shown, not of one still at work. */
import { heat } from './colours.ts'
import { drawPixels, fillPatches, fromBytes, fromValues, type Inks, surfaceOf } from './surface.ts'
import type { View } from './view.ts'
import { decibels, fixed, largest, share, statisticsWords } from './words.ts'

// On paper, whatever the theme of the page.
const inks: Inks = {
  ...{ sheet: '#ffffff', ink: '#2a221c', soft: '#66594c', hidden: '#d1d1d1' },
  ...{ mesh: '#0000', clay: '#9c4124', near: '#00703c' },
}
const GAP = 24

/** Null when there is nothing to keep yet. */
export async function pictureFile({ facts, picture, made, rebuilt }: View): Promise<Blob | null> {
  if (!facts || !picture || !made || !rebuilt) return null
  const { size, grid } = facts
  const { hidden } = made
  const hiddenShare = hidden.filter((flag) => flag === 1).length / hidden.length
  const photo = fromBytes(picture.bytes, facts)
  const make = (line: string, draw: (surface: ReturnType<typeof surfaceOf>) => void) => {
    const canvas = document.createElement('canvas')
    draw(surfaceOf(canvas, { size, inks, line }))
    return canvas
  }
  const most = largest(rebuilt.levels)?.value ?? 0
  const parts = [
    make('original', (surface) => drawPixels(surface, photo)),
    make(`masked: ${share(hiddenShare)} hidden`, (surface) => {
      drawPixels(surface, photo)
      fillPatches(surface, grid, (patch) => (hidden[patch] === 1 ? inks.hidden : null))
    }),
    make(statisticsWords[rebuilt.statistics], (surface) =>
      drawPixels(surface, fromValues(rebuilt.image, facts)),
    ),
    make(
      `error: 0 to ${fixed(most, 1)} levels; PSNR ${decibels(rebuilt.psnr)}, SSIM ${fixed(rebuilt.ssim, 3)}`,
      (surface) =>
        fillPatches(surface, grid, (patch) => {
          const level = rebuilt.levels[patch]!
          return Number.isNaN(level) ? inks.hidden : `rgb(${heat(level / most, false).join(' ')})`
        }),
    ),
  ]
  const whole = document.createElement('canvas')
  whole.width = parts.reduce((sum, part) => sum + part.width, GAP * (parts.length + 1))
  whole.height = parts[0]!.height + 2 * GAP
  const context = whole.getContext('2d')!
  context.fillStyle = inks.sheet
  context.fillRect(0, 0, whole.width, whole.height)
  let x = GAP
  for (const part of parts) {
    context.drawImage(part, x, GAP)
    x += part.width + GAP
  }
  return new Promise((resolve) => whole.toBlob(resolve, 'image/png'))
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
