/**
 * Files that could not be decoded: each is told once, and when their share of the source passes a limit the data is
 * broken and the run must stop, because what is left is no longer the data that was meant.
 */
import { SherdError } from '../errors.ts'

export interface SkippedFile {
  /** Path below the source's folder. */
  readonly file: string
  readonly reason: string
}

/** Windows of a scene's rim, clouded dates: they are left out, and no sign that the data is broken. */
export const isEmpty = (reason: string) => reason.startsWith('no data')

export interface SkipLedger {
  /** Notes a file. Throws `DATA_BROKEN` once too many are noted or no other is left, and from then on each time. */
  add(skipped: SkippedFile): void
}

const LISTED = 5

/** `files`: how many the source has. `maxShare`: the largest share of them that may be skipped, 0 to 1. */
export function skipLedger(
  { files, maxShare }: { files: number; maxShare: number },
  onNew: (skipped: SkippedFile) => void,
): SkipLedger {
  const known = new Map<string, SkippedFile>()
  return {
    add(skipped) {
      if (!known.has(skipped.file)) {
        known.set(skipped.file, skipped)
        onNew(skipped)
      }
      const broken = [...known.values()].filter(({ reason }) => !isEmpty(reason)).length
      if (broken > maxShare * files || known.size === files)
        throw brokenData([...known.values()], { files, maxShare })
    },
  }
}

/** The error that lists what was skipped. */
export function brokenData(
  skipped: readonly SkippedFile[],
  { files, maxShare }: { files: number; maxShare: number },
): SherdError {
  const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`
  const listed = skipped.slice(0, LISTED).map(({ file, reason }) => `\n  ${file}: ${reason}`)
  const more = skipped.length > LISTED ? `\n  … and ${skipped.length - LISTED} more` : ''
  return new SherdError(
    'DATA_BROKEN',
    `${skipped.length} of ${files} images (${percent(skipped.length / files)}) cannot be used; ` +
      `at most ${percent(maxShare)} may be skipped. Mend or remove them, or raise the limit.${listed.join('')}${more}`,
  )
}
