// Programs in the documentation that import sherd fit the library: TypeScript itself says so, of the types that the build wrote for users.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { packageRoot } from '../src/package-root.ts'

const root = packageRoot()
const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name)),
].filter((name) => name.endsWith('.md'))
/** By a path beside the tests, so that imports resolve as theirs do. */
const programs = new Map(
  pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts(?: [\w.]+)?\n(.*?)^```/gms)]
      .map(([, code]) => code!)
      .filter((code) => code.includes("from 'sherd'"))
      .map((code, i) => [
        join(root, 'test', `${page.replaceAll('/', '-')}-${i}.ts`),
        code.replaceAll("from 'sherd'", "from '../dist/src/index.js'"),
      ]),
  ),
)

it('programs of the pages compile', () => {
  expect(programs.size).toBeGreaterThan(5)
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config,
    ts.sys,
    root,
  )
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.readFile = (path) => programs.get(path) ?? readFile(path)
  host.fileExists = (path) => programs.has(path) || fileExists(path)
  const getSourceFile = host.getSourceFile.bind(host)
  host.getSourceFile = (path, target, ...rest) => {
    const code = programs.get(path)
    return code === undefined
      ? getSourceFile(path, target, ...rest)
      : ts.createSourceFile(path, code, target, true)
  }
  const program = ts.createProgram([...programs.keys()], options, host)
  const found = [...programs.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)!
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText, start = 0 }) =>
        `${path.slice(root.length + 6)}:${file.getLineAndCharacterOfPosition(start).line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    )
  })
  expect(found).toEqual([])
})

it('links between the pages lead to pages and headings that there are', () => {
  const textOf = (page: string) => readFileSync(join(root, page), 'utf8').replace(/^```.*?^```/gms, '')
  const headingsOf = (page: string) =>
    [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    )
  const broken = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [path, heading] = link.split('#') as [string, string?]
        const file = path === '' ? page : join(dirname(page), path)
        if (!existsSync(join(root, file))) return true
        return heading !== undefined && !headingsOf(file).includes(heading)
      })
      .map((link) => `${page}: ${link}`),
  )
  expect(broken).toEqual([])
})
