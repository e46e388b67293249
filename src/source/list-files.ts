/**
 * Lists the files below a folder with given extensions, in the same order on every machine. Files are not opened.
 *
 * Every real folder is read once, however many links lead to it: first the folder's own tree, then the targets of its links in the order
 * of their paths. So cyclic links neither repeat files nor recurse for ever.
 */
import type { Dirent } from 'node:fs'
import { readdir, realpath, stat, statfs } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'

export interface ListedFiles {
  /** Paths below the folder, with `/`, sorted by UTF-16 code units. */
  readonly files: readonly string[]
  /** Visible files with other extensions, sorted the same way. */
  readonly others: readonly string[]
  /** Links to folders that are also reached by another path, sorted the same way; without links to their own parents. */
  readonly linkedFolders: readonly LinkedFolder[]
}

export interface LinkedFolder {
  /** Below the folder, with `/`. */
  readonly link: string
  /** Absolute. */
  readonly target: string
}

/** Extensions are in lower case and matched without regard to case. */
export interface FileKind {
  readonly name: string
  readonly extensions: readonly string[]
}

/** More than the largest public image sets; the names alone take gigabytes. */
const MOST_ENTRIES = 20e6
/** Folders read concurrently. */
const AT_ONCE = 16
/** Replaces bytes that are not UTF-8. */
const UNREADABLE = '\ufffd'

/** Pseudo file systems hold no images, and reading them may never end. */
const pseudo: Readonly<Record<number, string>> = { 40864: '/proc', 1650812274: '/sys' }

interface Folder {
  /** Path below the root: '' or 'a/b/'. */
  readonly below: string
  readonly real: string
  readonly device: number
}

interface Found {
  readonly root: string
  readonly kind: FileKind
  readonly most: number
  readonly files: string[]
  readonly others: string[]
  readonly linkedFolders: LinkedFolder[]
  /** Links that are not followed yet, by their path below the root. */
  links: string[]
  /** Real paths of folders that were or will be read. */
  readonly seen: Set<string>
  entries: number
}

/**
 * Skips hidden files and folders (leading dot), devices, pipes and sockets; follows symbolic links. A broken link with a matching name is
 * kept, so that it is reported when it is read.
 *
 * Throws `SOURCE` if `root` is not a folder, a folder in it cannot be read, or there are more than `most` entries.
 */
export async function listFiles(
  root: string,
  kind: FileKind,
  { most = MOST_ENTRIES }: { readonly most?: number } = {},
): Promise<ListedFiles> {
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
  const system = await pseudoSystem(root)
  if (system)
    throw new SherdError(
      'SOURCE',
      `Expected a folder of ${kind.name}, but ${root} belongs to ${system}, where the system shows its state as files.`,
    )
  const real = await realpath(root)
  const found: Found = {
    ...{ root, kind, most, files: [], others: [], linkedFolders: [], links: [], entries: 0 },
    seen: new Set([real]),
  }
  await walk({ below: '', real, device: status.dev }, found)
  while (found.links.length > 0) {
    const links = found.links.sort()
    found.links = []
    for (const link of links) await follow(link, found)
  }
  const { files, others, linkedFolders } = found
  return {
    ...{ files: files.sort(), others: others.sort() },
    linkedFolders: linkedFolders.sort((a, b) => (a.link < b.link ? -1 : 1)),
  }
}

async function pseudoSystem(path: string): Promise<string | null> {
  const type = await statfs(path).then(
    (status) => Number(status.type),
    () => 0,
  )
  return pseudo[type] ?? null
}

/** Reads a folder and all real ones below it, and records their links. */
async function walk(first: Folder, found: Found): Promise<void> {
  const waiting = [first]
  const reading = new Set<Promise<void>>()
  for (;;) {
    while (waiting.length > 0 && reading.size < AT_ONCE) {
      const one = readFolder(waiting.pop()!, found)
        .then((deeper) => void waiting.push(...deeper))
        .finally(() => reading.delete(one))
      reading.add(one)
    }
    if (reading.size === 0) return
    await Promise.race(reading)
  }
}

/** Records the entries of a folder. Returns the real folders in it. */
async function readFolder({ below, real, device }: Folder, found: Found): Promise<Folder[]> {
  const path = join(found.root, below)
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    // A folder whose name is not UTF-8 cannot be opened: it is recorded like a file.
    if (path.includes(UNREADABLE)) return null
    throw new SherdError(
      'SOURCE',
      `Cannot read the folder ${path}: ${messageOf(error)}. Make it readable, move it away, or put a dot before its name.`,
      { cause: error },
    )
  })
  if (!entries) {
    found.files.push(`${below}${UNREADABLE}`)
    return []
  }
  count(entries.length, found)
  const folders: Dirent[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (entry.isFile()) keep(below + entry.name, found)
    else if (entry.isDirectory()) folders.push(entry)
    else if (entry.isSymbolicLink()) found.links.push(below + entry.name)
  }
  const deeper: Folder[] = []
  for (const { name } of folders) {
    const folder = await folderAt(`${below}${name}`, { real: join(real, name), device }, found)
    if (folder) deeper.push(folder)
  }
  return deeper
}

/** A folder to read; null if it was read already or is of a pseudo file system. */
async function folderAt(
  path: string,
  { real, device: around }: Pick<Folder, 'real' | 'device'>,
  { root, seen }: Found,
): Promise<Folder | null> {
  if (seen.has(real)) return null
  seen.add(real)
  const device = (await stat(join(root, path)).catch(() => null))?.dev ?? around
  if (device !== around && (await pseudoSystem(join(root, path)))) return null
  return { below: `${path}/`, real, device }
}

function count(entries: number, found: Found): void {
  found.entries += entries
  if (found.entries > found.most)
    throw new SherdError(
      'SOURCE',
      `${found.root} and what its links lead to hold more than ${found.most.toLocaleString('en-US')} files and folders: ` +
        `give a folder of ${found.kind.name} alone, or several smaller ones.`,
    )
}

async function follow(link: string, found: Found): Promise<void> {
  const path = join(found.root, link)
  const target = await stat(path).catch(() => null)
  if (target?.isDirectory()) {
    const real = await realpath(path)
    if (found.seen.has(real)) {
      const own = await realpath(dirname(path))
      if (!isWithin(own, real)) found.linkedFolders.push({ link, target: real })
      return
    }
    const folder = await folderAt(link, { real, device: -1 }, found)
    if (folder) await walk(folder, found)
  } else if (target === null || target.isFile()) keep(link, found)
}

const isWithin = (path: string, folder: string) =>
  `${path}/`.startsWith(folder === '/' ? folder : `${folder}/`)

function keep(file: string, { kind, files, others }: Found): void {
  if (kind.extensions.includes(extname(file).toLowerCase())) files.push(file)
  else others.push(file)
}
