/** Error answers: an HTTP status, a code for clients to test, and a message for people. */
import { type ErrorCode, messageOf, SherdError } from '../errors.ts'
import type { Limits } from './limits.ts'

/** HTTP status of each code. */
const statuses = {
  QUERY: 400,
  BODY: 400,
  TOKEN: 401,
  HOST: 403,
  ORIGIN: 403,
  NOT_FOUND: 404,
  METHOD: 405,
  SLOW: 408,
  CONDITION: 412,
  TOO_LARGE: 413,
  TYPE: 415,
  RANGE: 416,
  EXPECTATION: 417,
  IMAGE: 422,
  HEADERS: 431,
  BUSY: 503,
  STOPPING: 503,
  TIMEOUT: 503,
  FAILED: 500,
} as const
export type RefusalCode = keyof typeof statuses

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalCode
  readonly headers: Readonly<Record<string, string>>

  constructor(code: RefusalCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.code = code
    this.headers = headers
  }
}

export const statusOf = ({ code }: Refusal): number => statuses[code]

/** sherd's error codes that are the client's fault. */
const blames: Partial<Record<ErrorCode, RefusalCode>> = { DECODE: 'IMAGE', VALUE: 'QUERY' }

/** Codes of fastify, its multipart plugin, and Node's parser. */
const others: Readonly<Record<string, RefusalCode>> = {
  FST_ERR_VALIDATION: 'QUERY',
  FST_ERR_CTP_BODY_TOO_LARGE: 'TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'TYPE',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'TYPE',
  FST_REQ_FILE_TOO_LARGE: 'TOO_LARGE',
  FST_FILES_LIMIT: 'TOO_LARGE',
  FST_PARTS_LIMIT: 'TOO_LARGE',
  FST_FIELDS_LIMIT: 'TOO_LARGE',
  HPE_HEADER_OVERFLOW: 'HEADERS',
  ERR_HTTP_REQUEST_TIMEOUT: 'SLOW',
}

/** Statuses of @fastify/static. */
const ofFiles: Readonly<Record<number, RefusalCode>> = { 412: 'CONDITION', 416: 'RANGE' }

/** Parts of a form that are not files. */
export const MOST_FIELDS = 16

/** Maps any thrown value to an HTTP error. Details of internal errors are withheld. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  const message = messageOf(error)
  if (error instanceof SherdError) {
    const blamed = blames[error.code]
    return blamed
      ? new Refusal(blamed, message)
      : new Refusal('FAILED', `${error.code}: it is in the server's log`)
  }
  const { code = '', statusCode = 500, headers = {} } = error as SentError
  const known = others[code] ?? ofFiles[statusCode]
  if (known) return new Refusal(known, message, headers)
  return statusCode >= 400 && statusCode < 500
    ? new Refusal('BODY', message)
    : new Refusal('FAILED', "an error of the server: it is in the server's log")
}

interface SentError {
  readonly code?: string
  readonly statusCode?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Adds the number to refusals for limits that fastify and Node enforce without naming it. */
export function named(refusal: Refusal, error: unknown, limits: Limits): Refusal {
  const { code = '' } = error as SentError
  const words = wordsOf(limits)[code]
  return words === undefined ? refusal : new Refusal(refusal.code, words, refusal.headers)
}

const wordsOf = (limits: Limits): Readonly<Record<string, string>> => ({
  FST_FILES_LIMIT: `the form has more than the ${limits.images} files that a request may have`,
  FST_PARTS_LIMIT: `the form has more than the ${limits.images + MOST_FIELDS} parts that a request may have`,
  FST_FIELDS_LIMIT: `the form has more than the ${MOST_FIELDS} fields beside its files that a request may have`,
  HPE_HEADER_OVERFLOW: `the head of the request has more than ${limits.headerBytes} bytes`,
  ERR_HTTP_REQUEST_TIMEOUT: `the request had not come to its end after ${limits.receiveMs / 1000} s`,
})

export const errorBody = ({ code, message }: Refusal) => ({ error: { code, message } })
