/** `sherd schema`: what commands print with --json, as JSON Schema. */
import type { Command } from 'commander'
import { didYouMean, SherdError } from '../../errors.ts'
import { describeCommand } from '../help.ts'
import { printDocument } from '../output.ts'

export function addSchema(root: Command): void {
  const command = root
    .command('schema')
    .description('print the JSON Schema of what commands print with --json')
    .argument('[kind]', 'only this kind of object (default: all)')
    .action(async (name?: string) => {
      const { kindNames } = await import('./kinds.ts')
      const { jsonSchemaOf, jsonSchemaOfLines } = await import('./json-schema.ts')
      if (name === undefined) return printDocument(jsonSchemaOfLines())
      const known = kindNames.find((each) => each === name)
      if (!known)
        throw new SherdError(
          'USAGE',
          `There is no kind "${name}".${didYouMean(name, kindNames)} The kinds are ${kindNames.join(', ')}.`,
        )
      printDocument(jsonSchemaOf(known))
    })
  describeCommand(command, {
    group: 'Machine',
    examples: ['sherd schema  # of every kind', 'sherd schema evaluation  # of the line of sherd evaluate'],
    page: 'cli.md#output-for-programs',
  })
}
