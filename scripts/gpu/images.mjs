// The labelled images: a folder, or a .tar.gz file of one, with train/ and test/ somewhere in it. Packed once for pretraining and scoring.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

/** The folder with train/ and test/, at most two levels down. */
function withParts(dir, depth = 2) {
  if (existsSync(join(dir, 'train')) && existsSync(join(dir, 'test'))) return dir
  if (depth === 0) return null
  for (const name of readdirSync(dir)) {
    const below = join(dir, name)
    const found = statSync(below).isDirectory() && withParts(below, depth - 1)
    if (found) return found
  }
  return null
}

function unpacked(file, work) {
  const folder = join(work, basename(file).replace(/\.tar.*$/, ''))
  if (existsSync(folder)) return folder
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const done = spawnSync('tar', ['xf', file, '-C', partial], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (done.status !== 0) throw new Error(`tar could not unpack ${file}`)
  renameSync(partial, folder)
  return folder
}

/** `train` and `test`: folders of image files; `packed`: the same images, decoded. A rehearsal takes some of them. */
export async function images(lease) {
  const { options, work, quick } = lease
  const given = resolve(options.data)
  const found = withParts(statSync(given).isDirectory() ? given : unpacked(given, work))
  if (!found) throw new Error(`there are no folders train/ and test/ in ${given}`)
  const packed = {
    train: join(work, quick ? 'some-train' : 'train'),
    test: join(work, quick ? 'some-test' : 'test'),
  }
  for (const [part, count] of [
    ['train', 320],
    ['test', 100],
  ]) {
    if (existsSync(packed[part])) continue
    const done = await lease.sherd([
      ...['pack', '--data', join(found, part), '--out', packed[part], '--json'],
      ...(quick ? ['--count', String(count)] : []),
    ])
    if (done.status !== 0) throw new Error(`packing ${part}/ ended with status ${done.status}`)
  }
  return { train: join(found, 'train'), test: join(found, 'test'), packed }
}
