/** What values a key allows, in words, from its schema. What a schema checks in code says it as `allowed` in its `meta`. */
import { z } from 'zod'

interface Json {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Json[]
  readonly items?: Json | boolean
  readonly prefixItems?: readonly Json[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly allowed?: string
}

function numberInWords(json: Json): string {
  const { minimum, exclusiveMinimum, exclusiveMaximum } = json
  const maximum = json.maximum === Number.MAX_SAFE_INTEGER ? undefined : json.maximum
  const isWhole = json.type === 'integer'
  if (minimum === 0 && maximum === 1 && !isWhole) return 'share 0–1'
  const noun = isWhole ? 'whole number' : 'number'
  if (minimum !== undefined && maximum !== undefined) return `${noun} ${minimum}–${maximum}`
  const bounds = [
    ...(minimum === undefined ? [] : [`≥ ${minimum}`]),
    ...(exclusiveMinimum === undefined ? [] : [`> ${exclusiveMinimum}`]),
    ...(maximum === undefined ? [] : [`≤ ${maximum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`< ${exclusiveMaximum}`]),
  ]
  return [noun, bounds.join(', ')].filter(Boolean).join(' ')
}

function inWords(json: Json): string {
  if (json.allowed !== undefined) return json.allowed
  if (json.anyOf) return json.anyOf.map(inWords).join(' or ')
  if (json.enum) return json.enum.map(String).join(' | ')
  if (json.const !== undefined) return String(json.const)
  if (Array.isArray(json.type)) return json.type.map((type) => inWords({ ...json, type })).join(' or ')
  if (json.prefixItems) return `[${json.prefixItems.map(inWords).join(', ')}]`
  if (json.type === 'array') return `list of (${inWords(json.items as Json)})`
  if (json.type === 'boolean') return 'true | false'
  if (json.type === 'number' || json.type === 'integer') return numberInWords(json)
  if (json.type === 'string') return 'text'
  return json.type === 'null' ? 'null' : ''
}

/** Such as `whole number ≥ 1 or null`; empty for a schema that no words are known for. */
export const allowedValues = (type: z.ZodType): string =>
  inWords(z.toJSONSchema(type, { io: 'input', unrepresentable: 'any' }) as Json)
