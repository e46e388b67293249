/** A classifier: the encoder, and a linear head on one vector of its tokens (He et al. 2021, A.1, fine-tuning). */
import { layerNorm } from '../tensor/fused.ts'
import { meanOver, narrow, select } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { applyLinear, normRows } from './block.ts'
import type { Dimensions } from './dimensions.ts'
import { type EncodeOptions, type EncoderInput, encode, encoderRows } from './encoder.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** `mean`: of the patches' tokens before the encoder's norm, and a norm of its own behind it. `cls`: the cls token. */
export type Head = 'mean' | 'cls'

export interface ClassifierShape {
  readonly dimensions: Dimensions
  readonly classes: number
  readonly head: Head
}

export function classifierRows({ dimensions, classes, head }: ClassifierShape): ParameterRow[] {
  const { width } = dimensions
  const rows = encoderRows(dimensions)
  return [
    ...(head === 'cls'
      ? rows
      : [...rows.filter(({ name }) => !name.startsWith('norm.')), ...normRows('fc_norm', width)]),
    { name: 'head.weight', shape: [classes, width], initial: 'head' },
    { name: 'head.bias', shape: [classes], initial: 'zeros' },
  ]
}

/** The logits [B, classes]. */
export function classify(
  input: EncoderInput,
  weights: Weights,
  { dimensions, head }: ClassifierShape,
  options: Pick<EncodeOptions, 'onChange'> = {},
): Tensor {
  return scope(() => {
    const tokens = encode(input, weights, dimensions, { ...options, norm: head === 'cls' })
    if (head === 'cls') return applyLinear(select(tokens, 1, 0), within(weights, 'head'))
    const mean = meanOver(narrow(tokens, 1, 1, tokens.shape[1]! - 1), [1])
    const norm = { weight: weights('fc_norm.weight'), bias: weights('fc_norm.bias') }
    return applyLinear(layerNorm(mean, norm, dimensions.layerNormEpsilon), within(weights, 'head'))
  })
}
