/** The linear map to queries, keys and values, by which of them have a bias. */
import { inFloat32, keepsFloat32 } from '../tensor/context.ts'
import { linear, type Qkv } from '../tensor/fused.ts'
import { cat, narrow, linear as plainLinear, zerosLike } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { linearRows } from './linear.ts'
import type { ParameterRow, Weights } from './parameters.ts'

interface QkvRow {
  /** Of a block called `block`. */
  readonly rows: (block: string, width: number) => ParameterRow[]
  /** [3·D]; null for none. */
  readonly bias: (block: Weights) => Tensor | null
}

const NAME = 'attn.qkv'
const matrix = (block: string, width: number) => linearRows(`${block}.${NAME}`, width, 3 * width)[0]!

export const qkvBiases = {
  all: {
    rows: (block, width) => linearRows(`${block}.${NAME}`, width, 3 * width),
    bias: (block) => block(`${NAME}.bias`),
  },
  /** Keys have none, since it would add the same to all scores of a query: BEiT. */
  qv: {
    rows: (block, width) => [
      matrix(block, width),
      { name: `${block}.attn.q_bias`, shape: [width], initial: 'zeros' },
      { name: `${block}.attn.v_bias`, shape: [width], initial: 'zeros' },
    ],
    bias: (block) => {
      const query = block('attn.q_bias')
      return cat([query, zerosLike(query), block('attn.v_bias')], 0)
    },
  },
  none: {
    rows: (block, width) => [matrix(block, width)],
    bias: () => null,
  },
} satisfies Record<string, QkvRow>

export type QkvBias = keyof typeof qkvBiases

const mapped = (x: Tensor, weight: Tensor, bias: Tensor | null) =>
  bias ? linear(x, { weight, bias }) : plainLinear(x, weight)

/** Of tokens x; queries and keys apart, in float32, within `autocastFrozen`, because scores exaggerate what rounding changes in them. */
export function qkvOf(x: Tensor, block: Weights, kind: QkvBias): Qkv {
  const [weight, bias] = [block(`${NAME}.weight`), qkvBiases[kind].bias(block)]
  if (!keepsFloat32()) return [mapped(x, weight, bias)]
  const D = weight.shape[0]! / 3
  const part = (start: number, size: number) =>
    mapped(x, narrow(weight, 0, start, size), bias && narrow(bias, 0, start, size))
  return [inFloat32(() => part(0, 2 * D)), part(2 * D, D)]
}
