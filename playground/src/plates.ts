/** The pictures, their captions, and what they say to those who do not see them. */
import type { ImageLikeness } from '../../src/look/compare.ts'
import { type HeadMap, headMaps, meanMap } from '../../src/look/head-maps.ts'
import type { Grid } from '../../src/token/grid.ts'
import { heat, heatGradient } from './colours.ts'
import { ALL_HEADS, POOLING } from './controls.ts'
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
  type Surface,
  surfaceOf,
  writeLabel,
} from './surface.ts'
import type { Likeness, Picture, View } from './view.ts'
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

const greyPhoto = (surface: Surface, photo: Pixels) => {
  surface.context.filter = 'grayscale(1)'
  drawPixels(surface, photo)
  surface.context.filter = 'none'
}

/** The rows that are shown: of a block's heads, or of attention pooling. */
function shownMaps({ encoded, facts }: View): readonly HeadMap[] | null {
  const attention = encoded?.attention
  if (!attention || !facts) return null
  const { values, blocks, heads, pooling } = attention
  const each = values.length / blocks
  const block = Number(page.block.value)
  const rows = page.block.value === POOLING ? pooling : values.subarray(block * each, (block + 1) * each)
  return rows && headMaps(rows, heads, rows.length / heads - facts.grid.h * facts.grid.w)
}

const attendingWords = {
  cls: { title: 'Where the class token looks', away: 'stays with the token itself' },
  patches: { title: 'Where the patches look, on average', away: 'falls on registers' },
  pooling: { title: 'Where attention pooling looks', away: 'falls on registers' },
} as const

/** One map, from its own least share to its greatest. */
function paintMap(surface: Surface, grid: Grid, { patches }: HeadMap, photo: Pixels): void {
  const [least, most] = [Math.min(...patches), Math.max(...patches)]
  greyPhoto(surface, photo)
  fillPatches(surface, grid, (patch) =>
    css(heat((patches[patch]! - least) / (most - least || 1), isDark()), 0.78),
  )
}

/** Fig. 5. */
export function drawAttention(canvas: HTMLCanvasElement, { view, facts, inks, photo }: Drawing): void {
  const maps = shownMaps(view)
  if (!maps) return
  const { grid, size } = facts
  const of = page.block.value === POOLING ? 'pooling' : view.opened!.models.encoder!.facts.attending!
  const words = attendingWords[of]
  page.attentionTitle.textContent = words.title
  if (page.head.value === ALL_HEADS) {
    const columns = Math.ceil(Math.sqrt((maps.length * size.height) / size.width))
    const rows = Math.ceil(maps.length / columns)
    const whole = { width: columns * size.width, height: rows * size.height }
    const surface = surfaceOf(canvas, { size: whole, inks })
    const [width, height] = [surface.width / columns, surface.height / rows]
    for (const [head, map] of maps.entries()) {
      surface.context.save()
      surface.context.translate((head % columns) * width, Math.floor(head / columns) * height)
      const tile = { ...surface, width, height }
      paintMap(tile, grid, map, photo)
      writeLabel(tile, String(head + 1))
      surface.context.restore()
    }
    page.attentionLow.textContent = 'least'
    page.attentionHigh.textContent = 'most'
    const text = `All ${maps.length} heads, each from its own least share to its greatest.`
    page.attentionCaption.textContent = text
    describe(canvas, `${words.title}. ${text}`)
    return
  }
  const map = page.head.value === 'mean' ? meanMap(maps) : maps[Number(page.head.value)]!
  const shares = map.patches
  const seen = shares.reduce((sum, each) => sum + each, 0)
  const most = largest(shares)!
  const tokens = maps.length > 0 ? prefixTokens(view) : 0
  paintMap(surfaceOf(canvas, { size, inks }), grid, map, photo)
  page.attentionLow.textContent = share(Math.min(...shares))
  page.attentionHigh.textContent = share(most.value)
  const away =
    tokens === 0
      ? ''
      : `; ${share(map.prefix)} ${of === 'cls' && tokens > 1 ? 'stays with the token itself and registers' : words.away}`
  const text = `${share(seen)} goes to patches, most to ${placeOf(grid, most.at)}${away}.`
  page.attentionCaption.textContent = text
  describe(canvas, `${of === 'cls' ? 'Attention of the class token' : words.title}. ${text}`)
}

/** How many tokens stand before the patches. */
function prefixTokens({ encoded, facts }: View): number {
  const { values, blocks, heads } = encoded!.attention!
  return values.length / (blocks * heads) - facts!.grid.h * facts!.grid.w
}

/** Fig. 6. */
function drawFeatures(canvas: HTMLCanvasElement, { view, facts, inks }: Drawing): void {
  const { colours } = view
  if (!colours) return
  const own = colours.colours[0]!
  fillPatches(surfaceOf(canvas, { size: facts.size, inks }), facts.grid, (patch) =>
    css(own.subarray(3 * patch, 3 * patch + 3) as unknown as number[]),
  )
  const all = colours.explained.reduce((sum, each) => sum + each, 0)
  const text = `Red, green and blue are the first three principal components${colours.colours.length > 1 ? ' of both pictures' : ''}: ${share(all)} of what differs.`
  page.featuresCaption.textContent = text
  describe(canvas, `Features of patches as colours. ${text}`)
}

/** Of both pictures, so that their colours compare. */
const leastOf = ({ own, other }: Likeness): number =>
  [own, ...(other ? [other] : [])].reduce(
    (least, { similarity }) => similarity.reduce((a, b) => Math.min(a, b), least),
    1,
  )

const nearestText = ({ nearest }: ImageLikeness, grid: Grid): string =>
  nearest
    .slice(0, 3)
    .map(({ place, similarity }) => `${placeOf(grid, place)} (${fixed(similarity, 2)})`)
    .join('; ')

function drawLikeness(
  canvas: HTMLCanvasElement,
  { facts, inks, photo }: Pick<Drawing, 'facts' | 'inks' | 'photo'>,
  { similarity, nearest }: ImageLikeness,
  least: number,
): Surface {
  const surface = surfaceOf(canvas, { size: facts.size, inks })
  greyPhoto(surface, photo)
  fillPatches(surface, facts.grid, (patch) =>
    css(heat((similarity[patch]! - least) / (1 - least || 1), isDark()), 0.7),
  )
  for (const { place } of nearest) drawCursor(surface, facts.grid, place, { colour: inks.near, isThin: true })
  return surface
}

/** What is said of the chosen patch, by keys, too. */
export function likeText({ like, facts }: View): string {
  if (!like || !facts) return ''
  const { grid } = facts
  return `Chosen: ${placeOf(grid, like.patch)}. Most alike: ${nearestText(like.own, grid)}.`
}

/** Fig. 7 and 8. */
function drawLike({ view, facts, inks, photo }: Drawing): void {
  const { like, other } = view
  if (!like) return
  const least = leastOf(like)
  const surface = drawLikeness(page.like, { facts, inks, photo }, like.own, least)
  drawCursor(surface, facts.grid, like.patch)
  page.likeLow.textContent = fixed(least, 2)
  const text = likeText(view)
  page.likeCaption.textContent = text
  describe(page.like, `Patches like the chosen one. ${text}`)
  if (!like.other || !other) {
    drawEmpty(page.other, facts, 'No other picture yet.')
    page.otherCaption.textContent = ''
    return
  }
  const photoOfOther = fromBytes(other.picture.bytes, facts)
  drawLikeness(page.other, { facts, inks, photo: photoOfOther }, like.other, least)
  const found = `Of ${other.picture.name} most alike: ${nearestText(like.other, facts.grid)}.`
  page.otherCaption.textContent = found
  describe(page.other, `The same in another picture. ${found}`)
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
function missing(view: View): { rebuilt: string | null; attention: string | null; seen: string | null } {
  const { opened, picture, mask } = view
  const first = 'A model is needed first.'
  if (!opened) return { rebuilt: first, attention: first, seen: first }
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
    : encoder.facts.attending === null
      ? 'This encoder.onnx has no output "attention": export it with --attention.'
      : noPicture
  return { rebuilt, attention, seen: encoder ? noPicture : first }
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
    if (!why.seen) {
      drawFeatures(page.features, drawing)
      drawLike(drawing)
    }
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
  if (why.seen || !view.encoded) {
    for (const canvas of [page.features, page.like, page.other])
      drawEmpty(canvas, facts, why.seen ?? 'The encoder is at work.')
    for (const caption of [page.featuresCaption, page.likeCaption, page.otherCaption, page.likeLow])
      caption.textContent = ''
  }
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
  const kept = made.hidden.filter((flag) => flag === 0).length // of the run that is shown, not of one still at work
  fillFacts(page.numbers, [
    ['PSNR', decibels(rebuilt.psnr)],
    ['SSIM', fixed(rebuilt.ssim, 3)],
    ['Loss', fixed(rebuilt.loss, 4)],
    ['Seen', `${kept} of ${made.hidden.length}`],
    ['Run', `${made.milliseconds.toFixed(made.milliseconds < 10 ? 1 : 0)} ms`],
  ])
}
