/**
 * Files that could not be used: each is reported once. If they exceed a share of the source the run stops, since the rest is no longer the
 * intended data.
 */
import { SherdError } from '../errors.ts'
import { type Corruption, isDamage } from './decode/damage.ts'

export interface SkippedFile {
  /** Path below the source's folder. */
  readonly file: string
  readonly reason: string
}

/** Windows at a scene's rim and clouded dates are skipped without counting as broken. */
export const isEmpty = (reason: string) => reason.startsWith('no data')

export interface SkipLedger {
  /** Records a file. Throws `DATA_BROKEN`, also in later calls, once there are too many or no other file is left. */
  add(skipped: SkippedFile): void
}

/** Size of the source, and the largest share that may be skipped, 0 to 1. */
export interface SkipLimit {
  readonly files: number
  readonly maxShare: number
  /** `stop`: no damaged image is allowed. */
  readonly corrupt?: Corruption | undefined
}

/** One in a hundred. */
export const defaultMaxSkippedShare = 0.01
const ROUNDING = 1e-9 // 0.29 of 100 is a little less than 29

/** Number of files that may be skipped: at least one, unless the share is 0. */
export const mostSkipped = ({ files, maxShare }: SkipLimit): number =>
  maxShare === 0 ? 0 : Math.max(1, Math.floor(maxShare * files + ROUNDING))

const isUnwanted = ({ reason }: SkippedFile, { corrupt }: SkipLimit) => corrupt === 'stop' && isDamage(reason)

/** Throws `DATA_BROKEN` if too many files were skipped, or no other is left. */
export function expectUsable(skipped: readonly SkippedFile[], limit: SkipLimit): void {
  const broken = skipped.filter(({ reason }) => !isEmpty(reason)).length
  const isLast = skipped.length > 0 && skipped.length >= limit.files
  if (broken > mostSkipped(limit) || isLast || skipped.some((each) => isUnwanted(each, limit)))
    throw brokenData(skipped, limit)
}

export function skipLedger(limit: SkipLimit, onNew: (skipped: SkippedFile) => void): SkipLedger {
  const most = mostSkipped(limit)
  const known = new Map<string, SkippedFile>()
  let broken = 0
  return {
    add(skipped) {
      if (!known.has(skipped.file)) {
        known.set(skipped.file, skipped)
        if (!isEmpty(skipped.reason)) broken++
        onNew(skipped)
      }
      if (broken > most || known.size >= limit.files || isUnwanted(skipped, limit))
        throw brokenData([...known.values()], limit)
    },
  }
}

const FILES_LISTED = 3 // per reason
const REASONS_LISTED = 100

/** Reasons with some of their files. */
function reasonsOf(skipped: readonly SkippedFile[]): string {
  const files = new Map<string, string[]>()
  for (const { file, reason } of skipped) files.set(reason, [...(files.get(reason) ?? []), file])
  const lines = [...files].map(([reason, all]) => {
    const more = all.length > FILES_LISTED ? ` and ${all.length - FILES_LISTED} more` : ''
    return `\n  ${all.slice(0, FILES_LISTED).join(', ')}${more}: ${reason}`
  })
  const left = lines.length - REASONS_LISTED
  return lines.slice(0, REASONS_LISTED).join('') + (left > 0 ? `\n  … and ${left} reasons more` : '')
}

function adviceOf(skipped: readonly SkippedFile[], limit: SkipLimit): string {
  if (skipped.some((each) => isUnwanted(each, limit)))
    return 'The first image with damaged data was to stop (data.corrupt is stop). Repair or remove it.'
  if (skipped.length >= limit.files) return 'No other is left.'
  return `At most ${mostSkipped(limit)} may be skipped (data.maxSkippedShare ${limit.maxShare}). Repair or remove them, or allow more: --max-skipped-share.`
}

/** The error that lists what was skipped. */
export function brokenData(skipped: readonly SkippedFile[], limit: SkipLimit): SherdError {
  const { files } = limit
  const percent = `${Number(((100 * skipped.length) / files).toPrecision(2))} %`
  const damage = skipped.some(({ reason }) => isDamage(reason))
    ? ' Damaged data is taken as it is decoded with --corrupt keep.'
    : ''
  const advice = adviceOf(skipped, limit) + damage
  return new SherdError(
    'DATA_BROKEN',
    `${skipped.length} of ${files} images (${percent}) cannot be used. ${advice}${reasonsOf(skipped)}`,
  )
}
