/** Fields of what commands print as JSON: each with the sentence that its schema says of it. */
import { z } from 'zod'

export const text = (what: string) => z.string().describe(what)
export const texts = (what: string) => z.array(z.string()).describe(what)
export const number = (what: string) => z.number().describe(what)
export const numbers = (what: string) => z.array(z.number()).describe(what)
export const count = (what: string) => z.int().min(0).describe(what)
export const counts = (what: string) => z.array(z.int().min(0)).describe(what)
export const truth = (what: string) => z.boolean().describe(what)
export const choice = <const T extends readonly string[]>(names: T, what: string) =>
  z.enum(names).describe(what)
/** Of names that are not known beforehand. */
export const byName = <T extends z.ZodType>(value: T, what: string) =>
  z.record(z.string(), value).describe(what)
/** An object whose fields other pages and tables describe. */
export const object = (what: string): z.ZodType<object> => z.record(z.string(), z.unknown()).describe(what)
export const group = <F extends z.ZodRawShape>(fields: F, what: string) =>
  z.strictObject(fields).describe(what)
export const list = <F extends z.ZodRawShape>(fields: F, what: string) =>
  z.array(z.strictObject(fields)).describe(what)
/** A field that is there and may be null. */
export const orNull = <T extends z.ZodType>(field: T) => field.nullable().describe(field.description ?? '')
/** A field that may be absent. */
export const perhaps = <T extends z.ZodType>(field: T) => field.optional().describe(field.description ?? '')

/** An object that commands print: what it is, which commands print it, its fields but `kind`. */
export interface Kind<F extends z.ZodRawShape = z.ZodRawShape> {
  readonly what: string
  readonly by: readonly string[]
  readonly fields: F
}
export const kind = <F extends z.ZodRawShape>(what: string, by: readonly string[], fields: F): Kind<F> => ({
  ...{ what, by, fields },
})

export const path = (what: string) => text(`${what}; an absolute path`)
export const precision = text(
  'type of matrix products: fp32 or bf16; of an exported file its own, such as int8',
)
export const skipped = count('files that could not be used')
