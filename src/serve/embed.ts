/** `POST /v1/embed`: the embedding of an image. */
import { type Pooling, poolings } from '../token/pool.ts'
import { choice, type ImageRoute, jsonAnswer, npyAnswer, numbers } from './image-route.ts'
import type { Answering } from './service.ts'

export interface Embedded {
  readonly embedding: Float32Array
}

export const embedRoute = ({ compute, model }: Answering): ImageRoute<Embedded> => ({
  url: '/v1/embed',
  summary: 'The embedding of each image, as `sherd embed` makes it',
  query: {
    pool: choice(poolings, 'mean', 'the mean of the patches, or the cls token'),
    format: choice(['json', 'npy'], 'json', 'npy: float32 [images, width]'),
  },
  result: { embedding: numbers },
  async of(image, _, { query, signal }) {
    const pool = query.pool as Pooling
    const { outputs } = await compute(image, [pool], signal)
    return { embedding: outputs[pool]!.values }
  },
  answer(results, { query: { pool, format } }) {
    if (format === 'npy')
      return npyAnswer(results, '<f4', ({ embedding }) => ({ values: embedding, shape: [embedding.length] }))
    const plain = results.map((result) =>
      'embedding' in result ? { ...result, embedding: [...result.embedding] } : result,
    )
    return jsonAnswer({ pool, width: model.config.model.width, results: plain })
  },
})
