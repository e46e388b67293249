// What commands print with --json: a table that is complete, described, and the same as the schema that is shipped.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { jsonSchemaOf, jsonSchemaOfLines } from '../../../src/cli/json/json-schema.ts'
import { EVERY, kindNames, printedBy, schemaOf } from '../../../src/cli/json/kinds.ts'
import { program } from '../../../src/cli/main.ts'
import { leavesOf } from '../parse.ts'
import { expectSchema, inProcess } from '../sherd.ts'

const commands = [...leavesOf(program())]
const withJson = commands.filter(([, { options }]) => options.some(({ long }) => long === '--json'))
/** They print JSON in any case, text for a shell, or nothing. */
const without = ['completion', 'help', 'schema']

describe('the kinds', () => {
  it('every command but a few takes --json', () => {
    const names = commands.map(([name]) => name).filter((name) => !withJson.some(([each]) => each === name))
    expect(names.filter((name) => !without.includes(name))).toEqual([])
  })

  it('every command with --json has a kind, and kinds name commands that are there', () => {
    const named = new Set(kindNames.flatMap(printedBy))
    expect(withJson.map(([name]) => name).filter((name) => !named.has(name))).toEqual([])
    named.delete(EVERY)
    expect([...named].filter((name) => !withJson.some(([each]) => each === name))).toEqual([])
  })

  it('every field has a description', () => {
    const missing: string[] = []
    const look = (schema: z.core.JSONSchema.BaseSchema, path: string): void => {
      for (const [name, field] of Object.entries(schema.properties ?? {}) as [string, typeof schema][]) {
        if (!field.description) missing.push(`${path}.${name}`)
        look(field, `${path}.${name}`)
      }
      for (const part of [schema.items, ...(schema.anyOf ?? []), schema.additionalProperties])
        if (part && typeof part === 'object') look(part as typeof schema, path)
    }
    for (const name of kindNames) {
      const schema = jsonSchemaOf(name)
      if (!schema.description) missing.push(name)
      look(schema, name)
    }
    expect(missing).toEqual([])
  })
})

describe('a line', () => {
  const error = { kind: 'error', code: 'SOURCE', message: 'Expected a folder.' }

  it('may not have other fields in tests, and may for users', () => {
    expect(expectSchema(error, ['presets'])).toEqual(error)
    expect(() => expectSchema({ ...error, more: 1 }, ['presets'])).toThrow('Unrecognized key: "more"')
    expect(() => expectSchema({ ...error, code: 1 }, ['presets'])).toThrow('expected string')
    expect(JSON.stringify(jsonSchemaOfLines())).not.toContain('"additionalProperties":false')
  })

  it('is of a kind that the command prints', () => {
    const graphs = { kind: 'sample-data', dir: '/a', count: 1, classes: [] }
    expect(expectSchema(graphs, ['sample-data', '--json'])).toEqual(graphs)
    expect(() => expectSchema(graphs, ['presets'])).toThrow('does not say that presets prints "sample-data"')
    expect(() => expectSchema({ kind: 'nothing' }, ['presets'])).toThrow('no kind "nothing"')
  })

  it('of a mistyped option is an error, too', async () => {
    const { status, json } = await inProcess(['presets', '--json', '--kyes'])
    expect(status).toBe(2)
    expect(json()).toEqual([
      { kind: 'error', code: 'USAGE', message: expect.stringContaining("unknown option '--kyes'") },
    ])
  })
})

describe('sherd schema', () => {
  it('prints that of one kind', async () => {
    const { status, stdout } = await inProcess(['schema', 'error'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      ...{ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' },
      description: 'The command has failed.',
      properties: {
        kind: { type: 'string', const: 'error', description: 'what the object is' },
        code: { type: 'string', description: expect.stringContaining('docs/library.md') },
        message: { type: 'string', description: expect.any(String) },
      },
      required: ['kind', 'code', 'message'],
    })
  })

  it('prints those of all, from which every kind can be read again', async () => {
    const { stdout } = await inProcess(['schema'])
    const all = JSON.parse(stdout) as { oneOf: unknown[]; $defs: Record<string, object> }
    expect(Object.keys(all.$defs)).toEqual(kindNames)
    expect(all.oneOf).toHaveLength(kindNames.length)
    const reread = z.fromJSONSchema(all.$defs.checkpoint as z.core.JSONSchema.BaseSchema)
    const line = { kind: 'checkpoint', step: 3, path: '/run/checkpoints/step-3', added: 'later' }
    expect(reread.safeParse(line).success).toBe(true)
    expect(reread.safeParse({ ...line, step: 'three' }).success).toBe(false)
    expect(schemaOf('checkpoint').safeParse(line).success).toBe(false)
  })

  it('names the kinds where one is mistyped', async () => {
    const { status, stderr } = await inProcess(['schema', 'checkpiont'])
    expect(status).toBe(2)
    expect(stderr).toContain('Did you mean "checkpoint"?')
  })
})
