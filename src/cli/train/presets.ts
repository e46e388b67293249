/** `sherd presets`: the presets, one of them in full, or every configuration key. */

import type { Command } from 'commander'
import type { KeyDescription } from '../../config/keys.ts'
import { SherdError } from '../../errors.ts'
import { shortSize } from '../../token/grid.ts'
import { describeCommand } from '../help.ts'
import { print, printJson, table } from '../output.ts'

/** With the allowed values, and the values of other keys with which the key is read. */
function meaningOf({ meaning, values, when }: KeyDescription): string {
  const conditions = Object.entries(when).map(([key, values]) => `${key}=${values.join(' or ')}`)
  return [
    meaning,
    ...(values ? [`[${values.join(' | ')}]`] : []),
    ...(conditions.length > 0 ? [`(with ${conditions.join(', ')})`] : []),
  ].join(' ')
}

export function addPresets(root: Command): void {
  describeCommand(root.command('presets'), {
    group: 'Train',
    page: 'config.md',
    examples: [
      'sherd presets  # all of them, with their sizes',
      'sherd presets mae-small-64  # one with every key',
      'sherd presets --keys --objective mae  # every key that can be set, and what it means',
    ],
  })
    .description('list the presets, or show one with every key')
    .argument('[preset]', 'show this one resolved')
    .option('--keys', 'list every configuration key with its default, values and meaning')
    .option('--objective <name>', 'with --keys: only those that this objective reads')
    .option('--json', 'print as JSON')
    .action(
      async (name: string | undefined, flags: { keys?: boolean; objective?: string; json?: boolean }) => {
        const { presetNames, presetOf } = await import('../../config/presets.ts')
        const { describeKeys, expectChoice } = await import('../../config/keys.ts')
        const { backboneOf, dimensionsOf, resolveConfig } = await import('../../config/resolve.ts')
        const { parameterCount } = await import('../../model/parameters.ts')
        const { backboneRows } = await import('../../model/backbone.ts')
        if (flags.keys) {
          const { objective } = flags
          const keys = describeKeys(
            objective === undefined ? {} : { objective: expectChoice('objective', objective) },
          )
          if (flags.json) return printJson(keys)
          return print(table(keys.map((each) => [each.key, each.initial, meaningOf(each)])))
        }
        if (flags.objective !== undefined)
          throw new SherdError('USAGE', '--objective is for the list of keys: add --keys.')
        if (name !== undefined) return print(JSON.stringify(resolveConfig(presetOf(name).config), null, 2))
        const rows = presetNames.map((each) => {
          const config = resolveConfig(presetOf(each).config)
          const { imageSize, patchSize } = dimensionsOf(config)
          return {
            name: each,
            imageSize,
            patchSize: shortSize(patchSize),
            encoderParameters: parameterCount(backboneRows(backboneOf(config))),
            summary: presetOf(each).summary,
          }
        })
        if (flags.json) return printJson(rows)
        print(
          table(
            [
              ['preset', 'pixels', 'patch', 'encoder', 'what'],
              ...rows.map((row) => [
                row.name,
                row.imageSize.join(' × '),
                [row.patchSize].flat().join(' × '),
                `${(row.encoderParameters / 1e6).toFixed(1)} M`,
                row.summary,
              ]),
            ],
            [2, 3],
          ),
        )
      },
    )
}
