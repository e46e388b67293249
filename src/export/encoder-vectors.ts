/** The vectors of an image that an encoder's graph gives: those that the encoder has. */
import { pooled } from '../model/classifier.ts'
import { prefixOf } from '../model/dimensions.ts'
import type { Encoded } from '../model/encoder.ts'
import { outputRows, outputWidth, ownOutput } from '../model/own-output.ts'
import { weightsOf } from '../model/parameters.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { poolings } from '../token/pool.ts'
import type { FrozenEncoder } from '../weights/frozen-encoder.ts'

type Described = Pick<FrozenEncoder, 'dimensions' | 'parameters'>

/** Widths by name: cls where there is one, mean, and what the encoder itself gives of an image (`pooled`) where it does. */
export function vectorWidths({ dimensions, parameters }: Described): Readonly<Record<string, number>> {
  const { width } = dimensions
  const hasCls = prefixOf(dimensions).some(({ kind }) => kind === 'cls')
  const own = outputWidth(dimensions)
  const hasOwn = own !== null && outputRows(dimensions).every(({ name }) => parameters.has(name))
  return { ...(hasCls && { cls: width }), mean: width, ...(hasOwn && { pooled: own }) }
}

/** [B, width] by name. Called inside a scope. */
export function vectorsOf(encoder: FrozenEncoder, encoded: Encoded): Record<string, Tensor> {
  const { parameters, dimensions, norm = 'norm' } = encoder
  const weights = weightsOf(parameters)
  const widths = vectorWidths(encoder)
  const names = poolings.filter((name) => name in widths)
  const of = (pooling: (typeof poolings)[number]) =>
    pooled(encoded, weights, { pooling, norm, epsilon: dimensions.layerNormEpsilon })
  return {
    ...Object.fromEntries(names.map((name) => [name, of(name)])),
    ...('pooled' in widths && { pooled: ownOutput(encoded, weights, dimensions) }),
  }
}
