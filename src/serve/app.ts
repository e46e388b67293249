/** The HTTP server that every route shares: limits, authorisation, errors as JSON, metrics, log. */

import { setMaxListeners } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import multipart from '@fastify/multipart'
import fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { didYouMean } from '../errors.ts'
import { bodies, bodyTypes, collect, type Work } from './bodies.ts'
import { type Connections, connections } from './connections.ts'
import { type GuardOptions, guard } from './guard.ts'
import { plainHeaders } from './headers.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import { errorBody, MOST_FIELDS, named, Refusal, refusalOf, statusOf } from './refusal.ts'
import { lifetime, within } from './request-lifetime.ts'

export interface AppOptions {
  readonly limits: Limits
  readonly guard: GuardOptions
  readonly metrics: Metrics
  /** One line of JSON for each request, on standard error. */
  readonly log: boolean
  /** Called with errors of the server itself. */
  readonly onError: (error: unknown) => void
  readonly isStopping: () => boolean
}

export interface App {
  readonly http: FastifyInstance
  workOf(request: FastifyRequest): Work
  /** Answers open requests, then closes. Settles soon after `limits.stopMs` even if some are still open. */
  close(): Promise<void>
}

/** Need no token: load balancers ask them. */
const openUrls = ['/health']
const answeredWhileStopping = [...openUrls, '/metrics']

/** Time for the last answers to be sent once a stop has waited `limits.stopMs`. */
const FLUSH_MS = 500

/** The route as a metrics label; unknown paths share one, since there can be any number of them. */
const routeOf = (request: FastifyRequest) => request.routeOptions.url ?? 'other'

export async function buildApp(options: AppOptions): Promise<App> {
  const { limits, metrics, isStopping, onError } = options
  const { check, corsHeaders } = guard(options.guard)
  const works = new WeakMap<IncomingMessage, Work>()
  const held = bodies(limits)
  const line = connections()
  metrics.gauge('sherd_body_bytes', 'Bodies of requests in memory', () => held.bytes)
  metrics.gauge('sherd_connections', 'Open connections', () => line.open)
  const ending = new AbortController()
  setMaxListeners(0, ending.signal) // every open request listens
  const http = fastify({
    bodyLimit: limits.bodyBytes,
    return503OnClosing: false, // our own 503 has the JSON form of all errors
    logger: options.log && { level: 'info', stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true }), // we log one line per request
    // Strict: an unknown or invalid query parameter is an error and never dropped.
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false, useDefaults: true } },
    schemaErrorFormatter: ([error]) => new Refusal('QUERY', queryError(error)),
    // URLs that cannot be decoded reach no route and no hook.
    frameworkErrors(error, _, { raw }) {
      const refusal = new Refusal('BODY', error.message)
      metrics.refused(refusal.code)
      raw.writeHead(statusOf(refusal), { ...plainHeaders, 'content-type': 'application/json' })
      raw.end(JSON.stringify(errorBody(refusal)))
    },
    clientErrorHandler: (error, socket) => answerBroken(error, socket, { limits, metrics, line }),
    serverFactory(handle) {
      const server = createServer(
        {
          maxHeaderSize: limits.headerBytes,
          headersTimeout: limits.receiveMs,
          requestTimeout: limits.receiveMs,
          keepAliveTimeout: limits.idleMs,
          connectionsCheckingInterval: Math.max(100, Math.min(5000, limits.receiveMs / 4)),
          requireHostHeader: false, // checked by the guard, whose answer has the JSON form of all errors
        },
        line.inTurn(handle),
      )
      server.setTimeout(limits.receiveMs + limits.answerMs)
      server.maxConnections = limits.connections
      server.on('connection', line.add)
      server.on('checkExpectation', (_, response) => {
        const refusal = new Refusal('EXPECTATION', 'the only expectation that is met is 100-continue')
        metrics.refused(refusal.code)
        response.writeHead(statusOf(refusal), { ...plainHeaders, 'content-type': 'application/json' })
        response.end(JSON.stringify(errorBody(refusal)))
      })
      return server
    },
  })

  http.addHook('onRequest', async (request, reply) => {
    const { headers, method, raw } = request
    reply.headers({ ...plainHeaders, ...corsHeaders(headers.origin) })
    const path = request.url.split('?', 1)[0]!
    check(request.headers, openUrls.includes(path) || method === 'OPTIONS')
    if (isStopping() && !answeredWhileStopping.includes(path))
      throw new Refusal('STOPPING', 'the server is stopping', { 'retry-after': '5' })
    if (method === 'GET' || method === 'HEAD') return
    const bytes = Number(headers['content-length'] ?? 0)
    if (bytes > limits.bodyBytes)
      throw new Refusal(
        'TOO_LARGE',
        `a body of ${bytes} bytes is more than the ${limits.bodyBytes} that a request may have`,
      )
    const encoding = headers['content-encoding'] ?? 'identity'
    if (encoding.toLowerCase() !== 'identity')
      throw new Refusal('TYPE', `expected a body as it is, got one in content-encoding ${encoding}`, {
        'accept-encoding': 'identity',
      })
    const holding = held.open()
    works.set(raw, { life: lifetime(reply.raw, limits.answerMs, ending.signal), holding })
    reply.raw.once('close', holding.release)
  })
  http.addHook('onSend', async (request, reply) => {
    // Closing a connection before its body is read resets it, and the client may lose the answer.
    if (!request.raw.complete) reply.removeHeader('connection')
    else if (isStopping()) reply.header('connection', 'close')
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
    if (refusal.code !== 'TYPE' || error instanceof Refusal) return named(refusal, error, limits)
    return new Refusal('TYPE', `expected a body of ${bodyTypes}, got ${type ?? 'one without content-type'}`)
  }
  http.setErrorHandler((error, request, reply) => {
    const refusal = refuse(error, request)
    // Drain the rest of the body, so that the client reads the answer.
    request.raw.unpipe().resume()
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
  const workOf = ({ raw }: FastifyRequest) => works.get(raw)!
  for (const type of [/^image\//, 'application/octet-stream'])
    http.addContentTypeParser(type, (request: FastifyRequest, payload: IncomingMessage) => {
      const work = workOf(request)
      return within(work.life, collect(payload, work))
    })
  await http.register(multipart, {
    limits: {
      fileSize: limits.bodyBytes + 1, // `collect` reports files that are too large
      files: limits.images,
      fields: MOST_FIELDS,
      fieldSize: 4096,
      parts: limits.images + MOST_FIELDS,
    },
  })
  return {
    http,
    workOf,
    async close() {
      const refuseAll = setTimeout(() => {
        ending.abort(new Refusal('STOPPING', `no answer within the ${limits.stopMs / 1000} s of a stop`))
      }, limits.stopMs)
      const force = setTimeout(line.closeAll, limits.stopMs + FLUSH_MS)
      await line.settle()
      line.closeIdle()
      await http.close()
      clearTimeout(refuseAll)
      clearTimeout(force)
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

/** Answers invalid or incomplete HTTP, for which there is a socket but no request. */
function answerBroken(
  error: Error & { code?: string },
  socket: Socket,
  { limits, metrics, line }: { limits: Limits; metrics: Metrics; line: Connections },
): void {
  const known = named(refusalOf(error), error, limits)
  const refusal =
    known.code === 'FAILED'
      ? new Refusal('BODY', `this is no HTTP that can be read: ${error.message}`)
      : known
  metrics.refused(refusal.code)
  if (!socket.writable || error.code === 'ECONNRESET' || line.isAnswering(socket))
    return void socket.destroy()
  const body = JSON.stringify(errorBody(refusal))
  const head = [
    `HTTP/1.1 ${statusOf(refusal)} Refused`,
    ...Object.entries(plainHeaders).map(([name, value]) => `${name}: ${value}`),
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
