/** Labels by folders: first-level sub-folders are classes. */

export interface Classes {
  /** First-level sub-folders, sorted by UTF-16 code units; empty without labels. */
  readonly classes: readonly string[]
  /** The class of each file; null if a file is outside every sub-folder. */
  readonly labels: Int32Array | null
}

/** `files`: paths below the source's folder, with `/`. */
export function classesOf(files: readonly string[]): Classes {
  const firstFolders = files.map((file) => file.slice(0, Math.max(0, file.indexOf('/'))))
  if (firstFolders.includes('')) return { classes: [], labels: null }
  const classes = [...new Set(firstFolders)].sort()
  const numbers = new Map(classes.map((name, number) => [name, number]))
  return { classes, labels: Int32Array.from(firstFolders, (name) => numbers.get(name) ?? -1) }
}
