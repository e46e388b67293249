/** The raster files below a folder. As in image-folder.ts, hidden names are left out and links are followed, but not in circles. */
import { readdir, realpath, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'
import { rasterExtensions } from './raster-file.ts'

export interface RasterList {
  /** Paths below the folder, with `/`, sorted by UTF-16 code units. */
  readonly files: readonly string[]
  /** Visible files that are no rasters. */
  readonly others: readonly string[]
}

interface Folder {
  readonly root: string
  /** Below `root`: '' or 'a/b/'. */
  readonly below: string
  /** The real paths of this folder and of all that it lies in. */
  readonly ancestors: readonly string[]
}

/** Throws `SOURCE` when `root` is no folder, or a folder in it cannot be read. */
export async function listRasters(root: string): Promise<RasterList> {
  const status = await stat(root).catch((error: unknown) => {
    throw new SherdError(
      'SOURCE',
      `Expected a folder of rasters, but cannot open ${root}: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  })
  if (!status.isDirectory())
    throw new SherdError(
      'SOURCE',
      `Expected a folder of rasters, but ${root} is a file. Give the folder it is in.`,
    )
  const found = { files: [] as string[], others: [] as string[] }
  await walk({ root, below: '', ancestors: [await realpath(root)] }, found)
  return { files: found.files.sort(), others: found.others.sort() }
}

async function walk(folder: Folder, found: { files: string[]; others: string[] }): Promise<void> {
  const path = join(folder.root, folder.below)
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    throw new SherdError(
      'SOURCE',
      `Cannot read the folder ${path}: ${messageOf(error)}. Make it readable, move it away, or put a dot before its name.`,
      { cause: error },
    )
  })
  const deeper: Promise<void>[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    const below = `${folder.below}${entry.name}`
    const target = entry.isSymbolicLink() ? await stat(join(path, entry.name)).catch(() => null) : entry
    if (target?.isDirectory()) {
      const real = await realpath(join(path, entry.name))
      if (!folder.ancestors.includes(real))
        deeper.push(walk({ ...folder, below: `${below}/`, ancestors: [...folder.ancestors, real] }, found))
    } else if (target === null || target.isFile()) {
      const isRaster = rasterExtensions.includes(extname(below).toLowerCase())
      ;(isRaster ? found.files : found.others).push(below)
    }
  }
  await Promise.all(deeper)
}
