/**
 * Every kind of object that commands print with `--json`. `printJson` takes nothing else, so the compiler holds what is printed against
 * this table; tests refuse fields that are not in it. For users it grows: fields, values of a choice and kinds may be added.
 */
import { z } from 'zod'
import { invariant } from '../../errors.ts'
import { exchange } from './exchange.ts'
import { kind, text } from './fields.ts'
import { ofImages } from './images.ts'
import { inspecting } from './inspecting.ts'
import { ofMachine } from './machine.ts'
import { planning } from './planning.ts'
import { reports } from './reports.ts'
import { training } from './training.ts'

/** Commands of a kind that each of them may print. */
export const EVERY = '*'

export const kinds = {
  error: kind('The command has failed.', [EVERY], {
    code: text('stable, such as SOURCE; docs/library.md lists them'),
    message: text('what was expected, what came, where, and what to do'),
  }),
  ...training,
  ...planning,
  ...reports,
  ...ofImages,
  ...inspecting,
  ...exchange,
  ...ofMachine,
} as const

type Kinds = typeof kinds
export type KindName = keyof Kinds

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** What `printJson` takes: an object of one of the kinds. */
export type JsonLine = {
  [K in KindName]: { readonly kind: K } & DeepReadonly<
    z.output<z.ZodObject<Kinds[K]['fields'], z.core.$strict>>
  >
}[KindName]

export const kindNames = Object.keys(kinds) as KindName[]

/** Refuses fields that it does not know. */
export const schemaOf = (name: KindName): z.ZodObject => {
  invariant(kinds[name], `there is no kind "${name}" in json/kinds.ts`)
  const { what, fields } = kinds[name]
  return z
    .strictObject({ kind: z.literal(name).describe('what the object is'), ...(fields as z.ZodRawShape) })
    .describe(what)
}

/** The commands that print a kind, such as `export onnx`. */
export const printedBy = (name: KindName): readonly string[] => kinds[name].by
