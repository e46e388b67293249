/** Metadata of reference files: format, objective, and JSON for the rest. */
import { z } from 'zod'
import { readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { messageOf, SherdError } from '../errors.ts'

const formats = ['sherd-reference/1', 'sherd-reference/2']

export interface Heading {
  readonly objective: string
  /** Another format of reference files, perhaps of a later version. */
  readonly otherFormat: string | null
}

/** Throws `CHECKPOINT` or `VALUE` if it is not a reference file. */
export function headingOf(path: string): Heading {
  const { format = '', objective = '' } = readSafetensorsHeader(path).metadata
  const refuse = (why: string) =>
    new SherdError('VALUE', `${path} is not a reference file that sherd can check: ${why}`)
  if (!format.startsWith('sherd-'))
    throw refuse(
      `its format is ${format ? `"${format}"` : 'not stated'}, expected ${formats.map((each) => `"${each}"`).join(' or ')}`,
    )
  if (!formats.includes(format)) return { objective, otherFormat: format }
  if (!objective) throw refuse('its objective is not stated')
  return { objective, otherFormat: null }
}

export function parseMetadata<S extends z.ZodType>(
  text: string | undefined,
  key: string,
  schema: S,
): z.infer<S> {
  try {
    return schema.parse(JSON.parse(text ?? ''))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new SherdError('VALUE', `its metadata "${key}" does not fit the reference format: ${why}`)
  }
}
