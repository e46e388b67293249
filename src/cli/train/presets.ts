/** `sherd presets`: the presets, one of them in full, or configuration keys. */

import type { Command } from 'commander'
import type { KeyDescription } from '../../config/keys.ts'
import type { ConfigInput } from '../../config/schema.ts'
import { didYouMean, SherdError } from '../../errors.ts'
import { shortSize } from '../../token/grid.ts'
import { describeCommand } from '../help.ts'
import { configOption, setOption } from '../options.ts'
import { print, printDocument, printJson, table } from '../output.ts'
import { columnsOf } from '../terminal.ts'

interface Flags {
  keys?: string | true
  objective?: string
  config?: string
  set: string[]
  json?: boolean
}

/** With the values of other keys with which the key is read. */
function meaningOf({ meaning, allowed, when }: KeyDescription, isTable: boolean): string {
  const conditions = Object.entries(when).map(([key, values]) => `${key}=${values.join(' or ')}`)
  return [
    meaning,
    ...(isTable ? [`[${allowed}]`] : []),
    ...(conditions.length > 0 ? [`(with ${conditions.join(', ')})`] : []),
  ].join(' ')
}

const WIDE = 120 // columns of a table in which meanings can be read

/** A table, or a paragraph for each key on narrower terminals. */
function listOf(keys: readonly KeyDescription[]): string {
  const columns = columnsOf('out')
  if (columns !== null && columns < WIDE)
    return keys
      .map((each) => `${each.key} = ${each.initial}\n  ${each.allowed}\n  ${meaningOf(each, false)}`)
      .join('\n')
  const rows = keys.map((each) => [each.key, each.initial, meaningOf(each, true)])
  return table([['key', 'default', 'meaning, values, and with what it is read'], ...rows], [], {
    header: true,
  })
}

/** A pattern is part of a name, of a meaning, or what other programs call the key. */
async function matching(keys: readonly KeyDescription[], pattern: string): Promise<KeyDescription[]> {
  const { keyNamed } = await import('../../config/common-names.ts')
  const wanted = pattern.toLowerCase()
  const elsewhere = keyNamed(pattern)
  const named = keys.filter(({ key }) => key.toLowerCase().includes(wanted) || key === elsewhere)
  const found =
    named.length > 0 ? named : keys.filter(({ meaning }) => meaning.toLowerCase().includes(wanted))
  if (found.length > 0) return found
  const names = keys.flatMap(({ key }) => [key, key.split('.').at(-1)!])
  throw new SherdError(
    'USAGE',
    `No key has "${pattern}" in its name or meaning.${didYouMean(pattern, names)}`,
  )
}

export function addPresets(root: Command): void {
  describeCommand(root.command('presets'), {
    group: 'Train',
    page: 'config.md',
    examples: [
      'sherd presets  # all of them, with their sizes',
      'sherd presets mae-small-64  # one with every key',
      'sherd presets --keys --objective mae  # every key that can be set, and what it means',
      'sherd presets --keys learning  # keys with "learning" in their names',
    ],
  })
    .description('list the presets, show one with every key, or list the keys')
    .argument('[preset]', 'show this one resolved; with --keys: only the keys that it reads, with its values')
    .option(
      '--keys [pattern]',
      'list configuration keys with default, values and meaning; all, or those that match',
    )
    .option('--objective <name>', 'with --keys: only those that this objective reads')
    .addOption(configOption())
    .addOption(
      setOption('override one key; with --keys: only those that are read then, such as data.kind=rasters'),
    )
    .option('--json', 'print as JSON')
    .action(async (name: string | undefined, flags: Flags) => {
      const { presetNames, presetOf } = await import('../../config/presets.ts')
      if (flags.objective !== undefined && flags.keys === undefined)
        throw new SherdError('USAGE', '--objective is for the list of keys: add --keys.')
      const isGiven = name !== undefined || flags.config !== undefined || flags.set.length > 0
      if (flags.keys !== undefined) {
        // "--keys NAME" is also how one asks for a preset's.
        const isPreset =
          typeof flags.keys === 'string' && name === undefined && presetNames.includes(flags.keys)
        const preset = isPreset ? (flags.keys as string) : name
        const pattern = typeof flags.keys === 'string' && !isPreset ? flags.keys : null
        const keys = await keysOf(preset === undefined ? null : presetOf(preset).config, flags)
        const found = pattern === null ? keys : await matching(keys, pattern)
        return flags.json ? printJson({ kind: 'keys', keys: found }) : print(listOf(found))
      }
      if (isGiven) {
        const { composed } = await import('../config-file.ts')
        const base = name === undefined ? {} : presetOf(name).config
        const config = composed({ base, file: flags.config, set: flags.set })
        return flags.json ? printJson({ kind: 'preset', name: name ?? null, config }) : printDocument(config)
      }
      await listPresets(flags)
    })
}

/** Every key; those that a preset or the given values read, with their values; or those of an objective. */
async function keysOf(
  preset: ConfigInput | null,
  { objective, config, set }: Flags,
): Promise<KeyDescription[]> {
  const { chosenBy, describeKeys, expectChoice } = await import('../../config/keys.ts')
  const { choosers } = await import('../../config/tables.ts')
  const { composedInput } = await import('../config-file.ts')
  const { assignedKeys } = await import('../../config/overrides.ts')
  if (objective !== undefined) expectChoice('objective', objective)
  const input = composedInput({ base: preset ?? {}, file: config, set })
  if (preset === null && config === undefined) {
    // What is not said is left open.
    const said = assignedKeys(set).filter((key) => Object.hasOwn(choosers, key))
    const chosen = Object.entries(chosenBy(input)).filter(([key]) => said.includes(key))
    return describeKeys({ ...Object.fromEntries(chosen), ...(objective !== undefined && { objective }) })
  }
  const { resolveConfig } = await import('../../config/resolve.ts')
  const resolved = resolveConfig(input) as unknown as Record<string, Record<string, unknown>>
  return describeKeys(chosenBy(input)).map((each) => {
    const [group, key] = each.key.split('.') as [string, string | undefined]
    const value = key === undefined ? resolved[group] : resolved[group]?.[key]
    return { ...each, initial: JSON.stringify(value) ?? each.initial }
  })
}

async function listPresets({ json }: Flags): Promise<void> {
  const { presetNames, presetOf } = await import('../../config/presets.ts')
  const { backboneOf, dimensionsOf, resolveConfig } = await import('../../config/resolve.ts')
  const { parameterCount } = await import('../../model/parameters.ts')
  const { backboneRows } = await import('../../model/backbone.ts')
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
  if (json) return printJson({ kind: 'presets', presets: rows })
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
      { header: true },
    ),
  )
}
