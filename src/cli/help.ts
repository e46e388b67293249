/** What `--help` shows: groups of commands and options, examples that work, and the page to read. */
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type Command, Help, Option } from 'commander'
import { exportedFile } from '../export/exported-file.ts'
import type { GraphName } from '../export/formats.ts'
import { packageRoot } from '../package-root.ts'
import { paint } from './output.ts'
import { ownName } from './own-name.ts'

/** In the order of `sherd --help`. */
export const commandGroups = [
  'Train',
  'Evaluate',
  'Use a model',
  'Search images',
  'Exchange models',
  'Data',
  'Machine',
] as const

export interface Description {
  /** Of a command of the first level. */
  readonly group?: (typeof commandGroups)[number]
  /** Command lines that work, each `sherd …  # what it does`. */
  readonly examples: readonly string[]
  /** What help calls the command's own options; "Options" unless given. */
  readonly options?: string
  /** Of `docs/`, with an anchor where that helps: `search.md#duplicates`. */
  readonly page: string
}

const descriptions = new WeakMap<Command, Description>()

export const descriptionOf = (command: Command): Description | undefined => descriptions.get(command)

export function describeCommand(command: Command, description: Description): Command {
  descriptions.set(command, description)
  return command
}

/** The option that names a trained model, the same in every command. `exported`: the graph that an export folder stands for. */
export function modelOption({
  what = 'a run, a checkpoint of it, a .safetensors file, or hf:owner/name of the Hugging Face hub',
  required = true,
  exported,
}: {
  readonly what?: string
  readonly required?: boolean
  readonly exported?: GraphName
} = {}): Option {
  const option = new Option('--run, --model <path>', what).makeOptionMandatory(required)
  return exported ? option.argParser((path) => exportedFile(path, exported)) : option
}

const OWN = 'Options'
/** The groups of options in their order. An option that is not listed is one of the command's own, unless it says its group (`helpGroup`). */
const optionGroups: Readonly<Record<string, readonly string[]>> = {
  Input: ['data', 'images', 'train', 'test', 'index', 'features'],
  Model: ['model', 'init', 'preset', 'config', 'set', 'model-seed', 'bands', 'image-size'],
  [OWN]: [],
  Watching: ['probe', 'profile', 'profile-steps'],
  Continuing: ['resume', 'accept-data-change', 'supervise', 'restarts'],
  Output: ['out', 'overwrite', 'csv', 'save', 'open', 'no-open', 'json', 'quiet', 'verbose'],
  'Reading images': ['max-skipped-share', 'max-pixels', 'corrupt', 'file-timeout'],
  Machine: ['device', 'precision', 'threads'],
  Help: ['help', 'version'],
}
const groupOfName = new Map(
  Object.entries(optionGroups).flatMap(([group, names]) => names.map((name) => [name, group] as const)),
)
const groupOf = ({ long, helpGroupHeading }: Option): string =>
  helpGroupHeading ?? groupOfName.get(long!.slice(2)) ?? OWN

const required = new WeakSet<Option>()
/** For options whose `mandatory` is checked elsewhere. */
export const markRequired = (option: Option): void => {
  required.add(option)
}
const isRequired = (option: Option): boolean => option.mandatory || required.has(option)

const oneOf = (choices: readonly string[]): string =>
  choices.length < 3 ? choices.join(' or ') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`

/** `where to compute (auto, cpu or cuda; default: auto)`: each fact once, whether the text or commander knows it. */
function explain(option: Option): string {
  const { description, argChoices, defaultValue, defaultValueDescription, envVar } = option
  const [, text = '', own] = description.match(/^(.*?)(?: \((default: .*)\))?$/s)!
  const usual =
    own ??
    (defaultValue === undefined || option.isBoolean()
      ? ''
      : `default: ${defaultValueDescription ?? String(defaultValue)}`)
  const facts = [
    isRequired(option) ? 'required' : '',
    argChoices ? oneOf(argChoices) : '',
    usual === 'default: none' ? '' : usual,
    envVar === undefined ? '' : `or ${envVar} in the environment`,
  ].filter(Boolean)
  return facts.length > 0 ? `${text} (${facts.join('; ')})` : text
}

/** The widest text that is read with ease. */
const WIDEST = 100
/** A description narrower than this goes below its term. */
const NARROW = 30

/** Breaks a command line before its options and `>`, as a shell takes it. */
function breakCommand(line: string, width: number): string[] {
  const [first = '', ...parts] = line.split(/ (?=--?[a-z]|> )/)
  const lines = [first]
  for (const part of parts) {
    const last = lines.pop()!
    if (last.length + part.length + 3 <= width) lines.push(`${last} ${part}`)
    else lines.push(`${last} \\`, `    ${part}`)
  }
  return lines
}

/** Where a user can open a page: below this folder, or with its whole path. */
function pageHere(page: string): string {
  const [file = '', anchor] = page.split('#')
  const path = join(packageRoot(), 'docs', file)
  const near = relative(process.cwd(), path)
  const shown = near.startsWith('..') || !existsSync(near) ? path : near
  return anchor === undefined ? shown : `${shown}#${anchor}`
}

interface Section {
  readonly title: string
  /** Terms with what they mean. */
  readonly items: readonly (readonly [term: string, meaning: string])[]
}

export class SherdHelp extends Help {
  override minWidthToWrap = 20

  override prepareContext({ helpWidth = 80 }: { helpWidth?: number }): void {
    this.helpWidth = Math.min(helpWidth, WIDEST)
  }

  override styleTitle(text: string): string {
    return paint('bold', text) // commander removes it where there are no colours
  }

  override formatHelp(command: Command): string {
    const width = this.helpWidth ?? 80
    const { examples = [], page } = descriptionOf(command) ?? {}
    const sections = this.#sections(command)
    const termWidth = Math.max(0, ...sections.flatMap(({ items }) => items.map(([term]) => term.length)))
    const usage = `${this.styleTitle('Usage:')} ${this.commandUsage(command)}`
    const lines = [this.boxWrap(usage, width), '']
    if (command.description()) lines.push(this.boxWrap(command.description(), width), '')
    for (const { title, items } of sections)
      lines.push(
        this.styleTitle(`${title}:`),
        ...items.map(([term, text]) => this.#item(term, termWidth, text)),
        '',
      )
    if (examples.length > 0) lines.push(this.styleTitle('Examples:'))
    for (const example of examples) lines.push(...this.#example(example), '')
    if (page) lines.push(this.boxWrap(`Read more: ${pageHere(page)}`, width), '')
    return lines.join('\n')
  }

  #sections(command: Command): Section[] {
    const options = this.visibleOptions(command)
    const names = [...new Set([...Object.keys(optionGroups), ...options.map(groupOf)])]
    const commands = this.visibleCommands(command)
    const groups = [...new Set([...commandGroups, 'Commands'])]
    const groupOfCommand = (each: Command) => descriptionOf(each)?.group ?? 'Commands'
    return [
      {
        title: 'Arguments',
        items: this.visibleArguments(command).map(
          (each) =>
            [
              each.name(),
              each.required ? `${each.description} (required)` : this.argumentDescription(each),
            ] as const,
        ),
      },
      ...groups.map((title) => ({
        title,
        items: commands
          .filter((each) => groupOfCommand(each) === title)
          .map((each) => [each.name(), this.subcommandDescription(each)] as const),
      })),
      ...names.map((name) => ({
        title: name === OWN ? (descriptionOf(command)?.options ?? OWN) : name,
        items: options
          .filter((option) => groupOf(option) === name)
          .sort((a, b) => Number(isRequired(b)) - Number(isRequired(a)))
          .map((option) => [option.flags, explain(option)] as const),
      })),
    ].filter(({ items }) => items.length > 0)
  }

  #item(term: string, termWidth: number, meaning: string): string {
    const width = this.helpWidth ?? 80
    const isNarrow = width - termWidth - 4 < NARROW
    const indent = isNarrow ? 6 : termWidth + 4
    const text = this.boxWrap(meaning, width - indent).replaceAll('\n', `\n${' '.repeat(indent)}`)
    return isNarrow ? `  ${term}\n${' '.repeat(indent)}${text}` : `  ${term.padEnd(termWidth)}  ${text}`
  }

  #example(example: string): string[] {
    const width = (this.helpWidth ?? 80) - 2
    const [line = '', comment = ''] = example.replace(/^sherd /, `${ownName()} `).split(/\s+# /)
    const about = comment === '' ? [] : this.boxWrap(comment, width - 2).split('\n')
    return [...about.map((part) => `  # ${part}`), ...breakCommand(line, width).map((part) => `  ${part}`)]
  }
}
