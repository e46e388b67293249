/** A smaller labelled set out of a large one: links to every n-th image of each class, for questions that need not see all. */
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openImageFolder } from '../src/source/image-folder.ts'

/** Makes `to`, unless it is there, with one image of `every` from each class of `from`. */
export async function linkFewImages(from: string, to: string, every: number): Promise<string> {
  if (existsSync(to)) return to
  const part = `${to}.part` // half a set would look like a smaller one
  rmSync(part, { recursive: true, force: true })
  const { files, labels } = await openImageFolder(from)
  const seen = new Map<number, number>()
  for (const [i, file] of files.entries()) {
    const label = labels![i]!
    const place = seen.get(label) ?? 0
    seen.set(label, place + 1)
    if (place % every > 0) continue
    mkdirSync(dirname(join(part, file)), { recursive: true })
    symlinkSync(join(from, file), join(part, file))
  }
  renameSync(part, to)
  return to
}
