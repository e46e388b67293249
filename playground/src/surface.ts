/** Canvases as pictures of patches: pixels enlarged, patches covered or coloured, and a line of text below that is a part of the picture. */
import type { Grid } from '../../src/token/grid.ts'
import type { ModelFacts } from './model-facts.ts'

/** An image at the model's size, ready to be enlarged. */
export type Pixels = OffscreenCanvas

/** Bytes [H, W, C] as an image. */
export function fromBytes(
  bytes: ArrayLike<number>,
  { size, channels }: Pick<ModelFacts, 'size' | 'channels'>,
): Pixels {
  const { width, height } = size
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255)
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = bytes[i * channels + (channels === 3 ? c : 0)]!
  const canvas = new OffscreenCanvas(width, height)
  canvas.getContext('2d')!.putImageData(new ImageData(rgba, width, height), 0, 0)
  return canvas
}

/** Values [C, H, W] in [0, 1] as an image; what lies outside is clipped. */
export function fromValues(values: Float32Array, facts: Pick<ModelFacts, 'size' | 'channels'>): Pixels {
  const { channels } = facts
  const area = values.length / channels
  const bytes = new Uint8ClampedArray(values.length) // rounds and clips
  for (let i = 0; i < values.length; i++)
    bytes[i] = 255 * values[(i % channels) * area + Math.floor(i / channels)]!
  return fromBytes(bytes, facts)
}

const LONGER_SIDE = 640
const LINE = 44
const FONT = 23

/** The colours that drawings take from the page's theme. */
export interface Inks {
  readonly sheet: string
  readonly ink: string
  readonly soft: string
  readonly hidden: string
  readonly mesh: string
  readonly clay: string
  readonly near: string
}

export function inksOf(element: Element): Inks {
  const style = getComputedStyle(element)
  const ink = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return {
    ...{ sheet: ink('sheet'), ink: ink('ink'), soft: ink('soft') },
    ...{ hidden: ink('hidden'), mesh: ink('mesh'), clay: ink('clay'), near: ink('near') },
  }
}

export interface Surface {
  readonly context: CanvasRenderingContext2D
  readonly inks: Inks
  /** Of the picture, without the line of text. */
  readonly width: number
  readonly height: number
}

/** Makes a canvas of the model's shape, with a whole number of its pixels for each of the image. `line`: text below. */
export function surfaceOf(
  canvas: HTMLCanvasElement,
  { size, inks, line }: { size: ModelFacts['size']; inks: Inks; line?: string },
): Surface {
  const factor = Math.max(1, Math.round(LONGER_SIDE / Math.max(size.width, size.height)))
  const [width, height] = [size.width * factor, size.height * factor]
  canvas.width = width
  canvas.height = height + (line === undefined ? 0 : LINE)
  const context = canvas.getContext('2d')!
  context.imageSmoothingEnabled = false
  context.fillStyle = inks.sheet
  context.fillRect(0, 0, canvas.width, canvas.height)
  if (line !== undefined) write(context, line, { y: height + LINE / 2 + 4, width, inks })
  return { context, inks, width, height }
}

function write(
  context: CanvasRenderingContext2D,
  text: string,
  { y, width, inks }: { y: number; width: number; inks: Inks },
): void {
  const family = getComputedStyle(document.documentElement).getPropertyValue('--sans')
  const size = Math.max(12, Math.round((FONT * width) / LONGER_SIDE))
  context.font = `500 ${size}px ${family}`
  context.fillStyle = inks.ink
  context.textBaseline = 'middle'
  context.textAlign = 'left'
  context.fillText(text, 2, y, width - 4)
}

/** A few letters in the corner of a picture, on a ground of their own. */
export function writeLabel({ context, inks, height }: Surface, text: string): void {
  const size = Math.max(10, Math.round(height / 9))
  context.font = `600 ${size}px ${getComputedStyle(document.documentElement).getPropertyValue('--sans')}`
  context.textBaseline = 'top'
  context.textAlign = 'left'
  context.fillStyle = inks.sheet
  context.fillRect(0, 0, context.measureText(text).width + size / 2, 1.25 * size)
  context.fillStyle = inks.ink
  context.fillText(text, size / 4, size / 6)
}

/** The image over the whole picture, or its left part up to `share` of the width. */
export function drawPixels({ context, width, height }: Surface, pixels: Pixels, share = 1): void {
  context.save()
  context.beginPath()
  context.rect(0, 0, share * width, height)
  context.clip()
  context.drawImage(pixels, 0, 0, width, height)
  context.restore()
}

/** Colours each patch for which `colour` gives one. */
export function fillPatches(
  { context, width, height }: Surface,
  { h, w }: Grid,
  colour: (patch: number) => string | null,
): void {
  const [tall, wide] = [height / h, width / w]
  for (let patch = 0; patch < h * w; patch++) {
    const fill = colour(patch)
    if (fill === null) continue
    context.fillStyle = fill
    context.fillRect((patch % w) * wide, Math.floor(patch / w) * tall, wide, tall)
  }
}

/** Lines between all patches. */
export function drawMesh({ context, inks, width, height }: Surface, { h, w }: Grid): void {
  context.fillStyle = inks.mesh
  for (let column = 1; column < w; column++)
    context.fillRect(Math.round((column * width) / w) - 0.5, 0, 1, height)
  for (let row = 1; row < h; row++) context.fillRect(0, Math.round((row * height) / h) - 0.5, width, 1)
}

/** A frame around one patch, seen on any ground; a thin one inside its edge. */
export function drawCursor(
  { context, inks, width, height }: Surface,
  { h, w }: Grid,
  patch: number,
  { colour: own, isThin }: { readonly colour: string; readonly isThin: boolean } = {
    colour: inks.clay,
    isThin: false,
  },
): void {
  const [tall, wide] = [height / h, width / w]
  const inset = isThin ? Math.min(3, tall / 8) : 0
  const at = [
    (patch % w) * wide + inset,
    Math.floor(patch / w) * tall + inset,
    wide - 2 * inset,
    tall - 2 * inset,
  ] as const
  for (const [colour, thick] of [
    [inks.sheet, isThin ? 6 : 9],
    [own, isThin ? 3 : 5],
  ] as const) {
    context.strokeStyle = colour
    context.lineWidth = thick
    context.strokeRect(...at)
  }
}
