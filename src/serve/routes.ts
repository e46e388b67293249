/** All routes: those that take images, as far as there are graphs for them, and what the server tells of itself. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import files from '@fastify/static'
import swagger from '@fastify/swagger'
import { packageRoot } from '../package-root.ts'
import type { ImageIndex } from '../run/index-folder.ts'
import type { App } from './app.ts'
import { classifyRoute } from './classify.ts'
import { fileName, imagesBody, modelsBody, plainPage, schemaOf } from './description.ts'
import { embedRoute } from './embed.ts'
import type { Answer, ImageRoute } from './image-route.ts'
import { imagesOf } from './images.ts'
import { within } from './lifetime.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import type { ServedModel } from './models.ts'
import { neighboursRoute } from './neighbours.ts'
import { reconstructRoute } from './reconstruct.ts'
import { Refusal } from './refusal.ts'
import { segmentRoute } from './segment.ts'
import { type Answering, isResult, resultsOf } from './service.ts'

type AnyRoute = ImageRoute<object>

/** The routes of each graph. */
const routesOf: Readonly<Record<string, (answering: Answering) => AnyRoute>> = {
  encoder: embedRoute as (answering: Answering) => AnyRoute,
  classifier: classifyRoute as (answering: Answering) => AnyRoute,
  autoencoder: reconstructRoute as (answering: Answering) => AnyRoute,
  segmenter: segmentRoute as (answering: Answering) => AnyRoute,
}

export interface RoutesOptions {
  readonly app: App
  readonly answering: readonly Answering[]
  readonly index: ImageIndex | null
  readonly limits: Limits
  readonly metrics: Metrics
  readonly version: string
  readonly isReady: () => boolean
  readonly needsToken: boolean
}

export async function addRoutes(options: RoutesOptions): Promise<void> {
  const { answering, app, version, needsToken } = options
  const models = answering.map(({ model }) => model)
  const encoder = answering.find(({ model }) => model.graph === 'encoder')
  const routes = answering.flatMap((each) => routesOf[each.model.graph]?.(each) ?? [])
  if (encoder && options.index) routes.push(neighboursRoute(encoder, options.index) as AnyRoute)
  const urls = routes.map(({ url }) => url)
  await app.http.register(swagger, {
    hideUntagged: true,
    openapi: {
      info: { title: 'sherd serve', version },
      ...(needsToken && {
        security: [{ token: [] }],
        components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      }),
    },
    transformObject: (made) => {
      if (!('openapiObject' in made)) return made.swaggerObject
      const paths = Object.entries(made.openapiObject.paths ?? {}).map(([url, item]) => [
        url,
        urls.includes(url) && item?.post ? { post: { ...item.post, requestBody: imagesBody } } : item,
      ])
      return { ...made.openapiObject, paths: Object.fromEntries(paths) }
    },
  })
  for (const route of routes) addImageRoute(options, route)
  addFacts(options, models, urls)
  await addFiles(options, models, routes)
}

function addImageRoute({ app, metrics }: RoutesOptions, route: AnyRoute): void {
  app.http.route({
    ...{ method: 'POST', url: route.url },
    schema: { tags: ['images'], ...schemaOf(route) },
    serializerCompiler: () => JSON.stringify,
    async handler(request, reply) {
      const work = app.workOf(request)
      const asked = { query: request.query as Record<string, unknown>, signal: work.life }
      route.check?.(asked.query)
      const answered = async (): Promise<Answer> => {
        const upload = await imagesOf(request, work)
        const results = await resultsOf(upload, metrics, (image, index) => route.of(image, index, asked))
        work.life.throwIfAborted()
        metrics.images(route.url, results.filter(isResult).length)
        return route.answer(results, asked)
      }
      const { type, body } = await within(work.life, answered())
      return reply.type(type).send(body)
    },
  })
}

function addFacts(options: RoutesOptions, models: readonly ServedModel[], routes: readonly string[]): void {
  const { app, metrics, version, limits, isReady, index } = options
  const fact = (url: string, summary: string, answer: () => object | Promise<object>) =>
    app.http.get(
      url,
      { schema: { tags: ['server'], summary }, serializerCompiler: () => JSON.stringify },
      answer,
    )
  fact('/health', 'Whether the server lives', () => ({ status: 'ok' }))
  fact('/ready', 'Whether it takes requests', () => {
    if (isReady()) return { status: 'ready' }
    throw new Refusal('STOPPING', 'the server takes no requests', { 'retry-after': '5' })
  })
  fact('/v1/model', 'What is served', () => modelsBody(models, { version, routes, limits, index }))
  fact('/openapi.json', 'This description', () => app.http.swagger())
  app.http.get(
    '/metrics',
    { schema: { tags: ['server'], summary: 'Metrics for Prometheus' } },
    async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  )
}

/** What threads of WebAssembly need. */
const isolated = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

/** The models' own files, and the playground where it is built. */
async function addFiles(
  { app }: RoutesOptions,
  models: readonly ServedModel[],
  routes: readonly AnyRoute[],
): Promise<void> {
  const playground = join(packageRoot(), 'dist', 'playground')
  const isBuilt = existsSync(join(playground, 'index.html'))
  await app.http.register(files, {
    ...(isBuilt ? { root: playground, wildcard: false } : { root: packageRoot(), serve: false }),
    setHeaders: (reply) => {
      for (const [name, value] of Object.entries(isolated)) reply.setHeader(name, value)
    },
  })
  app.http.get<{ Params: { file: string } }>(
    '/models/:file',
    { schema: { hide: true } },
    (request, reply) => {
      const found = models.find((model) => fileName(model) === request.params.file)
      if (!found)
        throw new Refusal(
          'NOT_FOUND',
          `there is no model "${request.params.file}"; there are ${models.map(fileName).join(', ')}`,
        )
      return reply
        .sendFile(basename(found.path), dirname(found.path), { contentType: false })
        .type('application/octet-stream')
    },
  )
  if (!isBuilt)
    app.http.get('/', { schema: { hide: true } }, (_, reply) =>
      reply.type('text/html; charset=utf-8').send(plainPage(models, routes)),
    )
}
