// Messages and pages name commands and options: each must be there.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { program } from '../../src/cli/main.ts'
import { packageRoot } from '../../src/package-root.ts'
import { refusal, withinTree, wordsOf } from './parse.ts'

const root = program()
const names = new Set(root.commands.map((command) => command.name()))
const everyOption = new Set(
  withinTree(root).flatMap(({ options }) => options.flatMap(({ long, short }) => [long, short])),
)
everyOption.add('--help')

/** Of other programs. */
const foreign = new Set([
  ...['--install', '--status', '--no-install-recommends'], // Windows, dpkg, apt
  ...['--query-gpu', '--format'], // nvidia-smi
  ...['--no-as-needed'], // the linker
  ...['--data-binary'], // curl
  ...['--ignore-scripts', '--omit'], // npm
  ...['--inputs'], // a Python script
  ...['--left', '--busy'], // decrements in code
  ...['--lr', '--batch-size'], // names that are answered with sherd's
])

const filesIn = (dir: string, ending: string): string[] =>
  readdirSync(join(packageRoot(), dir), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${dir}/${name}`)

/** Of sherd's own scripts, as they give them to `parseArgs`. */
const ofScripts = new Set(
  [...filesIn('scripts', '.mjs'), ...filesIn('bench', '.ts'), ...filesIn('experiments', '.ts')].flatMap(
    (path) =>
      [
        ...readFileSync(join(packageRoot(), path), 'utf8').matchAll(
          /^\s+'?([a-z][a-z-]*)'?: \{ type: '(?:string|boolean)'/gm,
        ),
      ].flatMap(([, name]) => [`--${name}`, `--no-${name}`]),
  ),
)
const read = (file: string) => readFileSync(join(packageRoot(), file), 'utf8')

const sources = filesIn('src', '.ts').map((file) => ({
  file,
  // Without comments; a program's own name is written as it is called here.
  text: read(file)
    .replace(/^\s*(\/\/|\/\*\*|\*).*$/gm, '')
    .replace(/\$\{ownName\(\)\}/g, 'sherd')
    .replaceAll('\\n', '\n'),
}))
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...filesIn('docs', '.md').filter((file) => !file.endsWith('adding.md')),
].map((file) => ({ file, text: read(file) }))

/** What a page says in code that begins with an option. */
const inCode = ({ file, text }: { file: string; text: string }) => ({
  file,
  text: [...text.matchAll(/`(--[a-z][^`]*)`/g)].map(([, code]) => code).join('\n'),
})

const optionsIn = (text: string) =>
  [...text.matchAll(/(?<![\w-]|var\()--[a-z][a-z-]*(?![a-z-]|:\s*(?:#|rgb|light))/g)].map(
    ([option]) => option,
  )

/** Why `words` name no command of sherd or options that it has not; null if all is well. */
function fault(words: readonly string[]): string | null {
  let command: Command = root
  for (const word of words) {
    const next = command.commands.find((each) => each.name() === word)
    if (!next) break
    command = next
  }
  if (command === root && !words[0]!.startsWith('-')) return `there is no command ${words[0]}`
  const known = withinTree(command).flatMap(({ options }) =>
    options.flatMap(({ long, short }) => [long, short]),
  )
  const unknown = optionsIn(words.join(' ')).find((option) => option !== '--help' && !known.includes(option))
  return unknown === undefined ? null : `${command.name()} has no ${unknown}`
}

it('finds what is wrong', () => {
  expect(fault(['pretrain', '--foo'])).toBe('pretrain has no --foo')
  expect(fault(['evaluate', 'knn', '--epochs', '3'])).toBe('knn has no --epochs')
  expect(fault(['nothing'])).toBe('there is no command nothing')
})

describe('commands that are named', () => {
  it('in messages exist, with their options', () => {
    const faults = sources.flatMap(({ file, text }) =>
      [...text.matchAll(/(.?)\bsherd ([a-z][a-z-]*(?:\$\{[^}]*\}|[^"'`\n])*)/g)].flatMap(
        ([, before, rest]) => {
          const words = rest!.split(/[\s,;:.<]+/).filter(Boolean)
          // Without quotation marks it may be prose, such as "sherd reads".
          const isCommand = before === '"' || before === '>' || names.has(words[0]!)
          const found = isCommand ? fault(words) : null
          return found ? [`${file}: sherd ${rest}: ${found}`] : []
        },
      ),
    )
    expect(faults).toEqual([])
  })

  it('in pages exist, with their options', () => {
    const faults = pages.flatMap(({ file, text }) =>
      [...text.matchAll(/`(?:npx )?sherd ([a-z-][^`]*)`/g)].flatMap(([, rest]) => {
        const found = fault(rest!.split(/\s+/).filter(Boolean))
        return found ? [`${file}: sherd ${rest}: ${found}`] : []
      }),
    )
    expect(faults).toEqual([])
  })

  it('in blocks of pages can be run as they stand', async () => {
    const faults: string[] = []
    for (const { file, text } of pages)
      for (const [, line = ''] of text
        .replace(/\\\n\s*/g, '')
        .matchAll(/^(?: {4})?(?:\$ )?(?:npx )?sherd ([a-z][^\n]*)$/gm)) {
        if (/^(?:[a-z]+ ){2}[a-z]+[:,. ]/.test(line) && !line.includes(' -')) continue // prose
        const bare = line
          .replace(/\s+(#|> ).*$/, '')
          .replace(/\[[^\]]*\]/g, (part) => (part.startsWith('[-') ? '' : part))
        const found = await refusal(wordsOf(bare).map((word) => word.replace('…', 'x')))
        if (found) faults.push(`${file}: sherd ${line}: ${found}`)
      }
    expect(faults).toEqual([])
  })

  it('options that are named exist in some command', () => {
    const faults = [...sources, ...pages.map(inCode)].flatMap(({ file, text }) =>
      [...new Set(optionsIn(text))]
        .filter((option) => !everyOption.has(option) && !foreign.has(option) && !ofScripts.has(option))
        .map((option) => `${file}: ${option}`),
    )
    expect(faults).toEqual([])
  })
})
