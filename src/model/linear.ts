/** Linear maps and layer norms: their parameters by name, and how a map is applied. */
import { linear, type WeightAndBias } from '../tensor/fused.ts'
import { linear as plainLinear } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { ParameterRow, Weights } from './parameters.ts'

/** The rows of a linear map `name` from `input` to `output` numbers. */
export function linearRows(name: string, input: number, output: number): ParameterRow[] {
  return [
    { name: `${name}.weight`, shape: [output, input], initial: 'xavier' },
    { name: `${name}.bias`, shape: [output], initial: 'zeros' },
  ]
}

/** The rows of a layer norm. */
export function normRows(name: string, width: number): ParameterRow[] {
  return [
    { name: `${name}.weight`, shape: [width], initial: 'ones' },
    { name: `${name}.bias`, shape: [width], initial: 'zeros' },
  ]
}

export const weightAndBias = (weights: Weights): WeightAndBias => ({
  weight: weights('weight'),
  bias: weights('bias'),
})

export const applyLinear = (x: Tensor, weights: Weights) => linear(x, weightAndBias(weights))

/** A linear map without a bias. */
export const applyMatrix = (x: Tensor, weights: Weights) => plainLinear(x, weights('weight'))
