/** Finds names of a folder that are the same file: symbolic and hard links. */
import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface Link {
  /** The name that counts, below the folder; the link's target if it is not among the names. */
  readonly to: string
  /** Of hard links the first name counts. */
  readonly kind: 'symbolic' | 'hard'
}

interface Identity {
  readonly key: string
  /** Absolute, with links resolved. */
  readonly real: string
  readonly isLinked: boolean
}

function identityOf(root: string, file: string): Identity | null {
  try {
    const real = realpathSync(join(root, file))
    const { dev, ino, nlink } = statSync(real, { bigint: true })
    // The inode is used only for hard links, since some file systems give all files the same one.
    return { real, key: nlink > 1n ? `${dev}:${ino}` : real, isLinked: real !== join(root, file) }
  } catch {
    return null
  }
}

/** For each of `files` below `dir` the link that it is; null if it is not one or cannot be read. */
export function linksOf(dir: string, files: readonly string[]): (Link | null)[] {
  let root: string
  try {
    root = realpathSync(dir)
  } catch {
    return files.map(() => null)
  }
  const identities = files.map((file) => identityOf(root, file))
  /** The name that counts for each file: not a link, if possible. */
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
