/** What the server says of itself: its models (`/v1/model`), its routes (OpenAPI), and a page for people. */
import { formats } from '../export/formats.ts'
import { type ExportPrecision, precisions } from '../export/precision.ts'
import { escapeXml } from '../picture/xml.ts'
import type { ImageIndex } from '../run/index-folder.ts'
import type { ImageRoute, JsonSchema } from './image-route.ts'
import { bodyTypes } from './images.ts'
import type { Limits } from './limits.ts'
import type { ServedModel } from './models.ts'

/** The name that a file has here, whatever it is called on the disk: that of an export folder. */
export const fileName = ({ graph, precision }: Pick<ServedModel, 'graph' | 'precision'>): string =>
  `${formats[graph].stem}${precisions[precision as ExportPrecision]?.suffix ?? ''}.onnx`

const modelUrl = (model: ServedModel): string => `/models/${fileName(model)}`

export interface Described {
  readonly version: string
  /** Addresses that take images. */
  readonly routes: readonly string[]
  readonly limits: Limits
  readonly index: ImageIndex | null
}

/** The answer of `/v1/model`. */
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
      ...{ patchSize, width, depth, normalizedTarget: config.target.normalize, statistics },
    }
  }),
  index: index && { count: index.facts.count, pool: index.facts.pooling, isExact: index.isExact },
  routes,
  limits: { bodyBytes: limits.bodyBytes, pixels: limits.pixels, images: limits.images },
})

const binary: JsonSchema = { type: 'string', format: 'binary' }

/** What takes images: any of three kinds of body. */
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

/** The schema of a route, from which its queries are checked and the description is made. */
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

/** A page for people, where the playground is not built. */
export function plainPage(
  models: readonly ServedModel[],
  routes: readonly { url: string; summary: string }[],
): string {
  const items = routes.map(
    ({ url, summary }) => `<li><code>${escapeXml(url)}</code> ${escapeXml(summary)}</li>`,
  )
  const files = models.map((model) => {
    const url = escapeXml(modelUrl(model))
    return `<li><a href="${url}">${url}</a> ${escapeXml(model.graph)}, ${escapeXml(model.precision)}</li>`
  })
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sherd serve</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>sherd serve</h1>
<ul>${items.join('')}</ul>
<h2>Models</h2>
<ul>${files.join('')}</ul>
`
}
