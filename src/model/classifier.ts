/** A classifier: the encoder, and a linear head on one vector of its tokens (He et al. 2021, A.1, fine-tuning). */

import type { Images } from '../prepare/views.ts'
import { layerNorm } from '../tensor/fused.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Pooling, pool } from '../token/pool.ts'
import { type Backbone, type BackboneShape, backboneRows } from './backbone.ts'
import { applyLinear, normRows } from './block.ts'
import type { EncodeOptions } from './encoder.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** `mean`: of the patches' tokens before the encoder's norm, and a norm of its own behind it. `cls`: the cls token. */
export type Head = Pooling

export interface ClassifierShape {
  readonly backbone: BackboneShape
  readonly classes: number
  readonly head: Head
}

export function classifierRows({ backbone, classes, head }: ClassifierShape): ParameterRow[] {
  const { width } = backbone.dimensions
  const rows = backboneRows(backbone)
  return [
    ...(head === 'cls'
      ? rows
      : [...rows.filter(({ name }) => !name.startsWith('norm.')), ...normRows('fc_norm', width)]),
    { name: 'head.weight', shape: [classes, width], initial: 'head' },
    { name: 'head.bias', shape: [classes], initial: 'zeros' },
  ]
}

export interface ClassifyOptions extends Pick<EncodeOptions, 'onChange'> {
  /** The groups of bands that are seen; null sees all. */
  readonly only?: readonly number[] | null
}

/** The logits [B, classes]. */
export function classify(
  images: Images,
  weights: Weights,
  { backbone, head }: { readonly backbone: Backbone; readonly head: Head },
  options: ClassifyOptions = {},
): Tensor {
  return scope(() => {
    const { tokens, present } = backbone.encodeAll(images, weights, { ...options, norm: head === 'cls' })
    if (head === 'cls') return applyLinear(pool.cls(tokens), within(weights, 'head'))
    const norm = { weight: weights('fc_norm.weight'), bias: weights('fc_norm.bias') }
    const normed = layerNorm(pool.mean(tokens, present), norm, backbone.shape.dimensions.layerNormEpsilon)
    return applyLinear(normed, within(weights, 'head'))
  })
}
