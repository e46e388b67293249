/** LRU cache of open raster files. Concurrent requests for a file open it once. */
import { join } from 'node:path'
import { type BlockCache, blockCache } from '../../source/raster/block-cache.ts'
import type { RasterFile } from '../../source/raster/raster-file.ts'
import { openRasterFile } from '../../source/raster/raster-formats.ts'
import type { Values } from '../../source/raster/sample-type.ts'

export interface OpenRasters {
  /** Keeps the file open during `read`. */
  use<T>(file: string, read: (raster: RasterFile) => Promise<T>): Promise<T>
  close(): void
}

const MOST_FILES = 128
/** Of decoded tiles, strips and members. */
const MOST_BYTES = 128e6

interface Entry {
  readonly raster: Promise<RasterFile>
  users: number
}

export function openRasters(dir: string): OpenRasters {
  const blocks: BlockCache<Values | null> = blockCache(MOST_BYTES, (values) => values?.byteLength ?? 0)
  const open = new Map<string, Entry>()
  const closeOne = (file: string, { raster }: Entry) => {
    open.delete(file)
    raster.then((each) => each.close()).catch(() => {}) // already reported to its reader
  }
  const enter = (file: string): Entry => {
    const entry = open.get(file) ?? { raster: openRasterFile({ path: join(dir, file), blocks }), users: 0 }
    open.delete(file)
    open.set(file, entry) // most recent last
    entry.users++
    return entry
  }
  return {
    async use(file, read) {
      const entry = enter(file)
      try {
        return await read(await entry.raster)
      } catch (error) {
        if (open.get(file) === entry && entry.users === 1) closeOne(file, entry) // retried the next time
        throw error
      } finally {
        entry.users--
        for (const [oldest, { users }] of open) {
          if (open.size <= MOST_FILES) break
          if (users === 0) closeOne(oldest, open.get(oldest)!)
        }
      }
    },
    close() {
      for (const [file, entry] of open) closeOne(file, entry)
      blocks.clear()
    },
  }
}
