/** Authorisation: the token, the origin of pages (CORS), and the Host header. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { SherdError } from '../errors.ts'
import { Refusal } from './refusal.ts'

export interface GuardOptions {
  readonly host: string
  readonly token: string | null
  /** The allowed origin of pages on other servers, such as `https://example.org`, or `*`. */
  readonly cors: string | null
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]']

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** Throws `USAGE` for a text that is not an origin. */
export function expectOrigin(cors: string | null): void {
  if (cors === null || cors === '*' || (URL.canParse(cors) && new URL(cors).origin === cors)) return
  throw new SherdError(
    'USAGE',
    `--cors: expected an origin such as https://example.org (no path, no slash at its end), or *, got ${JSON.stringify(cors)}.`,
  )
}

const digest = (text: string) => createHash('sha256').update(text).digest()

/** The token of `Authorization: Bearer TOKEN`, or the password of Basic, which browsers ask people for. */
function tokenOf(authorization: string | undefined): string | null {
  const [, scheme = '', rest = ''] = authorization?.match(/^(\S+) (.*)$/) ?? []
  if (scheme.toLowerCase() === 'bearer') return rest
  if (scheme.toLowerCase() !== 'basic') return null
  const [, password = ''] = Buffer.from(rest, 'base64').toString('utf8').split(/:(.*)/s)
  return password
}

export interface Guard {
  /** Throws the refusal of an unauthorised request. `isOpen`: needs no token. */
  check(headers: IncomingHttpHeaders, isOpen: boolean): void
  /** Empty for requests that are not cross-origin. */
  corsHeaders(origin: string | undefined): Readonly<Record<string, string>>
}

export function guard({ host, token, cors }: GuardOptions): Guard {
  const expected = token === null ? null : digest(token)
  const isAllowed = (origin: string | undefined) => cors !== null && (cors === '*' || origin === cors)
  return {
    check({ host: asked, origin, authorization }, isOpen) {
      if (asked === undefined)
        throw new Refusal('BODY', 'expected the header "Host" with the name of the server')
      const name = asked.replace(/:\d+$/, '').toLowerCase()
      // DNS rebinding: a foreign page whose name resolves to 127.0.0.1 would otherwise pass as ours.
      if (isLoopback(host) && !loopbackNames.includes(name) && name !== host)
        throw new Refusal(
          'HOST',
          `the server answers to ${loopbackNames.join(', ')}, not to ${JSON.stringify(name)}`,
        )
      if (origin !== undefined && !isAllowed(origin) && !isSameOrigin(origin, asked))
        throw new Refusal('ORIGIN', `pages of ${origin} may not ask: start the server with --cors ${origin}`)
      if (isOpen || expected === null) return
      // Digests have equal lengths, as the constant-time comparison needs.
      if (!timingSafeEqual(digest(tokenOf(authorization) ?? ''), expected))
        throw new Refusal(
          'TOKEN',
          'expected the header "Authorization: Bearer TOKEN" with the token of the server',
          { 'www-authenticate': 'Bearer realm="sherd", Basic realm="sherd"' },
        )
    },
    corsHeaders: (origin) =>
      origin !== undefined && isAllowed(origin)
        ? {
            'access-control-allow-origin': cors === '*' ? '*' : origin,
            'access-control-allow-methods': 'GET, POST, OPTIONS',
            'access-control-allow-headers': 'authorization, content-type, range',
            'access-control-expose-headers': 'content-range, content-length, retry-after',
            'access-control-max-age': '600',
            vary: 'origin',
          }
        : {},
  }
}

function isSameOrigin(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host.toLowerCase()
  } catch {
    return false // "null", from a file or a sandbox
  }
}
