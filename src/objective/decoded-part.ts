/** The hidden tokens that are predicted where a decoder takes a part of them (CrossMAE, Fu et al. 2024): the others are thrown. */
import { toDevice } from '../tensor/ops.ts'
import type { Device } from '../tensor/tensor.ts'
import { decodePart, type MaskPlan, maskNoise } from '../token/mask.ts'
import type { Address } from './objective.ts'

export interface DecodedPart {
  /** N */
  readonly tokens: number
  /** Tokens that the mask design hides. */
  readonly hidden: number
  readonly maskRatio: number
  /** Share of all tokens that are predicted. */
  readonly decodeRatio: number
  /** Whether plans list hidden tokens in random order, so that the part needs no draws. */
  readonly hasRandomOrder: boolean
  readonly device: Device
}

/** Cuts plans down to what is predicted. Without an address the part is the first ones of the plan. */
export function partOf({ tokens, hidden, maskRatio, decodeRatio, hasRandomOrder, device }: DecodedPart) {
  const decoded = hidden - Math.floor(tokens * (maskRatio - decodeRatio))
  return (plan: MaskPlan, at?: Address): MaskPlan => {
    const M = plan.hidden.shape[1]!
    const isDrawn = at && !hasRandomOrder && decoded < M
    return decodePart(
      plan,
      decoded,
      isDrawn ? toDevice(maskNoise(M, at.seed, at.samples, 'mask/decoded'), device) : undefined,
    )
  }
}
