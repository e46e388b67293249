/** Checks this installation against a reference file, by the objective that the file states. */
import { messageOf, SherdError } from '../errors.ts'
import type { Device } from '../tensor/tensor.ts'
import { checkAugment } from './augment.ts'
import type { Check } from './check.ts'
import { checkNetwork } from './network.ts'
import type { Checked } from './operator-file.ts'
import { headingOf } from './reference.ts'
import { checkSchedules } from './schedules.ts'

export interface Verification {
  readonly file: string
  readonly checks: readonly Check[]
  /** What of the file this version cannot compute yet: its format, its objective, or some of its cases. */
  readonly notSupported: readonly string[]
  /** Whether everything was compared and is right. */
  readonly passed: boolean
}

const network = (file: string, device: Device): Checked => ({
  checks: checkNetwork(file, device),
  notSupported: [],
})

/** What files can be checked. */
const objectives: Readonly<Record<string, (file: string, device: Device) => Checked>> = {
  mae: network,
  satmae: network,
  augment: checkAugment,
  schedules: checkSchedules,
}

/**
 * Checks one file. Throws `VALUE` or `CHECKPOINT` when it is not a reference file; a failed check is a result, and so is a file that
 * this version does not know yet.
 */
export function verifyFile(file: string, device: Device = 'cpu'): Verification {
  const { objective, otherFormat } = headingOf(file)
  const later = (what: string) => ({ file, checks: [], notSupported: [what], passed: false })
  if (otherFormat) return later(`format "${otherFormat}"`)
  if (!Object.hasOwn(objectives, objective)) return later(`objective "${objective}"`)
  try {
    const { checks, notSupported } = objectives[objective]!(file, device)
    const passed = notSupported.length === 0 && checks.every((check) => check.passed)
    return { file, checks, notSupported, passed }
  } catch (error) {
    throw new SherdError('VALUE', `${file} cannot be checked: ${messageOf(error)}`, { cause: error })
  }
}
