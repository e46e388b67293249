/** `serve`: opens exported files and answers requests until it is stopped. Needs no LibTorch. */
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, SherdError } from '../errors.ts'
import type { ExportPrecision } from '../export/precision.ts'
import { coreCount } from '../machine/hardware.ts'
import { sherdVersion } from '../package-root.ts'
import { configureDecoder } from '../prepare/decode/decode.ts'
import type { ImageIndex } from '../search/index-folder.ts'
import type { ImageSize } from '../weights/image-size.ts'
import { buildApp } from './app.ts'
import { gate } from './gate.ts'
import { expectOrigin, isLoopback } from './guard.ts'
import { expectWait, type Limits, limitsOf } from './limits.ts'
import { serverMetrics } from './metrics.ts'
import { findModels, openModels } from './models.ts'
import { openIndexFor } from './neighbours.ts'
import { addRoutes } from './routes.ts'
import { type Answering, answering } from './service.ts'
import type { Place } from './start-page.ts'

export interface ServeOptions {
  /** A folder written by `sherd export onnx`, or a file of it. */
  readonly model: string
  /** Preferred precisions of a folder's files, best first. */
  readonly precisions?: readonly ExportPrecision[]
  /** An index of the encoder, for `/v1/neighbours`. */
  readonly index?: string
  readonly host?: string
  /** 0: any free port. */
  readonly port?: number
  /** Required where other machines can reach the server. */
  readonly token?: string | null
  /** The allowed origin of pages on other servers. */
  readonly cors?: string | null
  /** Per operator. */
  readonly threads?: number
  /** Of the images, where it is not the models': all their graphs must be of any size. */
  readonly imageSize?: ImageSize
  /** Largest batch; by default the best size for the model. */
  readonly mostTogether?: number
  /** How long the first image of a batch waits for others, in ms. */
  readonly mostWait?: number
  readonly limits?: Partial<Limits>
  readonly log?: boolean
  /** Called with errors of the server itself, not of a request. */
  readonly onError?: (error: unknown) => void
}

export interface Server {
  readonly url: string
  readonly port: number
  readonly graphs: readonly string[]
  /** Its pages and routes. */
  readonly places: readonly Place[]
  /**
   * Refuses new requests, answers the open ones, closes. Settles soon after `limits.stopMs`: with false if a graph or a decoder, which
   * cannot be interrupted, is still running.
   */
  stop(): Promise<boolean>
  /** Settles when a compute thread has died: the server must be restarted. */
  readonly failed: Promise<SherdError>
}

const DEFAULT_PORT = 8080
/** Least and most time that `stop` waits for threads whose results nobody needs, in ms. */
const CLOSE_MS = [250, 2000] as const

/** Images are decoded on libuv's threads; one is left for reading files. */
const decodersAtOnce = () => Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || 4) - 1)

/** Throws `USAGE` and `VALUE` for invalid options, `CHECKPOINT` or `VALUE` for files that cannot be served, `RUN` for a port in use. */
export async function serve(options: ServeOptions): Promise<Server> {
  const { host = '127.0.0.1', port = DEFAULT_PORT, token = null, cors = null } = options
  if (token === '') throw new SherdError('USAGE', 'The token is empty: leave it out, or give one.')
  if (token && /\p{Cc}/u.test(token))
    throw new SherdError(
      'USAGE',
      'The token has line breaks or other control characters, which no request can bring: give one line of text.',
    )
  expectOrigin(cors)
  if (!isLoopback(host) && token === null)
    throw new SherdError(
      'USAGE',
      `Others can reach ${host}: give a token that requests must know, --token-file FILE, or SHERD_TOKEN in the environment; or leave --host out.`,
    )
  const { mostWait = 5 } = options
  expectWait(mostWait)
  const given = limitsOf(options.limits)
  // A form with more images than the queue holds would always be refused as `BUSY`.
  const limits = { ...given, images: Math.min(given.images, given.queue) }
  const paths = findModels(options.model, options.precisions)
  configureDecoder()
  const models = await openModels(paths, {
    threads: options.threads ?? coreCount(),
    imageSize: options.imageSize,
    patience: limits.answerMs,
  })
  let index: ImageIndex | null = null
  let working = models.length
  for (const { ended } of models) void ended.then(() => working--)
  const closeAll = async (patience?: number) => {
    await Promise.all([...models.map((model) => model.close(patience)), index?.close()])
  }
  const decoding = gate(decodersAtOnce())
  let state: 'ready' | 'stopping' | 'failed' = 'ready'
  try {
    if (options.index !== undefined) index = await openIndexFor(options.index, models)
    const all: Answering[] = []
    const metrics = serverMetrics(() =>
      Object.fromEntries(all.map(({ model, batches }) => [model.graph, batches.queued])),
    )
    const { mostTogether } = options
    for (const model of models)
      all.push(
        answering(model, { ...(mostTogether && { mostTogether }), mostWait, limits, metrics, decoding }),
      )
    const app = await buildApp({
      ...{ limits, metrics, guard: { host, token, cors }, log: options.log ?? false },
      onError: options.onError ?? (() => {}),
      isStopping: () => state === 'stopping',
    })
    const version = sherdVersion()
    const isReady = () => state === 'ready'
    const places = await addRoutes({
      app,
      answering: all,
      index,
      limits,
      metrics,
      version,
      isReady,
      needsToken: token !== null,
    })
    // Clients of "localhost" reach that address.
    const address = host === 'localhost' ? '127.0.0.1' : host
    await listen(() => app.http.listen({ host: address, port }), host, port)
    const failed = new Promise<SherdError>((resolve) => {
      for (const { ended } of models)
        void ended.then((error) => {
          if (!error) return
          state = 'failed'
          resolve(error)
        })
    })
    const { port: actual } = app.http.server.address() as AddressInfo
    let stopped: Promise<boolean> | null = null
    const stop = async () => {
      const begun = performance.now()
      state = 'stopping'
      await app.close()
      const left = begun + limits.stopMs - performance.now()
      const patience = Math.min(Math.max(CLOSE_MS[0], left), CLOSE_MS[1])
      const late = sleep(patience, undefined, { ref: false })
      await Promise.all([closeAll(patience), Promise.race([decoding.rest(), late])])
      return working === 0 && decoding.busy === 0
    }
    return {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}`,
      ...{ port: actual, graphs: models.map(({ graph }) => graph), places, failed },
      stop: () => {
        stopped ??= stop()
        return stopped
      },
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}

async function listen(start: () => Promise<unknown>, host: string, port: number): Promise<void> {
  try {
    await start()
  } catch (error) {
    const reasons: Readonly<Record<string, string>> = {
      EADDRINUSE: 'it is in use. Take another with --port, or 0 for any that is free.',
      EACCES: 'this user may not listen there. Ports from 1024 on are free to all.',
      EADDRNOTAVAIL: 'this machine does not have that address.',
    }
    const { code = '' } = error as { code?: string }
    throw new SherdError(
      'RUN',
      `Cannot listen on port ${port} of ${host}: ${reasons[code] ?? messageOf(error)}`,
      { cause: error },
    )
  }
}
