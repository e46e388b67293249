/** The folder of sherd's own package.json, whether this file runs from `src/` or from `dist/src/`. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { invariant } from './errors.ts'

let found: string | undefined

export function packageRoot(): string {
  let dir = found ?? dirname(fileURLToPath(import.meta.url))
  while (!found) {
    const manifest = join(dir, 'package.json')
    if (
      existsSync(manifest) &&
      (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'sherd'
    )
      found = dir
    else {
      invariant(dirname(dir) !== dir, 'no package.json of sherd above its own source')
      dir = dirname(dir)
    }
  }
  return found
}

export const sherdVersion = (): string =>
  (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version
