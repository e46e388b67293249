/** The images to look at: a folder, or files that are named. */
import { statSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import { openData } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import type { ImageSource } from '../source/open.ts'

const COUNT = 8

export interface ShownImages {
  readonly source: ImageSource
  /** How many are shown unless it is said: all files that were named, or some of a folder. */
  readonly usual: number
}

/** Throws `SOURCE` for a path that leads nowhere, `USAGE` for several folders. */
export async function shownImages(config: Config, paths: readonly string[]): Promise<ShownImages> {
  const found = [...new Set(paths.map((path) => resolve(path)))].map((path) => {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (!stats)
      throw new SherdError('SOURCE', `${path} does not exist: expected images, or a folder of them.`)
    return { path, isFolder: stats.isDirectory() }
  })
  const folder = found.find(({ isFolder }) => isFolder)
  if (folder && found.length > 1)
    throw new SherdError('USAGE', `${folder.path} is a folder: give one folder alone, or files.`)
  if (folder) return { source: await openData(config, folder.path), usual: COUNT }
  const dir = found.reduce((above, { path }) => shared(above, dirname(path)), dirname(found[0]!.path))
  const files = found.map(({ path }) => relative(dir, path).split(sep).join('/'))
  return { source: { kind: 'images', dir, files, classes: [], labels: null }, usual: files.length }
}

/** The deepest folder that holds both. */
function shared(a: string, b: string): string {
  const isIn = (path: string) => path === a || path.startsWith(a.endsWith(sep) ? a : a + sep)
  return isIn(b) || dirname(a) === a ? a : shared(dirname(a), b)
}
