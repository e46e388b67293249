/**
 * The cache that Hugging Face's libraries share: `models--owner--name` with `blobs/` by checksum, `snapshots/COMMIT/` of links to them,
 * `refs/` from branches and tags to commits, `.no_exist/COMMIT/` of files that a commit lacks, and `.locks/` beside.
 */
import {
  copyFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { makeFolder } from '../files/write-whole.ts'
import { COMMIT } from './name.ts'

export interface RepoCache {
  /** Of the repository. */
  readonly folder: string
  readonly locks: string
}

export function repoCache(cache: string, repo: string): RepoCache {
  const name = `models--${repo.replace('/', '--')}`
  return { folder: join(cache, name), locks: join(cache, '.locks', name) }
}

/** The commit that a revision was when it was last looked up; null if it never was. */
export function knownCommit({ folder }: RepoCache, revision: string): string | null {
  if (COMMIT.test(revision)) return revision
  try {
    const commit = readFileSync(join(folder, 'refs', revision), 'utf8').trim()
    return COMMIT.test(commit) ? commit : null
  } catch {
    return null
  }
}

/** Made beside its name and moved there, so that it is never half there. */
function replace(path: string, make: (draft: string) => void): void {
  makeFolder(dirname(path))
  const draft = `${path}.${process.pid}.tmp`
  rmSync(draft, { force: true })
  make(draft)
  renameSync(draft, path)
}

export function keepCommit(cache: RepoCache, revision: string, commit: string): void {
  if (revision === commit || knownCommit(cache, revision) === commit) return
  replace(join(cache.folder, 'refs', revision), (draft) => writeFileSync(draft, commit))
}

export const snapshot = ({ folder }: RepoCache, commit: string): string => join(folder, 'snapshots', commit)

const absence = ({ folder }: RepoCache, commit: string, path: string) =>
  join(folder, '.no_exist', commit, path)

export const isKnownAbsent = (cache: RepoCache, commit: string, path: string): boolean =>
  existsSync(absence(cache, commit, path))

export function keepAbsence(cache: RepoCache, commit: string, path: string): void {
  if (isKnownAbsent(cache, commit, path)) return
  replace(absence(cache, commit, path), (draft) => writeFileSync(draft, ''))
}

export const blobPath = ({ folder }: RepoCache, sum: string): string => join(folder, 'blobs', sum)

/** Gives a blob its name in a snapshot. Where a file system has no links it is a copy. */
export function linkBlob(cache: RepoCache, commit: string, path: string, sum: string): void {
  const place = join(snapshot(cache, commit), path)
  const blob = blobPath(cache, sum)
  const target = relative(dirname(place), blob)
  replace(place, (draft) => {
    try {
      symlinkSync(target, draft)
    } catch (error) {
      if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error
      copyFileSync(blob, draft)
    }
  })
}

/** Files of a folder that are there: links that lead nowhere are not. */
export function filesThere(folder: string): string[] {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return []
  return readdirSync(folder).filter((name) => existsSync(join(folder, name)))
}
