import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { commandGroups, descriptionOf } from '../../src/cli/help.ts'
import { program } from '../../src/cli/main.ts'
import { packageRoot } from '../../src/package-root.ts'
import { refusal, withinTree, wordsOf } from './parse.ts'

const root = program()
const names = (command: (typeof root)['commands'][number]): string =>
  command.parent ? `${names(command.parent)} ${command.name()}` : command.name()
const visible = root.commands.filter((command) => command.name() !== 'help')
const all = [root, ...visible.flatMap(withinTree)].map((command) => ({ name: names(command), command }))

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...page.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  )

const helpAt = (command: (typeof root)['commands'][number], helpWidth: number): string => {
  const help = command.createHelp()
  help.prepareContext({ helpWidth })
  return stripVTControlCharacters(help.formatHelp(command, help))
}

describe.each(all)('$name --help', ({ name, command }) => {
  const description = descriptionOf(command)!

  it('has examples that the parser takes', async () => {
    expect(description.examples.length).toBeGreaterThan(0)
    expect(description.examples.length).toBeLessThan(5)
    for (const example of description.examples) {
      const [line = '', comment] = example.split(/\s+# /)
      expect(comment, example).toMatch(/\w/)
      expect(`${line} `).toContain(`${name} `)
      const [program, ...args] = wordsOf(line.replace(/ > .*$/, ''))
      expect(program).toBe('sherd')
      expect(await refusal(args), line).toBeNull()
    }
  })

  it('names a page that is in the package', () => {
    const [file = '', anchor] = description.page.split('#')
    const path = join(packageRoot(), 'docs', file)
    expect(existsSync(path), path).toBe(true)
    if (anchor !== undefined) expect(anchorsOf(readFileSync(path, 'utf8'))).toContain(anchor)
  })

  it.each([40, 80, 200])('fits a terminal of %i columns', (columns) => {
    const long = helpAt(command, columns)
      .split('\n')
      .filter((line) => line.length > Math.min(columns, 100))
    for (const line of long) expect(line.trim()).toMatch(/^(> )?\S+$/) // a path
  })
})

it('groups commands, and marks what is required once', () => {
  for (const command of visible)
    expect(commandGroups, command.name()).toContain(descriptionOf(command)?.group)
  const text = helpAt(root.commands.find((each) => each.name() === 'embed')!, 100)
  expect(text.match(/^ {2}--run, --model <path>.*$/m)![0]).toMatch(/ {2}an exported|a run/)
  expect(text.match(/\(required\)/g)).toHaveLength(3) // the folder, the model, --out
  expect(text).toMatch(/^ {2}--pool <feature> +what to write, several with commas into a \.safetensors:/m)
  expect(text).toMatch(/^ {2}--device <device> +where to compute \(auto, cpu or cuda; default: auto\)$/m)
  expect(text).toMatch(/^ {2}--precision <type> +type of matrix products \(fp32 or bf16; default: fp32\)$/m)
  const titles = [...text.matchAll(/^(\S.*):$/gm)].map(([, title]) => title)
  expect(titles).toEqual([
    'Arguments',
    'Model',
    'Options',
    'Output',
    'Reading images',
    'Machine',
    'Help',
    'Examples',
  ])
  // Where others have names, "Options" would say nothing.
  const pretrain = helpAt(root.commands.find((each) => each.name() === 'pretrain')!, 100)
  const groups = [...pretrain.matchAll(/^(\S.*):\n {2}(--\S+)/gm)].map(([, title, first]) => [title, first])
  expect(groups.slice(2, 6)).toEqual([
    ['Training', '--steps'],
    ['Watching', '--probe'],
    ['Continuing', '--resume'],
    ['Output', '--out'],
  ])
})
