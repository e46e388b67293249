/** All routes: those that take images, for the graphs that are served, and those that describe the server. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import files from '@fastify/static'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyPluginAsync } from 'fastify'
import { packageRoot } from '../package-root.ts'
import type { ImageIndex } from '../search/index-folder.ts'
import type { App } from './app.ts'
import { classifyRoute } from './classify.ts'
import { fileName, imagesBody, modelsBody, schemaOf } from './description.ts'
import { embedRoute } from './embed.ts'
import { docsPolicy, playgroundHeaders, startPageHeaders } from './headers.ts'
import type { Answer, ImageRoute } from './image-route.ts'
import { imagesOf } from './images.ts'
import type { Limits } from './limits.ts'
import { lookRoute } from './look.ts'
import type { Metrics } from './metrics.ts'
import type { ServedModel } from './models.ts'
import { neighboursRoute } from './neighbours.ts'
import { reconstructRoute } from './reconstruct.ts'
import { Refusal } from './refusal.ts'
import { within } from './request-lifetime.ts'
import { segmentRoute } from './segment.ts'
import { type Answering, isResult, resultsOf } from './service.ts'
import { type Place, startPage } from './start-page.ts'

type AnyRoute = ImageRoute<object>

/** The routes of each graph. */
const routesOf: Readonly<Record<string, readonly ((answering: Answering) => AnyRoute)[]>> = {
  encoder: [embedRoute, lookRoute] as ((answering: Answering) => AnyRoute)[],
  classifier: [classifyRoute as (answering: Answering) => AnyRoute],
  autoencoder: [reconstructRoute as (answering: Answering) => AnyRoute],
  segmenter: [segmentRoute as (answering: Answering) => AnyRoute],
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

/** Returns the pages and routes for the start page. */
export async function addRoutes(options: RoutesOptions): Promise<Place[]> {
  const { answering, app, version, needsToken } = options
  const models = answering.map(({ model }) => model)
  const encoder = answering.find(({ model }) => model.graph === 'encoder')
  const routes = answering.flatMap(
    (each) => routesOf[each.model.graph]?.map((routeOf) => routeOf(each)) ?? [],
  )
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
  await app.http.register(swaggerUi, {
    ...{ routePrefix: DOCS, staticCSP: docsPolicy, theme: { title: 'sherd serve' } },
    uiConfig: { tryItOutEnabled: true },
  })
  addModelFiles(app, models)
  const shown = (await addPlayground(app)) ? playgroundSummary(models) : null
  const places: Place[] = [
    ...(shown === null ? [] : [{ method: 'GET' as const, url: PLAYGROUND, summary: shown }]),
    ...routes.map(({ url, summary }) => ({ method: 'POST' as const, url, summary })),
    {
      method: 'GET',
      url: `${DOCS}/`,
      summary: 'How to ask, with every query and answer (OpenAPI); and to try it',
    },
    { method: 'GET', url: '/v1/model', summary: 'What is served: graphs, sizes, classes, limits' },
    { method: 'GET', url: '/metrics', summary: 'Metrics for Prometheus' },
  ]
  const page = startPage({ version, models, places, index: options.index })
  app.http.get('/', { schema: { hide: true } }, (_, reply) =>
    reply.headers(startPageHeaders).type('text/html; charset=utf-8').send(page),
  )
  return places
}

const DOCS = '/docs'
const PLAYGROUND = '/playground/'

/** What the playground can do with these models; null: nothing. */
function playgroundSummary(models: readonly ServedModel[]): string | null {
  const isServed = (graph: string, output: string) =>
    models.some((model) => model.graph === graph && model.outputs.includes(output))
  const able = [
    ...(isServed('autoencoder', 'prediction') ? ['hide patches of a picture and see what is rebuilt'] : []),
    ...(isServed('encoder', 'attention') ? ['see where its encoder looks'] : []),
    ...(isServed('encoder', 'patches') ? ['choose a patch and see which are like it'] : []),
  ]
  return able.length > 0 ? `The playground: ${able.join(', ')}` : null
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

function addModelFiles({ http }: App, models: readonly ServedModel[]): void {
  http.get<{ Params: { file: string } }>('/models/:file', { schema: { hide: true } }, (request, reply) => {
    const found = models.find((model) => fileName(model) === request.params.file)
    if (!found)
      throw new Refusal(
        'NOT_FOUND',
        `there is no model "${request.params.file}"; there are ${models.map(fileName).join(', ')}`,
      )
    return reply
      .sendFile(basename(found.path), dirname(found.path), { contentType: false })
      .type('application/octet-stream')
  })
}

/** The playground, if it is built; also registers the plugin that sends files. */
async function addPlayground({ http }: App): Promise<boolean> {
  await http.register(files, { root: packageRoot(), serve: false })
  const root = join(packageRoot(), 'dist', 'playground')
  if (!existsSync(join(root, 'index.html'))) return false
  await http.register(playgroundFiles, { root })
  return true
}

/** Its own fastify scope, for its headers. */
const playgroundFiles: FastifyPluginAsync<{ root: string }> = async (scope, { root }) => {
  scope.addHook('onRequest', async (_, reply) => void reply.headers(playgroundHeaders))
  await scope.register(files, {
    ...{ root, prefix: PLAYGROUND, wildcard: false, redirect: true, decorateReply: false },
  })
  // The page looks for models beside itself, so that it also works on a static server.
  scope.get(`${PLAYGROUND}v1/model`, { schema: { hide: true } }, (_, reply) =>
    reply.redirect('../../v1/model'),
  )
}
