/**
 * Stochastic depth (Huang et al. 2016) per sample: drops residual branches of some samples and scales the others up to keep the
 * mean. The rate grows with depth from 0 to `rate`.
 */
import { draws } from '../random/draws.ts'
import { mul, toDevice, toDtype } from '../tensor/ops.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { SampleAddresses } from '../token/mask.ts'

export interface DropPathOptions {
  /** Of the last block. */
  readonly rate: number
  readonly depth: number
  readonly seed: number
}

/** Factors of a residual branch by sample: 0, or 1 / (1 − the block's rate). A pure function of the samples' addresses. */
export function dropPathFactors(
  { rate, depth, seed }: DropPathOptions,
  { epochs, indices }: SampleAddresses,
  block: number,
  half: 0 | 1,
): Float32Array {
  const own = depth > 1 ? (rate * block) / (depth - 1) : rate
  return Float32Array.from(indices, (index, i) => {
    const kept =
      draws({ seed, stream: `drop-path/${block}/${half}`, epoch: epochs[i]!, index }).uniform() >= own
    return kept ? 1 / (1 - own) : 0
  })
}

/** For `BlocksOptions.onChange`. */
export function dropPath(
  options: DropPathOptions,
  samples: SampleAddresses,
): (change: Tensor, block: number, half: 0 | 1) => Tensor {
  if (options.rate === 0) return (change) => change
  return (change, block, half) => {
    const factors = dropPathFactors(options, samples, block, half)
    if (factors.every((factor) => factor === 1)) return change
    return mul(
      change,
      toDtype(toDevice(tensor(factors, [factors.length, 1, 1]), change.device), change.dtype),
    )
  }
}
