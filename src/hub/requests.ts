/**
 * Requests to the hub: through the proxy that the environment names, repeated where that may help, and refusals in words. What sees the
 * network is undici, whose agent knows HTTPS_PROXY, HTTP_PROXY and NO_PROXY; Node 20's own `fetch` does not.
 */
import { messageOf, SherdError } from '../errors.ts'
import { hubListener } from './listener.ts'
import { isLargeUpload, noLfs, type Purpose, refusal } from './refusal.ts'
import type { HubSettings } from './settings.ts'

/** Tests set it. */
export const pausing = {
  sleep: (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal?.addEventListener('abort', end, { once: true })
    }),
}

/** How often a request is made that fails on the way or at the server. */
export const TRIES = 5
export const backoff = (failures: number): number => 500 * 2 ** failures // 1, 2, 4, 8 s
/** A server that asks for more patience is an error. */
const MOST_WAIT = 15 * 60_000 // ms
const FEWER_WAITS = 20

type Fetch = typeof fetch

let opened: { readonly key: string; readonly fetch: Promise<Fetch> } | null = null

/** `fetch` through the proxy of the environment. One agent for the same environment. */
function fetchOf({ timeout }: HubSettings): Promise<Fetch> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy']
  const proxies = names.flatMap((name) => [process.env[name], process.env[name.toUpperCase()]])
  const key = JSON.stringify([timeout, ...proxies])
  if (opened?.key !== key) opened = { key, fetch: openFetch(timeout) }
  return opened.fetch
}

async function openFetch(timeout: number): Promise<Fetch> {
  const { EnvHttpProxyAgent, fetch } = await import('undici')
  const env = (name: string) => process.env[name] || process.env[name.toUpperCase()] || ''
  const dispatcher = new EnvHttpProxyAgent({
    ...{
      httpProxy: env('http_proxy'),
      httpsProxy: env('https_proxy') || env('http_proxy'),
      noProxy: env('no_proxy'),
    },
    ...{ headersTimeout: timeout, bodyTimeout: timeout, connect: { timeout } },
  })
  return ((url: string, init: object) => fetch(url, { ...init, dispatcher })) as unknown as Fetch
}

/** Why a request failed before it was answered: undici hides the reason in causes. */
export function whyFailed(error: unknown): string {
  const reasons: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (at.message !== '' && at.message !== 'fetch failed') reasons.push(at.message)
  const { code } = (error as { cause?: { code?: unknown } }).cause ?? {}
  return reasons.at(-1) ?? (typeof code === 'string' ? code : messageOf(error))
}

/** Seconds or a date; also the hub's own `RateLimit: "api";r=0;t=12`. Null where the answer does not say it. */
export function retryAfter(headers: Headers, now = Date.now()): number | null {
  const text = headers.get('retry-after')?.trim() ?? ''
  if (/^\d{1,9}$/.test(text)) return 1000 * Number(text)
  const date = Date.parse(text)
  if (!Number.isNaN(date)) return Math.max(0, date - now)
  const reset = /;\s*t=(\d{1,9})/.exec(headers.get('ratelimit') ?? '')?.[1]
  return reset === undefined ? null : 1000 * Number(reset)
}

const discard = (response: Response) => response.body?.cancel().catch(() => {})

export const stopped = (): SherdError =>
  new SherdError(
    'INTERRUPTED',
    'Stopped while downloading; what has come is kept, and the same command continues.',
  )

/** Gets how many bytes of the body of a request, by its number, have been sent in this try. */
export type SentListener = (request: number, bytes: number) => void

/** A body of a known length, counted while it is read. */
function counted(body: Blob, onSent: (bytes: number) => void): ReadableStream {
  let sent = 0
  onSent(0)
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      sent += chunk.length
      onSent(sent)
      controller.enqueue(chunk)
    },
  })
  return body.stream().pipeThrough(counting)
}

/** A certificate that no one here vouches for: trying again helps nothing. */
const isUntrusted = (error: unknown): boolean => {
  const { code } = (error as { cause?: { code?: unknown } }).cause ?? {}
  return typeof code === 'string' && /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET)/.test(code)
}

/** An answer of the hub that is well, after so many tries. The token goes to the hub alone. Throws `HUB`, `INTERRUPTED`. */
export async function ask(
  url: string,
  { headers, body, ...init }: RequestInit,
  settings: HubSettings,
  purpose: Purpose,
  onSent?: (bytes: number) => void,
): Promise<Response> {
  const { endpoint, token } = settings
  const send = await fetchOf(settings)
  const signal = hubListener().signal?.()
  const isOfHub = new URL(url).origin === new URL(endpoint).origin
  const own = new Headers(headers)
  own.delete('authorization')
  own.set('user-agent', 'sherd')
  if (isOfHub && token) own.set('authorization', `Bearer ${token.value}`)
  const { host } = new URL(url)
  const isCounted = onSent !== undefined && body instanceof Blob
  if (isCounted) own.set('content-length', String(body.size)) // storage takes no body of unknown length
  const bodyNow = () => (isCounted ? counted(body, onSent) : body)
  let failures = 0
  for (let waits = 0; ; ) {
    if (signal?.aborted) throw stopped()
    let why: string
    try {
      const response = await send(url, {
        ...{ ...init, headers: own, duplex: 'half' },
        ...(body != null && { body: bodyNow() }),
        ...(signal && { signal }),
      } as RequestInit)
      if (response.ok) return response
      if (response.status === 429) {
        await discard(response)
        await bePatient(response, host, waits++)
        continue
      }
      if (response.status < 500) throw await refusal(response, settings, purpose)
      why = `the server answers ${response.status}`
      await discard(response)
    } catch (error) {
      if (error instanceof SherdError) throw error
      if (signal?.aborted) throw stopped()
      why = whyFailed(error)
      if (isUntrusted(error))
        throw new SherdError(
          'HUB',
          `${host} shows a certificate that this machine does not trust (${why}): where a company's proxy reads along it signs with its own, and NODE_EXTRA_CA_CERTS names the file of that (PEM).`,
          { cause: error },
        )
    }
    failures++
    if (failures >= TRIES)
      throw new SherdError(
        'HUB',
        `Cannot reach ${host} for ${purpose.repo}: ${why}, ${TRIES} times. Look at the network${proxyAdvice()}, and start again: what has come is kept. What is in the cache already needs no network.`,
      )
    hubListener().note(`${host}: ${why}; trying again …`)
    await pausing.sleep(backoff(failures), signal)
  }
}

function proxyAdvice(): string {
  const proxy = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].find((name) => process.env[name])
  return proxy ? ` and the proxy of ${proxy}` : ' (behind a proxy set HTTPS_PROXY)'
}

async function bePatient({ headers }: Response, host: string, waits: number): Promise<void> {
  const ms = retryAfter(headers) ?? backoff(waits + 1)
  const signal = hubListener().signal?.()
  if (ms > MOST_WAIT || waits >= FEWER_WAITS)
    throw new SherdError(
      'HUB',
      `${host} takes no more requests from here for now (429), and asks to wait ${Math.ceil(ms / 60_000)} min: start again then. With a token (HF_TOKEN) it takes more.`,
    )
  hubListener().note(`${host} asks to wait (429): going on in ${Math.ceil(ms / 1000)} s …`)
  await pausing.sleep(ms, signal)
}

const MOST_JSON = 64 << 20

/** The text of an answer, of at most so many bytes. Throws `HUB`. */
async function textOf(response: Response, host: string): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > MOST_JSON)
      throw new SherdError('HUB', `${host} answers with more than ${MOST_JSON} bytes of JSON.`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** A `fetch` for the client: what it gets of the API is well, small, and JSON; the storage, which files are put into, answers as it likes. */
export function clientFetch(settings: HubSettings, purpose: Purpose, onSent?: SentListener): Fetch {
  const { host } = new URL(settings.endpoint)
  let requests = 0
  return async (url, init = {}) => {
    const isSent = init.method === 'PUT'
    const number = requests++
    const response = await ask(
      String(url),
      init,
      settings,
      purpose,
      isSent && onSent ? (bytes) => onSent(number, bytes) : undefined,
    )
    if (isSent) return response
    const text = await textOf(response, host)
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch (error) {
      throw new SherdError('HUB', `${host} ${notJson(text)}`, { cause: error })
    }
    if (isLargeUpload(String(url)) && (json as { transfer?: unknown } | null)?.transfer === 'xet')
      throw noLfs(purpose, 'its answer names Xet')
    const headers = new Headers({ 'content-type': 'application/json' })
    for (const name of ['link', 'x-request-id']) {
      const value = response.headers.get(name)
      if (value !== null) headers.set(name, value)
    }
    return new Response(text, { status: response.status, headers })
  }
}

export const webPage =
  'answers with a web page where a file is expected: a proxy or a log-in page of the network answers in its place. Open the address in a browser, log in, and start again.'

const notJson = (text: string): string =>
  /^\s*</.test(text) ? webPage : 'answers with something else than JSON: is HF_ENDPOINT a hub?'
