/** A route that takes images, as data: its query, and its answer. The server does the rest. */
import { npyHeader } from '../files/npy.ts'
import type { UploadedImage } from './images.ts'
import { type Result, wholeResult } from './service.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Asked {
  /** The route's `query`, validated, with defaults. */
  readonly query: Readonly<Record<string, unknown>>
  readonly signal: AbortSignal
}

export interface Answer {
  readonly type: string
  readonly body: Uint8Array | object
}

export interface ImageRoute<T extends object> {
  readonly url: string
  readonly summary: string
  readonly query: Readonly<Record<string, JsonSchema>>
  /** The properties of one result. */
  readonly result: Readonly<Record<string, JsonSchema>>
  /** Throws the refusal of a query that cannot be answered, before an image is decoded. */
  check?(query: Asked['query']): void
  of(image: UploadedImage, index: number, asked: Asked): Promise<T>
  answer(results: readonly Result<T>[], asked: Asked): Answer | Promise<Answer>
}

export const numbers: JsonSchema = { type: 'array', items: { type: 'number' } }

export const choice = (values: readonly string[], initial: string, description: string): JsonSchema => ({
  ...{ type: 'string', enum: values, default: initial, description },
})

export const jsonAnswer = (body: object): Answer => ({ type: 'application/json; charset=utf-8', body })

/** Rows of equal width as a `.npy` file. Throws the error of the first failed image, since rows are not named. */
export function npyAnswer<T extends object>(
  results: readonly Result<T>[],
  dtype: '<f4' | '<i4',
  rowOf: (result: T) => { readonly values: Float32Array | Int32Array; readonly shape: readonly number[] },
): Answer {
  const rows = results.map((result) => rowOf(wholeResult(result)))
  const shape = [rows.length, ...rows[0]!.shape]
  const parts = rows.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength))
  return { type: 'application/octet-stream', body: Buffer.concat([npyHeader({ dtype, shape }), ...parts]) }
}
