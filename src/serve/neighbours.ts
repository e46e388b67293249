/** `POST /v1/neighbours`: the nearest images of an index. */

import { preparationOf } from '../config/preparation.ts'
import { SherdError } from '../errors.ts'
import { sealOf } from '../files/durable.ts'
import { onnxFeatureSpec } from '../infer/onnx-encoder.ts'
import { type ImageIndex, openIndex } from '../search/index-folder.ts'
import { expectModel } from '../search/make-index.ts'
import { searchIndex } from '../search/search-index.ts'
import { vectorBy } from './embed.ts'
import { type ImageRoute, jsonAnswer } from './image-route.ts'
import type { ServedModel } from './models.ts'
import type { Answering } from './service.ts'

export interface Neighbours {
  /** Most similar first. */
  readonly neighbours: readonly { readonly file: string; readonly similarity: number }[]
}

/** Opens an index for one of the models. Throws `USAGE` without an encoder, `RUN` for an index of another one. */
export async function openIndexFor(dir: string, models: readonly ServedModel[]): Promise<ImageIndex> {
  const encoder = models.find(({ graph }) => graph === 'encoder')
  if (!encoder)
    throw new SherdError(
      'USAGE',
      '--index needs the encoder that the index was made with: export the encoder, too.',
    )
  const index = await openIndex(dir)
  try {
    const { width } = onnxFeatureSpec(encoder, index.facts.pooling)
    if (index.facts.width !== width)
      throw new SherdError(
        'RUN',
        `${dir} holds vectors of ${index.facts.width} numbers, and the encoder makes ${width}: it is of another model.`,
      )
    const size = index.facts.source?.size
    const own = encoder.shape.slice(-2)
    if (size && !size.includes(0) && size.join() !== own.join())
      throw new SherdError(
        'USAGE',
        `${dir} holds vectors of images of ${size.join(' × ')} pixels, and the server reads them at ${own.join(' × ')}: give --image-size ${size.join('x')}.`,
      )
    const { config, origin } = encoder
    const preparation = preparationOf(encoder)
    expectModel(index, { config, origin, sha256: sealOf(encoder.path).sha256, preparation })
    return index
  } catch (error) {
    await index.close()
    throw error
  }
}

export const neighboursRoute = (answering: Answering, index: ImageIndex): ImageRoute<Neighbours> => ({
  url: '/v1/neighbours',
  summary: `Of the ${index.facts.count} images of the index those that are most like each image`,
  query: {
    count: { type: 'integer', minimum: 1, maximum: 1000, default: 10, description: 'how many images' },
  },
  result: {
    neighbours: {
      type: 'array',
      items: { type: 'object', properties: { file: { type: 'string' }, similarity: { type: 'number' } } },
    },
  },
  async of(image, _, { query, signal }) {
    const { pooling } = index.facts
    const vector = await vectorBy(answering, image, { name: pooling, signal })
    signal.throwIfAborted()
    const [found = []] = await searchIndex(index, vector, query.count as number)
    return { neighbours: found.map(({ file, similarity }) => ({ file, similarity })) }
  },
  answer: (results) => jsonAnswer({ pool: index.facts.pooling, indexed: index.facts.count, results }),
})
