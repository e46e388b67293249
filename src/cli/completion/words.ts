/** What can be completed: commands with their options and arguments, and the kinds of values that these take. */
import type { Argument, Command, Option } from 'commander'

/** `none`: a number or a name, of which nothing is known. */
export type Values = readonly string[] | 'folder' | 'file' | 'preset' | 'key' | 'none'

export interface CompletedOption {
  /** `--run` and `--model`, with their dashes. */
  readonly names: readonly string[]
  readonly what: string
  /** Null for a switch. */
  readonly values: Values | null
  readonly isRepeated: boolean
}

export interface CompletedCommand {
  /** `evaluate knn`. */
  readonly path: string
  readonly what: string
  readonly commands: readonly { readonly name: string; readonly what: string }[]
  readonly options: readonly CompletedOption[]
  readonly argument: Values | null
}

const kinds: Readonly<Record<string, Values>> = {
  ...{ dir: 'folder', run: 'folder' },
  ...{ file: 'file', path: 'file', from: 'file', query: 'file', report: 'file', paths: 'file' },
  ...{ preset: 'preset', 'key=value': 'key' },
}

function valuesOf(option: Option): Values | null {
  if (!option.required && !option.optional) return null
  if (option.long === '--preset') return 'preset'
  const [, name = ''] = option.flags.match(/[<[](.*?)(?:\.\.\.)?[>\]]/) ?? []
  return option.argChoices ?? kinds[name] ?? 'none'
}

const argumentOf = (argument: Argument | undefined): Values | null =>
  argument ? (argument.argChoices ?? kinds[argument.name()] ?? 'none') : null

const isShown = (command: Command) => command.name() !== 'help'

export function completedCommands(command: Command, path: readonly string[] = []): CompletedCommand[] {
  const below = command.commands.filter(isShown)
  const options = command.options
    .filter((option) => !option.hidden)
    .map((option) => ({
      names: [option.short, option.long].filter((name) => name?.startsWith('--')) as string[],
      what: option.description,
      values: valuesOf(option),
      isRepeated: option.variadic,
    }))
  const help = { names: ['--help'], what: 'explain it', values: null, isRepeated: false }
  return [
    {
      ...{ path: path.join(' '), what: command.description(), options: [...options, help] },
      commands: below.map((each) => ({ name: each.name(), what: each.description() })),
      argument: argumentOf(command.registeredArguments[0]),
    },
    ...below.flatMap((each) => completedCommands(each, [...path, each.name()])),
  ]
}

export interface Completed {
  readonly commands: readonly CompletedCommand[]
  readonly presets: readonly string[]
  /** The keys of `--set` with their values, where these are few. */
  readonly keys: ReadonlyMap<string, readonly string[]>
}

/** The first sentence or clause, for lists beside words. */
export const short = (text: string): string => text.replace(/ \(default: .*\)$/s, '').split(/[;:] |\. /)[0]!
