/** The five pictures, their captions, and what they say to those who do not see them. */
import { attentionMap } from './attention.ts'
import { heat, heatGradient } from './colours.ts'
import type { ModelFacts } from './model-facts.ts'
import { fillFacts, page } from './page.ts'
import {
  drawCursor,
  drawMesh,
  drawPixels,
  fillPatches,
  fromBytes,
  fromValues,
  type Inks,
  inksOf,
  type Pixels,
  surfaceOf,
} from './surface.ts'
import type { Picture, View } from './view.ts'
import { decibels, fixed, largest, placeOf, share, statisticsWords } from './words.ts'

const css = ([r, g, b]: readonly number[], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`

function describe(canvas: HTMLCanvasElement, text: string): void {
  canvas.setAttribute('aria-label', text)
}

const isDark = () => matchMedia('(prefers-color-scheme: dark)').matches

/** A sheet with a sentence on it, where there is nothing to show. */
function drawEmpty(canvas: HTMLCanvasElement, facts: ModelFacts | null, why: string): void {
  const inks = inksOf(document.documentElement)
  const { context, width, height } = surfaceOf(canvas, {
    size: facts?.size ?? { width: 64, height: 64 },
    inks,
  })
  context.fillStyle = inks.hidden
  context.fillRect(0, 0, width, height)
  describe(canvas, why)
}

interface Drawing {
  readonly view: View
  readonly facts: ModelFacts
  readonly picture: Picture
  readonly inks: Inks
  readonly photo: Pixels
}

const seenLine = ({ hidden, kept }: NonNullable<View['mask']>) => {
  const tokens = hidden.length + kept.length
  return `${kept.length} of ${tokens} patches seen, ${share(hidden.length / tokens)} hidden`
}

/** Fig. 1. */
export function drawMasked(
  canvas: HTMLCanvasElement,
  { view, facts, inks, photo }: Drawing,
  cursor: number | null,
): void {
  const { mask, hidden } = view
  if (!mask || !hidden) return
  const line = seenLine(mask)
  const surface = surfaceOf(canvas, { size: facts.size, inks, line })
  drawPixels(surface, photo)
  fillPatches(surface, facts.grid, (patch) => (hidden[patch] === 1 ? inks.hidden : null))
  drawMesh(surface, facts.grid)
  if (cursor !== null) drawCursor(surface, facts.grid, cursor)
  describe(canvas, `What the model sees: ${line}`)
}

/** Fig. 2: the original up to `share` of the width, then what was rebuilt. */
export function drawRebuilt(
  canvas: HTMLCanvasElement,
  { view, facts, inks, photo }: Drawing,
  left: number,
): void {
  const { rebuilt } = view
  if (!rebuilt) return
  const words = statisticsWords[rebuilt.statistics]
  const surface = surfaceOf(canvas, { size: facts.size, inks, line: words })
  drawPixels(surface, fromValues(rebuilt.image, facts))
  if (left > 0) {
    drawPixels(surface, photo, left)
    surface.context.fillStyle = inks.clay
    surface.context.fillRect(left * surface.width - 1.5, 0, 3, surface.height)
  }
  describe(
    canvas,
    `Reconstruction, ${words}. PSNR ${decibels(rebuilt.psnr)}, SSIM ${fixed(rebuilt.ssim, 3)} on hidden patches`,
  )
}

/** The errors that Fig. 4 shows, with their unit. */
export function shownErrors(view: View): { values: Float32Array; digits: number; unit: string } | null {
  if (!view.rebuilt) return null
  return page.errorKind.value === 'losses'
    ? { values: view.rebuilt.losses, digits: 3, unit: '' }
    : { values: view.rebuilt.levels, digits: 1, unit: ' levels' }
}

/** Fig. 4. */
export function drawErrors(canvas: HTMLCanvasElement, { view, facts, inks, photo }: Drawing): void {
  const errors = shownErrors(view)
  const most = errors && largest(errors.values)
  if (!errors || !most) return
  const { values, digits, unit } = errors
  const surface = surfaceOf(canvas, { size: facts.size, inks })
  surface.context.filter = 'grayscale(1)'
  drawPixels(surface, photo)
  surface.context.filter = 'none'
  // Visible patches have no error: they fade into the sheet.
  surface.context.globalAlpha = 0.72
  fillPatches(surface, facts.grid, (patch) => (Number.isNaN(values[patch]) ? inks.sheet : null))
  surface.context.globalAlpha = 1
  fillPatches(surface, facts.grid, (patch) =>
    Number.isNaN(values[patch]) ? null : css(heat(values[patch]! / most.value, isDark())),
  )
  const hidden = values.filter((value) => !Number.isNaN(value))
  const mean = hidden.reduce((sum, value) => sum + value, 0) / hidden.length
  const text = `Mean ${fixed(mean, digits)}${unit}; the largest, ${fixed(most.value, digits)}, is at ${placeOf(facts.grid, most.at)}.`
  page.errorHigh.textContent = fixed(most.value, digits)
  page.errorCaption.textContent = text
  describe(canvas, `Error of each hidden patch. ${text}`)
}

/** Fig. 5. */
export function drawAttention(canvas: HTMLCanvasElement, { view, facts, inks, photo }: Drawing): void {
  if (!view.attention) return
  const head = page.head.value === 'mean' ? null : Number(page.head.value)
  const patches = facts.grid.h * facts.grid.w
  const { shares, own } = attentionMap(view.attention, { block: Number(page.block.value), head, patches })
  const seen = shares.reduce((sum, each) => sum + each, 0)
  const most = largest(shares)!
  const least = Math.min(...shares)
  const surface = surfaceOf(canvas, { size: facts.size, inks })
  surface.context.filter = 'grayscale(1)'
  drawPixels(surface, photo)
  surface.context.filter = 'none'
  fillPatches(surface, facts.grid, (patch) =>
    css(heat((shares[patch]! - least) / (most.value - least || 1), isDark()), 0.78),
  )
  page.attentionLow.textContent = share(least)
  page.attentionHigh.textContent = share(most.value)
  const text = `${share(seen)} goes to patches, most to ${placeOf(facts.grid, most.at)}; ${share(own)} stays with the token itself.`
  page.attentionCaption.textContent = text
  describe(canvas, `Attention of the class token. ${text}`)
}

/** Fig. 4 as numbers. */
export function fillErrorTable(view: View): void {
  const errors = shownErrors(view)
  if (!errors || !view.facts || !page.errorNumbers.open) return
  const { h, w } = view.facts.grid
  const cell = (tag: 'td' | 'th', text: string) => {
    const element = document.createElement(tag)
    element.textContent = text
    return element
  }
  const row = (cells: readonly HTMLElement[]) => {
    const element = document.createElement('tr')
    element.append(...cells)
    return element
  }
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
  page.errorTable.replaceChildren(
    row([cell('th', ''), ...numbers(w).map((column) => cell('th', String(column + 1)))]),
    ...numbers(h).map((y) =>
      row([
        cell('th', String(y + 1)),
        ...numbers(w).map((x) => {
          const value = errors.values[y * w + x]!
          return cell('td', Number.isNaN(value) ? 'seen' : fixed(value, errors.digits))
        }),
      ]),
    ),
  )
}

/** Why a picture is missing; null when it need not be. */
function missing(view: View): { rebuilt: string | null; attention: string | null } {
  const { opened, picture, mask } = view
  if (!opened) return { rebuilt: 'A model is needed first.', attention: 'A model is needed first.' }
  const noPicture = picture ? null : 'A picture is needed first.'
  const { autoencoder, encoder } = opened.models
  const rebuilt = !autoencoder
    ? 'There is no autoencoder.onnx here: export it with --graphs autoencoder.'
    : mask?.hidden.length === 0
      ? 'Nothing is hidden, so there is nothing to rebuild.'
      : mask?.kept.length === 0
        ? 'Everything is hidden: paint what the model may see.'
        : noPicture
  const attention = !encoder
    ? 'There is no encoder.onnx here: export it with --graphs encoder --attention.'
    : !encoder.facts.hasAttention
      ? 'This encoder.onnx has no output "attention": export it with --attention.'
      : noPicture
  return { rebuilt, attention }
}

/** Everything but Fig. 1's cursor and Fig. 2's comparison, which are given. */
export function drawPlates(view: View, cursor: number | null, left: number): void {
  const { facts, picture } = view
  const inks = inksOf(document.documentElement)
  const why = missing(view)
  document.documentElement.style.setProperty('--heat', heatGradient(isDark()))
  if (!facts || !picture) {
    for (const canvas of [page.masked, page.original]) drawEmpty(canvas, facts, 'No picture yet.')
  } else {
    const drawing: Drawing = { view, facts, picture, inks, photo: fromBytes(picture.bytes, facts) }
    drawMasked(page.masked, drawing, cursor)
    drawPixels(surfaceOf(page.original, { size: facts.size, inks }), drawing.photo)
    describe(page.original, `The original: ${picture.name}, ${picture.about}`)
    if (!why.rebuilt) {
      drawRebuilt(page.rebuilt, drawing, left)
      drawErrors(page.error, drawing)
    }
    if (!why.attention) drawAttention(page.attention, drawing)
  }
  page.originalCaption.textContent = picture ? `${picture.about}.` : ''
  if (why.rebuilt) {
    drawEmpty(page.rebuilt, facts, why.rebuilt)
    drawEmpty(page.error, facts, why.rebuilt)
    page.errorCaption.textContent = ''
    page.errorHigh.textContent = ''
    page.errorTable.replaceChildren()
  }
  if (why.attention) drawEmpty(page.attention, facts, why.attention)
  page.rebuiltCaption.textContent = why.rebuilt ?? rebuiltText(view)
  if (why.attention) {
    page.attentionCaption.textContent = why.attention
    page.attentionLow.textContent = ''
    page.attentionHigh.textContent = ''
  }
  fillErrorTable(view)
  fillNumbers(view, why.rebuilt !== null)
}

const origins = {
  raw: 'The model predicts pixels, so no statistics are needed.',
  neighbours:
    'The model predicts each patch without its brightness and contrast; these are guessed from the nearest visible patches.',
  true: 'The model predicts each patch without its brightness and contrast; these are taken from the hidden patches themselves, which leaks a part of the answer.',
}

const rebuiltText = ({ rebuilt }: View): string => (rebuilt ? origins[rebuilt.statistics] : '')

function fillNumbers({ rebuilt, made }: View, isMissing: boolean): void {
  if (isMissing || !rebuilt || !made) {
    fillFacts(page.numbers, [])
    return
  }
  const kept = made.hidden.filter((flag) => flag === 0).length // of the run that is shown, not of one that goes on
  fillFacts(page.numbers, [
    ['PSNR', decibels(rebuilt.psnr)],
    ['SSIM', fixed(rebuilt.ssim, 3)],
    ['Loss', fixed(rebuilt.loss, 4)],
    ['Seen', `${kept} of ${made.hidden.length}`],
    ['Run', `${made.milliseconds.toFixed(made.milliseconds < 10 ? 1 : 0)} ms`],
  ])
}
