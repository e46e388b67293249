// `--help` and completion start quickly because commands load their code when they are called: what main.ts imports at once is light.
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'

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
