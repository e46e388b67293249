/** The HTTP side that every route shares: limits, who may ask, errors as JSON, what is counted and logged. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import multipart from '@fastify/multipart'
import fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { didYouMean } from '../errors.ts'
import { type GuardOptions, guard } from './guard.ts'
import { bodyTypes } from './images.ts'
import { lifetime } from './lifetime.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import { errorBody, Refusal, refusalOf, statusOf } from './refusal.ts'

export interface AppOptions {
  readonly limits: Limits
  readonly guard: GuardOptions
  readonly metrics: Metrics
  /** One line of JSON for each request, on standard error. */
  readonly log: boolean
  /** Told of errors that are the server's own. */
  readonly onError: (error: unknown) => void
  readonly isStopping: () => boolean
}

export interface App {
  readonly http: FastifyInstance
  /** Until when a request is worth working on. */
  lifeOf(request: FastifyRequest): AbortSignal
}

/** No token is needed: what balancers ask. */
const openUrls = ['/health']

/** A route's address for metrics: paths that nobody serves would be without number. */
const routeOf = (request: FastifyRequest) => request.routeOptions.url ?? 'other'

export async function buildApp(options: AppOptions): Promise<App> {
  const { limits, metrics, isStopping, onError } = options
  const { check, corsHeaders } = guard(options.guard)
  const lives = new WeakMap<IncomingMessage, AbortSignal>()
  const http = fastify({
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.receiveMs,
    connectionTimeout: limits.receiveMs + limits.answerMs,
    keepAliveTimeout: limits.idleMs,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // ours has the form of all errors
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.receiveMs,
      connectionsCheckingInterval: Math.max(100, Math.min(5000, limits.receiveMs / 4)),
    },
    logger: options.log && { level: 'info', stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true }), // ours is one line
    // Strict: a query that is not known, or means nothing, is an error and never left out.
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false, useDefaults: true } },
    schemaErrorFormatter: ([error]) => new Refusal('QUERY', queryError(error)),
    // Addresses that cannot be decoded come to no route and no hook.
    frameworkErrors(error, _, { raw }) {
      const refusal = new Refusal('BODY', error.message)
      metrics.refused(refusal.code)
      raw.writeHead(statusOf(refusal), { 'content-type': 'application/json' })
      raw.end(JSON.stringify(errorBody(refusal)))
    },
    clientErrorHandler: (error, socket) => answerBroken(error, socket, metrics),
  })
  http.server.maxConnections = limits.connections

  let bytesAtOnce = 0
  http.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-content-type-options': 'nosniff', ...corsHeaders(request.headers.origin) })
    check(request.headers, openUrls.includes(request.url) || request.method === 'OPTIONS')
    if (request.method !== 'POST') return
    if (isStopping()) throw new Refusal('STOPPING', 'the server is stopping', { 'retry-after': '5' })
    const bytes = Number(request.headers['content-length'] ?? limits.bodyBytes)
    if (bytes > limits.bodyBytes)
      throw new Refusal(
        'TOO_LARGE',
        `a body of ${bytes} bytes is more than the ${limits.bodyBytes} that a request may have`,
      )
    if (bytesAtOnce + bytes > limits.bytesAtOnce)
      throw new Refusal('BUSY', 'too many bodies are being worked on: try again later', {
        'retry-after': '1',
      })
    bytesAtOnce += bytes
    lives.set(request.raw, lifetime(reply.raw, limits.answerMs))
    reply.raw.once('close', () => {
      bytesAtOnce -= bytes
    })
  })
  http.addHook('onResponse', async (request, reply) => {
    const seconds = reply.elapsedTime / 1000
    metrics.answered({ route: routeOf(request), status: reply.statusCode, seconds })
    const { method, url, ip } = request
    request.log.info({ method, url, ip, status: reply.statusCode, ms: Math.round(1000 * seconds) })
  })

  const refuse = (error: unknown, request: FastifyRequest): Refusal => {
    const type = request.headers['content-type']
    const refusal = refusalOf(error)
    metrics.refused(refusal.code)
    if (refusal.code === 'FAILED') onError(error)
    if (refusal.code !== 'TYPE') return refusal
    return new Refusal('TYPE', `expected a body of ${bodyTypes}, got ${type ?? 'one without content-type'}`)
  }
  http.setErrorHandler((error, request, reply) => {
    const refusal = refuse(error, request)
    return reply
      .code(statusOf(refusal))
      .headers(refusal.headers)
      .type('application/json')
      .send(errorBody(refusal))
  })
  http.setNotFoundHandler((request, reply) => {
    if (request.method === 'OPTIONS') return reply.code(204).send()
    const path = request.url.split('?', 1)[0]!
    const allowed = ['GET', 'POST'].filter((method) => http.hasRoute({ url: path, method: method as 'GET' }))
    throw allowed.length > 0
      ? new Refusal('METHOD', `${path} is asked with ${allowed.join(' or ')}, not ${request.method}`, {
          allow: allowed.join(', '),
        })
      : new Refusal(
          'NOT_FOUND',
          `there is nothing at ${path}.${didYouMean(path, asked)} /openapi.json lists what there is`,
        )
  })
  const asked: string[] = []
  http.addHook('onRoute', ({ url }) => {
    if (!url.includes('*') && !asked.includes(url)) asked.push(url)
  })

  http.removeAllContentTypeParsers()
  for (const type of [/^image\//, 'application/octet-stream'])
    http.addContentTypeParser(type, { parseAs: 'buffer' }, (_, body, done) => done(null, body))
  await http.register(multipart, {
    limits: {
      fileSize: limits.bodyBytes,
      files: limits.images,
      fields: 16,
      fieldSize: 4096,
      parts: limits.images + 16,
    },
  })
  return {
    http,
    lifeOf(request) {
      const life = lives.get(request.raw)
      return life ?? new AbortController().signal
    },
  }
}

interface SchemaError {
  readonly instancePath: string
  readonly message?: string
  readonly params: Readonly<Record<string, unknown>>
}

function queryError(error: SchemaError | undefined): string {
  const { instancePath = '', message = 'cannot be understood', params = {} } = error ?? {}
  if (typeof params.additionalProperty === 'string')
    return `there is no query "${params.additionalProperty}" here`
  const allowed = Array.isArray(params.allowedValues) ? `: ${params.allowedValues.join(', ')}` : ''
  return `${instancePath.slice(1)} ${message}${allowed}`
}

/** What is no HTTP, or does not come to its end: there is a socket, and no request. */
function answerBroken(error: Error & { code?: string }, socket: Socket, metrics: Metrics): void {
  const known = refusalOf(error)
  const refusal =
    known.code === 'FAILED'
      ? new Refusal('BODY', `this is no HTTP that can be read: ${error.message}`)
      : known
  metrics.refused(refusal.code)
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const body = JSON.stringify(errorBody(refusal))
  const head = [
    `HTTP/1.1 ${statusOf(refusal)} Refused`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
