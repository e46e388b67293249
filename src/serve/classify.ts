/** `POST /v1/classify`: the likeliest classes of an image. */
import { largestOf } from '../evaluate/scores.ts'
import { type ImageRoute, jsonAnswer } from './image-route.ts'
import type { Answering } from './service.ts'

export interface Classified {
  /** The likeliest first. */
  readonly classes: readonly { readonly class: string; readonly probability: number }[]
}

export const classifyRoute = ({ compute, model }: Answering): ImageRoute<Classified> => ({
  url: '/v1/classify',
  summary: `The likeliest of ${model.classes?.length ?? 'the'} classes of each image`,
  query: {
    count: { type: 'integer', minimum: 1, maximum: 1000, default: 5, description: 'how many classes' },
  },
  result: {
    classes: {
      type: 'array',
      items: { type: 'object', properties: { class: { type: 'string' }, probability: { type: 'number' } } },
    },
  },
  async of(image, _, { query, signal }) {
    const { outputs } = await compute(image, ['probabilities'], signal)
    const { values } = outputs.probabilities!
    const places = [...largestOf(values, values.length, query.count as number)]
    return {
      classes: places.map((place) => ({
        ...{ class: model.classes?.[place] ?? String(place), probability: values[place]! },
      })),
    }
  },
  answer: (results) => jsonAnswer({ results }),
})
