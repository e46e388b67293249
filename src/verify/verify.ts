/** Checks this installation against a reference file, by the objective that the file states. */
import { messageOf, SherdError } from '../errors.ts'
import type { Device } from '../tensor/tensor.ts'
import { checkAugment } from './augment.ts'
import type { Check } from './check.ts'
import { crossmae } from './crossmae.ts'
import { ijepa } from './ijepa.ts'
import { checkLayout, type LayoutOptions, layoutFormat } from './layout.ts'
import { checkMaskRules } from './mask-rules.ts'
import { beit, beitv2, data2vec, maskfeat, simmim } from './mask-tokens.ts'
import { maskedAutoencoder } from './masked-autoencoder.ts'
import { headingOf } from './metadata.ts'
import { checkNetwork } from './network.ts'
import type { NetworkRow } from './network-row.ts'
import type { Checked } from './operator-file.ts'
import { checkQuantizer } from './quantizer.ts'
import { checkSchedules } from './schedules.ts'
import { checkTensorOperators } from './tensor-operators.ts'
import type { Page } from './tolerances.ts'
import { vqPixels } from './vq-pixels.ts'
import { vqkd } from './vqkd.ts'

export interface Verification {
  readonly file: string
  readonly checks: readonly Check[]
  /** What of the file this version cannot compute yet: its format, its objective, or some of its cases. */
  readonly notSupported: readonly string[]
  /** Whether everything was compared and is right. */
  readonly passed: boolean
}

type Checker = (file: string, device: Device) => Checked
const network =
  <Config, Batch, Plan>(row: NetworkRow<Config, Batch, Plan>): Checker =>
  (file, device) =>
    checkNetwork(row, file, device)

const operators =
  (objective: string, page: Page): Checker =>
  (file, device) =>
    checkTensorOperators(page, { file, objective, device })

/** What files can be checked, by the objective that they state. */
const objectives: Readonly<Record<string, Checker>> = {
  mae: network(maskedAutoencoder),
  satmae: network(maskedAutoencoder), // with bands, dates or scales it is the same objective
  simmim: network(simmim),
  maskfeat: network(maskfeat),
  beit: network(beit),
  beitv2: network(beitv2),
  vqkd: network(vqkd),
  'vq-pixels': network(vqPixels),
  crossmae: network(crossmae),
  data2vec: network(data2vec),
  ijepa: network(ijepa),
  augment: checkAugment,
  hog: operators('hog', 'targets'),
  quantizer: checkQuantizer,
  'mask-rules': checkMaskRules,
  schedules: checkSchedules,
  'self-distillation-operators': operators('', 'operators'),
}

/**
 * Checks one file. Throws `VALUE` or `CHECKPOINT` when it is not a reference file; a failed check is a result, and so is a file that
 * this version does not know yet.
 */
export function verifyFile(file: string, device: Device = 'cpu'): Verification {
  const { objective, otherFormat } = headingOf(file)
  const later = (what: string) => ({ file, checks: [], notSupported: [what], passed: false })
  if (otherFormat) return later(`format "${otherFormat}"`)
  const check = Object.hasOwn(objectives, objective) ? objectives[objective] : undefined
  if (!check) return later(`objective "${objective}"`)
  return naming(file, () => judged(file, check(file, device)))
}

/** The same, and layout folders of published encoders, by their file. */
export async function verify(file: string, options: LayoutOptions): Promise<Verification> {
  if (headingOf(file).otherFormat !== layoutFormat) return verifyFile(file, options.device)
  const checked = await checkLayout(file, options).catch((error: unknown) => {
    throw cannot(file, error)
  })
  return judged(file, checked)
}

const judged = (file: string, { checks, notSupported }: Checked): Verification => ({
  ...{ file, checks, notSupported },
  passed: notSupported.length === 0 && checks.every((check) => check.passed),
})

const cannot = (file: string, error: unknown) =>
  new SherdError('VALUE', `${file} cannot be checked: ${messageOf(error)}`, { cause: error })

function naming<T>(file: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw cannot(file, error)
  }
}
