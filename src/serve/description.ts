/** Descriptions of the models (`/v1/model`) and of the routes (OpenAPI). */
import { pixelTargetOf } from '../config/resolve.ts'
import { formats } from '../export/formats.ts'
import { type ExportPrecision, precisions } from '../export/precision.ts'
import type { ImageIndex } from '../search/index-folder.ts'
import { bodyTypes } from './bodies.ts'
import type { ImageRoute, JsonSchema } from './image-route.ts'
import type { Limits } from './limits.ts'
import type { ServedModel } from './models.ts'

/** A file's name in the API: that of an export folder, whatever it is called on disk. */
export const fileName = ({ graph, precision }: Pick<ServedModel, 'graph' | 'precision'>): string =>
  `${formats[graph].stem}${precisions[precision as ExportPrecision]?.suffix ?? ''}.onnx`

export const modelUrl = (model: Pick<ServedModel, 'graph' | 'precision'>): string =>
  `/models/${fileName(model)}`

export interface Described {
  readonly version: string
  /** Paths that take images. */
  readonly routes: readonly string[]
  readonly limits: Limits
  readonly index: ImageIndex | null
}

export const modelsBody = (
  models: readonly ServedModel[],
  { version, routes, limits, index }: Described,
) => ({
  version,
  models: models.map((model) => {
    const { graph, bytes, precision, shape, outputs, classes, statistics, config, origin } = model
    const { patchSize, width, depth } = config.model
    return {
      ...{ graph, url: modelUrl(model), bytes, precision, step: origin.step, shape, outputs, classes },
      ...{ patchSize, width, depth, normalizedTarget: pixelTargetOf(config)?.normalize ?? null, statistics },
    }
  }),
  index: index && { count: index.facts.count, pool: index.facts.pooling, isExact: index.isExact },
  routes,
  limits,
})

const binary: JsonSchema = { type: 'string', format: 'binary' }

/** The three kinds of body that routes with images take. */
export const imagesBody = {
  required: true,
  description: bodyTypes,
  content: {
    'image/*': { schema: binary },
    'application/octet-stream': { schema: binary },
    'multipart/form-data': {
      schema: { type: 'object', properties: { file: { type: 'array', items: binary } } },
    },
  },
}

const errorSchema: JsonSchema = {
  type: 'object',
  properties: {
    error: { type: 'object', properties: { code: { type: 'string' }, message: { type: 'string' } } },
  },
}

/** The schema of a route: validates its query and appears in the OpenAPI description. */
export const schemaOf = ({ summary, query, result }: ImageRoute<object>) => ({
  summary,
  querystring: { type: 'object', additionalProperties: false, properties: query },
  response: {
    200: {
      description: 'A result for each image, or the error of one that cannot be used',
      type: 'object',
      properties: {
        results: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              name: { type: ['string', 'null'] },
              ...result,
              ...(errorSchema.properties as object),
            },
          },
        },
      },
    },
    '4xx': { description: 'What was sent cannot be used; the message says why', ...errorSchema },
    503: { description: 'Too much to do: try again after the seconds of Retry-After', ...errorSchema },
  },
})
