/** JSON Schema (2020-12) of what commands print: of one kind, or of a line of any. Fields that it does not name are allowed. */
import { z } from 'zod'
import { type KindName, kindNames, schemaOf } from './kinds.ts'

export type JsonSchema = z.core.JSONSchema.BaseSchema

const open = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, {
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
    },
  })

const bare = ({ $schema: _, ...rest }: JsonSchema): JsonSchema => rest

export const jsonSchemaOf = (name: KindName): JsonSchema => open(schemaOf(name))

/** Every kind under `$defs`; a line is one of them. */
export const jsonSchemaOfLines = (): JsonSchema => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'A line of what a command of sherd prints with --json',
  oneOf: kindNames.map((name) => ({ $ref: `#/$defs/${name}` })),
  $defs: Object.fromEntries(kindNames.map((name) => [name, bare(jsonSchemaOf(name))])),
})
