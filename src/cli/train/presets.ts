/** `sherd presets`: the presets, one of them in full, or every configuration key. */
import type { Command } from 'commander'
import { print, printJson, table } from '../output.ts'

export function addPresets(root: Command): void {
  root
    .command('presets')
    .description('list the presets, or show one with every key')
    .argument('[preset]', 'show this one resolved')
    .option('--keys', 'list every configuration key with its meaning')
    .option('--json', 'print as JSON')
    .action(async (name: string | undefined, flags: { keys?: boolean; json?: boolean }) => {
      const { presetNames, presetOf } = await import('../../config/presets.ts')
      const { backboneOf, describeKeys, dimensionsOf, resolveConfig } = await import(
        '../../config/resolve.ts'
      )
      const { parameterCount } = await import('../../model/parameters.ts')
      const { backboneRows } = await import('../../model/backbone.ts')
      if (flags.keys) {
        const keys = describeKeys()
        if (flags.json) return printJson(keys)
        return print(table(keys.map(({ key, initial, meaning }) => [key, initial, meaning])))
      }
      if (name !== undefined) return print(JSON.stringify(resolveConfig(presetOf(name).config), null, 2))
      const rows = presetNames.map((each) => {
        const config = resolveConfig(presetOf(each).config)
        const { imageSize, patchSize } = dimensionsOf(config)
        return {
          name: each,
          imageSize,
          patchSize,
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
              String(row.patchSize),
              `${(row.encoderParameters / 1e6).toFixed(1)} M`,
              row.summary,
            ]),
          ],
          [2, 3],
        ),
      )
    })
}
