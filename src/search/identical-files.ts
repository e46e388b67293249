/** Files of an index with the same bytes, which needs no model. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { sealOf } from '../files/durable.ts'
import { isPack } from '../source/packed-images.ts'
import type { ImageIndex } from './index-folder.ts'

/** Groups of two or more, in the order of the index; null if the files are packed, rasters or gone. */
export function identicalFiles({
  facts: { source },
  images,
}: Pick<ImageIndex, 'facts' | 'images'>): string[][] | null {
  const isFolder = source && statSync(source.dir, { throwIfNoEntry: false })?.isDirectory()
  if (!isFolder || source.rasters || isPack(source.dir)) return null
  const groupsBy = (files: readonly string[], keyOf: (path: string) => string | number | null) => {
    const groups = new Map<string | number, string[]>()
    for (const file of files) {
      const key = keyOf(join(source.dir, file))
      if (key === null) continue
      groups.set(key, [...(groups.get(key) ?? []), file])
    }
    return [...groups.values()].filter(({ length }) => length > 1)
  }
  const bySize = groupsBy(
    images.map(({ file }) => file),
    (path) => statSync(path, { throwIfNoEntry: false })?.size ?? null,
  )
  return bySize.flatMap((files) => groupsBy(files, (path) => sealOf(path).sha256))
}
