// `--help` and completion start quickly because commands load their code when they are called: what main.ts imports at once is light.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, it } from 'vitest'
import { program } from '../../src/cli/main.ts'
import { packageRoot } from '../../src/package-root.ts'
import { pathOf, withinTree } from './parse.ts'

/** Files and packages that a module imports at once, and what these import. */
function atOnce(start: string): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>()
  const packages = new Set<string>()
  const walk = (file: string): void => {
    if (files.has(file)) return
    files.add(file)
    const text = readFileSync(file, 'utf8').replace(/^import type [^;]*?from '.*'$/gm, '')
    for (const [, names, from] of text.matchAll(/^(?:import|export) ([^;'"]*?)from '(.*)'$/gm)) {
      const isTypes = /^\{(\s*type \w+( as \w+)?,?)*\s*\} $/.test(names!)
      if (from!.startsWith('.') && !isTypes) walk(join(dirname(file), from!))
      else if (!from!.startsWith('node:') && !isTypes) packages.add(from!)
    }
  }
  walk(join(packageRoot(), start))
  return { files, packages }
}

it('what the command line imports at once has neither the engine nor large packages', () => {
  const { files, packages } = atOnce('src/cli/main.ts')
  expect(files.size).toBeGreaterThan(50) // the walk works
  const heavy = [...files]
    .map((file) => relative(join(packageRoot(), 'src'), file))
    .filter((file) =>
      /^(tensor|native|model|objective|optim|config|run|evaluate|search|serve|onnx|infer|plan|inspect|weights)\//.test(
        file,
      ),
    )
    .filter((file) => !['tensor/address-space.ts', 'config/common-names.ts'].includes(file))
  expect(heavy).toEqual([])
  expect([...packages].sort()).toEqual(['commander', 'fastest-levenshtein', 'string-width', 'wrap-ansi'])
})

/** The files that a process of the compiled program loads for command lines, run one after the other, and its native libraries at the end. */
function loadedBy(lines: readonly (readonly string[])[]): { files: string[][]; native: string[] } {
  const say = `const say = (...words) => writeSync(2, words.join(' ') + String.fromCharCode(10))`
  const hook = `import { writeSync } from 'node:fs'
    ${say}
    export const load = (url, context, next) => { say('file', url); return next(url, context) }`
  const script = `import { writeSync } from 'node:fs'
    import { register } from 'node:module'
    ${say}
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}))
    const { main } = await import(${JSON.stringify(join(packageRoot(), 'dist/src/cli/main.js'))})
    process.stdout.write = () => true
    for (const line of ${JSON.stringify(lines)}) { say('line', ...line); await main(['node', 'sherd', ...line]) }
    for (const file of process.report.getReport().sharedObjects) say('native', file)`
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  const named = (text: string, what: string) =>
    [...text.matchAll(new RegExp(`^${what} (.*)$`, 'gm'))].map(([, name]) => name!)
  return {
    files: stderr.split(/^line.*$/m).map((text) => named(text, 'file')),
    native: named(stderr, 'native'),
  }
}

it('help of no command loads more than that, and neither it nor a list of presets a native library', () => {
  const all = withinTree(program()).filter((command) => command.name() !== 'help')
  const helps = all.map((command) => [...pathOf(command), '--help'])
  const others = [['presets'], ['presets', '--keys', 'lr'], ['schema', 'error'], ['completion', 'bash']]
  const { files, native } = loadedBy([[], ...helps, ...others])
  const [atStart, ...more] = files
  expect(atStart!.some((file) => file.endsWith('/cli/main.js'))).toBe(true)
  const late = new Set(more.slice(0, 1 + helps.length).flat())
  expect([...late].filter((file) => !/\/prepare\/decode\/(?:quit|deadline)\.js$/.test(file))).toEqual([])
  expect(native.length).toBeGreaterThan(2) // the C library is there
  expect(native.filter((file) => /\.node$|libtorch|vips|onnxruntime/.test(file))).toEqual([])
})
