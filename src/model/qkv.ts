/** The linear map to queries, keys and values, by which of them have a bias. */
import { linear } from '../tensor/fused.ts'
import { cat, zerosLike } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { applyLinear, applyMatrix, linearRows } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

interface QkvRow {
  /** Of a block called `block`. */
  readonly rows: (block: string, width: number) => ParameterRow[]
  readonly apply: (x: Tensor, block: Weights) => Tensor
}

const NAME = 'attn.qkv'
const matrix = (block: string, width: number) => linearRows(`${block}.${NAME}`, width, 3 * width)[0]!

export const qkvBiases = {
  all: {
    rows: (block, width) => linearRows(`${block}.${NAME}`, width, 3 * width),
    apply: (x, block) => applyLinear(x, within(block, NAME)),
  },
  /** Keys have none, since it would add the same to all scores of a query: BEiT. */
  qv: {
    rows: (block, width) => [
      matrix(block, width),
      { name: `${block}.attn.q_bias`, shape: [width], initial: 'zeros' },
      { name: `${block}.attn.v_bias`, shape: [width], initial: 'zeros' },
    ],
    apply: (x, block) => {
      const query = block('attn.q_bias')
      const bias = cat([query, zerosLike(query), block('attn.v_bias')], 0)
      return linear(x, { weight: block(`${NAME}.weight`), bias })
    },
  },
  none: {
    rows: (block, width) => [matrix(block, width)],
    apply: (x, block) => applyMatrix(x, within(block, NAME)),
  },
} satisfies Record<string, QkvRow>

export type QkvBias = keyof typeof qkvBiases
