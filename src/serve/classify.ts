/** `POST /v1/classify`: the likeliest classes of an image. */
import { type ImageRoute, jsonAnswer } from './image-route.ts'
import type { Answering } from './service.ts'

export interface Classified {
  /** The likeliest first. */
  readonly classes: readonly { readonly class: string; readonly probability: number }[]
}

/** The `count` largest, of equal ones the first. */
export function likeliest(
  probabilities: ArrayLike<number>,
  classes: readonly string[],
  count: number,
): Classified['classes'] {
  return Array.from(probabilities, (probability, i) => ({ class: classes[i] ?? String(i), probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count)
}

export const classifyRoute = ({ compute, model }: Answering): ImageRoute<Classified> => ({
  url: '/v1/classify',
  summary: 'The likeliest classes of each image',
  query: {
    count: { type: 'integer', minimum: 1, maximum: 1000, default: 5, description: 'how many classes' },
  },
  result: {
    classes: {
      type: 'array',
      items: {
        type: 'object',
        properties: { class: { type: 'string' }, probability: { type: 'number' } },
      },
    },
  },
  async of(image, _, { query, signal }) {
    const { outputs } = await compute(image, ['probabilities'], signal)
    return { classes: likeliest(outputs.probabilities!.values, model.classes ?? [], query.count as number) }
  },
  answer: (results) => jsonAnswer({ results }),
})
