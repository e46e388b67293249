/** `POST /v1/segment`: the class of every pixel of the model's crop of an image. */

import { likeliest } from '../evaluate/mask-files.ts'
import { classTile } from '../picture/class-map.ts'
import { encodePng } from '../picture/render.ts'
import { paintTile } from '../picture/tile.ts'
import { choice, type ImageRoute, jsonAnswer, npyAnswer } from './image-route.ts'
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

export const segmentRoute = ({ compute, model }: Answering): ImageRoute<Segmented> => ({
  url: '/v1/segment',
  summary: 'The class of every pixel of each image, at the size that the model sees',
  query: {
    format: choice(
      ['json', 'npy', 'png'],
      'json',
      'json: the share of each class; npy: int32 [images, height, width]; png: coloured, of one image',
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
  async of(image, _, { signal }) {
    const { outputs } = await compute(image, ['logits'], signal)
    const { values, shape } = outputs.logits!
    const [classes = 1, height = 1, width = 1] = shape
    return { height, width, labels: likeliest(values, classes) }
  },
  async answer(results, { query: { format } }) {
    const classes = model.classes ?? []
    if (format === 'npy')
      return npyAnswer(results, '<i4', ({ labels, height, width }) => ({
        values: Int32Array.from(labels),
        shape: [height, width],
      }))
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
