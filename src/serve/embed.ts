/** `POST /v1/embed`: the embedding of an image. */
import { onnxFeatureSpec } from '../infer/onnx-encoder.ts'
import { featureOutputs, joinedOutputs, onnxVectors, ownOutput } from '../infer/onnx-features.ts'
import type { VectorFeature } from '../token/feature.ts'
import { choice, type ImageRoute, jsonAnswer, npyAnswer, numbers } from './image-route.ts'
import type { UploadedImage } from './images.ts'
import type { Answering } from './service.ts'

export interface Embedded {
  readonly embedding: Float32Array
}

/** A feature of an image. */
export async function vectorBy(
  { compute, model }: Answering,
  image: UploadedImage,
  { name, signal }: { readonly name: VectorFeature; readonly signal: AbortSignal },
): Promise<Float32Array> {
  const names = featureOutputs(model, name)
  const { outputs } = await compute(image, names, signal)
  return joinedOutputs(
    names.map((each) => outputs[each]!.values),
    1,
  )
}

export const embedRoute = (answering: Answering): ImageRoute<Embedded> => ({
  url: '/v1/embed',
  summary: 'The embedding of each image, as `sherd embed` makes it',
  query: {
    pool: choice(
      onnxVectors(answering.model),
      ownOutput(answering.model),
      'the vector of an image; by default the model’s own',
    ),
    format: choice(['json', 'npy'], 'json', 'npy: float32 [images, width]'),
  },
  result: { embedding: numbers },
  async of(image, _, { query, signal }) {
    return { embedding: await vectorBy(answering, image, { name: query.pool as VectorFeature, signal }) }
  },
  answer(results, { query: { pool, format } }) {
    if (format === 'npy')
      return npyAnswer(results, '<f4', ({ embedding }) => ({ values: embedding, shape: [embedding.length] }))
    const plain = results.map((result) =>
      'embedding' in result ? { ...result, embedding: [...result.embedding] } : result,
    )
    return jsonAnswer({
      pool,
      width: onnxFeatureSpec(answering.model, pool as VectorFeature).width,
      results: plain,
    })
  },
})
