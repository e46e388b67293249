/** Which names of a folder are one file: links to it, or names that the file system gave it besides. */
import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface Link {
  /** The name below the folder of the one that counts, or where a link leads when that is none of the names. */
  readonly to: string
  /** `hard`: another name of the same bytes; neither is more than the other, and the first counts. */
  readonly kind: 'symbolic' | 'hard'
}

interface Identity {
  readonly key: string
  /** Absolute, without links. */
  readonly real: string
  readonly isLinked: boolean
}

function identityOf(root: string, file: string): Identity | null {
  try {
    const real = realpathSync(join(root, file))
    const { dev, ino, nlink } = statSync(real, { bigint: true })
    // Where a file has one name alone its number says nothing more, and some file systems give all files the same.
    return { real, key: nlink > 1n ? `${dev}:${ino}` : real, isLinked: real !== join(root, file) }
  } catch {
    return null
  }
}

/** For each of `files` below `dir`, what it is a link to; null for one that stands for itself, and for one that cannot be looked at. */
export function linksOf(dir: string, files: readonly string[]): (Link | null)[] {
  let root: string
  try {
    root = realpathSync(dir)
  } catch {
    return files.map(() => null)
  }
  const identities = files.map((file) => identityOf(root, file))
  /** The name that counts of each file: one that is no link, where there is one. */
  const owners = new Map<string, number>()
  for (const isLinked of [false, true])
    for (const [i, each] of identities.entries())
      if (each?.isLinked === isLinked && !owners.has(each.key)) owners.set(each.key, i)
  return identities.map((each, i) => {
    if (!each) return null
    const owner = owners.get(each.key)!
    const kind = each.isLinked ? 'symbolic' : 'hard'
    if (owner !== i) return { to: files[owner]!, kind }
    return each.isLinked ? { to: each.real, kind } : null
  })
}
