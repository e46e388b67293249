/**
 * The files below a folder whose names end as they should, in an order that is the same on every machine. Nothing is opened: whether
 * a file is what its name says is found out when it is read.
 */
import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'

export interface ListedFiles {
  /** Paths below the folder, with `/`, sorted by UTF-16 code units. */
  readonly files: readonly string[]
  /** Visible files of other kinds, sorted the same way: told to the user when there is nothing else. */
  readonly others: readonly string[]
}

/** What is looked for: `images`, with endings in lower case (upper case counts, too). */
export interface FileKind {
  readonly name: string
  readonly extensions: readonly string[]
}

/** What stands for bytes that are not UTF-8. */
const UNREADABLE = '\ufffd'

interface Found {
  readonly kind: FileKind
  readonly files: string[]
  readonly others: string[]
}

interface Folder {
  readonly root: string
  /** The folder's path below `root`: '' or 'a/b/'. */
  readonly below: string
  /** The real paths of this folder (last) and of all that it lies in. */
  readonly ancestors: readonly string[]
}

/**
 * Hidden files and folders (leading dot) are left out; symbolic links are followed, except back into a folder that they lie in. A
 * link that leads nowhere but is named right is kept, so that its loss is reported when it is read.
 *
 * Throws `SOURCE` when `root` does not exist, is no folder, or a folder in it cannot be read.
 */
export async function listFiles(root: string, kind: FileKind): Promise<ListedFiles> {
  const status = await stat(root).catch((error: unknown) => {
    throw new SherdError(
      'SOURCE',
      `Expected a folder of ${kind.name}, but cannot open ${root}: ${messageOf(error)}`,
      { cause: error },
    )
  })
  if (!status.isDirectory())
    throw new SherdError(
      'SOURCE',
      `Expected a folder of ${kind.name}, but ${root} is a file. Give the folder it is in.`,
    )
  const found: Found = { kind, files: [], others: [] }
  await walk({ root, below: '', ancestors: [await realpath(root)] }, found)
  return { files: found.files.sort(), others: found.others.sort() }
}

async function walk(folder: Folder, found: Found): Promise<void> {
  const path = join(folder.root, folder.below)
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    // A name that is not UTF-8 cannot be asked for: the folder stands for itself, and is told about as a file would be.
    if (path.includes(UNREADABLE)) return null
    throw new SherdError(
      'SOURCE',
      `Cannot read the folder ${path}: ${messageOf(error)}. Make it readable, move it away, or put a dot before its name.`,
      { cause: error },
    )
  })
  if (!entries) {
    found.files.push(`${folder.below}${UNREADABLE}`)
    return
  }
  const deeper: Promise<void>[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (entry.isFile()) keep(folder.below + entry.name, found)
    else if (entry.isDirectory()) deeper.push(walk(inside(folder, entry), found))
    else if (entry.isSymbolicLink()) deeper.push(follow(folder, entry, found))
  }
  await Promise.all(deeper)
}

function inside(folder: Folder, entry: Dirent): Folder {
  const real = join(folder.ancestors.at(-1) ?? folder.root, entry.name)
  return { ...folder, below: `${folder.below}${entry.name}/`, ancestors: [...folder.ancestors, real] }
}

async function follow(folder: Folder, entry: Dirent, found: Found): Promise<void> {
  const path = join(folder.root, folder.below, entry.name)
  const target = await stat(path).catch(() => null)
  if (target?.isDirectory()) {
    const real = await realpath(path)
    if (folder.ancestors.includes(real)) return
    const below = `${folder.below}${entry.name}/`
    await walk({ ...folder, below, ancestors: [...folder.ancestors, real] }, found)
  } else if (target === null || target.isFile()) keep(folder.below + entry.name, found)
}

function keep(file: string, { kind, files, others }: Found): void {
  if (kind.extensions.includes(extname(file).toLowerCase())) files.push(file)
  else others.push(file)
}
