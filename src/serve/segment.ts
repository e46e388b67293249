/** `POST /v1/segment`: the class of every pixel of an image, at its own size or of the model's crop. */
import { setImmediate } from 'node:timers/promises'
import { likeliest } from '../evaluate/mask-files.ts'
import { classLines, type WindowLogits } from '../evaluate/own-size.ts'
import { classTile } from '../picture/class-map.ts'
import { encodePng } from '../picture/render.ts'
import { paintTile } from '../picture/tile.ts'
import { windowsOf } from '../prepare/windows.ts'
import type { Box, Size } from '../source/box.ts'
import { choice, type ImageRoute, jsonAnswer, npyAnswer } from './image-route.ts'
import type { UploadedImage } from './images.ts'
import { Refusal } from './refusal.ts'
import { type Answering, wholeResult } from './service.ts'

export interface Segmented {
  readonly height: number
  readonly width: number
  /** [height, width] */
  readonly labels: Uint16Array
}

/** Shares of the classes that occur, largest first. */
function sharesOf({ labels }: Segmented, classes: readonly string[]) {
  const counts = new Map<number, number>()
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
  return [...counts]
    .map(([label, count]) => ({
      class: classes[label] ?? String(label),
      label,
      share: count / labels.length,
    }))
    .sort((a, b) => b.share - a.share || a.label - b.label)
}

async function pictureOf({ labels, width, height }: Segmented, classes: number): Promise<Buffer> {
  const canvas = { width, height, pixels: new Uint8Array(3 * width * height) }
  paintTile(canvas, { tile: classTile(labels, { width, height }, classes), x: 0, y: 0, factor: 1 })
  return encodePng(canvas)
}

/** Of an image: each is computed. */
const MOST_WINDOWS = 16
const TURN = 20 // ms, after which other requests have their turn

/** As `sherd segment` says it: windows of the model's shape cover the image, and their logits are enlarged to its size. */
async function atOwnSize(
  { compute }: Pick<Answering, 'compute'>,
  image: UploadedImage,
  signal: AbortSignal,
): Promise<Segmented> {
  const parts: WindowLogits[] = []
  let [boxes, size, of]: [readonly Box[], Size, readonly number[]] = [[], { width: 0, height: 0 }, []]
  do {
    const cutting = (whole: Size, target: Size) => {
      size = { width: whole.width, height: whole.height }
      boxes = windowsOf(whole, target)
      return boxes[parts.length]!
    }
    const { outputs } = await compute(image, ['logits'], signal, {}, cutting)
    if (boxes.length > MOST_WINDOWS)
      throw new Refusal(
        'IMAGE',
        `the image has ${size.width} × ${size.height} pixels, ${boxes.length} windows of the model's shape: expected at most ${MOST_WINDOWS}`,
      )
    const { values, shape } = outputs.logits!
    of = shape
    parts.push({ box: boxes[parts.length]!, logits: values })
  } while (parts.length < boxes.length)
  const [classes = 1, height = 1, width = 1] = of
  const lines = classLines(parts, { size, model: { width, height }, classes })
  for (let since = performance.now(); ; ) {
    const { done, value } = lines.next()
    if (done) return { ...size, labels: value }
    if (performance.now() - since < TURN) continue
    await setImmediate()
    signal.throwIfAborted()
    since = performance.now()
  }
}

export const segmentRoute = ({ compute, model }: Answering): ImageRoute<Segmented> => ({
  url: '/v1/segment',
  summary: 'The class of every pixel of each image, as `sherd segment` says it',
  query: {
    size: choice(
      ['image', 'model'],
      'image',
      "image: of the whole image, at its own size; model: of what the model's crop shows, at its size",
    ),
    format: choice(
      ['json', 'npy', 'png'],
      'json',
      'json: the share of each class; npy: int32 [images, height, width], of images of one size; png: coloured, of one image',
    ),
  },
  result: {
    height: { type: 'integer' },
    width: { type: 'integer' },
    classes: {
      type: 'array',
      items: {
        type: 'object',
        properties: { class: { type: 'string' }, label: { type: 'integer' }, share: { type: 'number' } },
      },
    },
  },
  async of(image, _, { query, signal }) {
    if (query.size === 'image') return atOwnSize({ compute }, image, signal)
    const { outputs } = await compute(image, ['logits'], signal)
    const { values, shape } = outputs.logits!
    const [classes = 1, height = 1, width = 1] = shape
    return { height, width, labels: likeliest(values, classes) }
  },
  async answer(results, { query: { format } }) {
    const classes = model.classes ?? []
    if (format === 'npy') {
      const sizes = new Set(results.map(wholeResult).map(({ height, width }) => `${height} × ${width}`))
      if (sizes.size > 1)
        throw new Refusal(
          'QUERY',
          `format=npy is one array, and the images are of ${[...sizes].join(', ')}: send those of one size together, or take size=model`,
        )
      return npyAnswer(results, '<i4', ({ labels, height, width }) => ({
        values: Int32Array.from(labels),
        shape: [height, width],
      }))
    }
    if (format === 'png') {
      if (results.length !== 1)
        throw new Refusal('QUERY', `format=png takes one image, got ${results.length}`)
      return { type: 'image/png', body: await pictureOf(wholeResult(results[0]!), classes.length) }
    }
    return jsonAnswer({
      results: results.map((result) => {
        if (!('labels' in result)) return result
        const { name, height, width } = result
        return { name, height, width, classes: sharesOf(result, classes) }
      }),
    })
  },
})
