/** The second half of a block: two linear maps with an activation between them, or a gate (Shazeer 2020, "GLU variants"). */
import { call } from '../tensor/call.ts'
import { mlp } from '../tensor/fused.ts'
import { gelu, mul, narrow, sigmoid, toDtype } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { applyLinear, linearRows, weightAndBias } from './linear.ts'
import { type ParameterRow, type Weights, within } from './parameters.ts'

/** Activations by name. */
export const activations = {
  gelu,
  'gelu-tanh': (x) => call('gelu', x, 'tanh'),
  /** x · σ(1.702 x), of OpenAI's CLIP. */
  'quick-gelu': (x) => mul(x, sigmoid(mul(x, 1.702))),
  silu: (x) => mul(x, sigmoid(x)),
} satisfies Record<string, (x: Tensor) => Tensor>

export type Activation = keyof typeof activations

/** In float32: each of its operators would round a bfloat16 again. */
const activated = (name: Activation, x: Tensor) => activations[name](toDtype(x, 'float32'))

interface FeedForwardRow {
  readonly activation: Activation
  /** Maps from D to H. */
  readonly maps: number
  /** H of width D and ratio r. */
  readonly hidden: (width: number, ratio: number) => number
  readonly rows: (name: string, width: number, hidden: number) => ParameterRow[]
  readonly apply: (x: Tensor, weights: Weights, activation: Activation) => Tensor
}

const plainHidden = (width: number, ratio: number) => Math.floor(width * ratio)

/** Kinds of feed-forward by name; `activation` is that of the kind unless another is asked for. */
export const feedForwards = {
  mlp: {
    activation: 'gelu',
    maps: 1,
    hidden: plainHidden,
    rows: (name, width, hidden) => [
      ...linearRows(`${name}.fc1`, width, hidden),
      ...linearRows(`${name}.fc2`, hidden, width),
    ],
    apply: (x, weights, activation) => {
      const [first, second] = [within(weights, 'fc1'), within(weights, 'fc2')]
      if (activation === 'gelu') return mlp(x, weightAndBias(first), weightAndBias(second)) // one kernel
      return applyLinear(activated(activation, applyLinear(x, first)), second)
    },
  },
  /** Gate and value in one map, two thirds as wide as an MLP, in multiples of 8: DINOv2. */
  swiglu: {
    activation: 'silu',
    maps: 2,
    hidden: (width, ratio) => 8 * Math.floor((Math.floor((plainHidden(width, ratio) * 2) / 3) + 7) / 8),
    rows: (name, width, hidden) => [
      ...linearRows(`${name}.w12`, width, 2 * hidden),
      ...linearRows(`${name}.w3`, hidden, width),
    ],
    apply: (x, weights, activation) => {
      const both = applyLinear(x, within(weights, 'w12'))
      const [last, hidden] = [both.shape.length - 1, both.shape.at(-1)! / 2]
      const gate = activated(activation, narrow(both, last, 0, hidden))
      return applyLinear(mul(gate, narrow(both, last, hidden, hidden)), within(weights, 'w3'))
    },
  },
  /** Gate `w1` and value `w2` apart, as wide as an MLP: DINOv3. */
  gated: {
    activation: 'silu',
    maps: 2,
    hidden: plainHidden,
    rows: (name, width, hidden) => [
      ...linearRows(`${name}.w1`, width, hidden),
      ...linearRows(`${name}.w2`, width, hidden),
      ...linearRows(`${name}.w3`, hidden, width),
    ],
    apply: (x, weights, activation) => {
      const gate = activated(activation, applyLinear(x, within(weights, 'w1')))
      return applyLinear(mul(gate, applyLinear(x, within(weights, 'w2'))), within(weights, 'w3'))
    },
  },
} satisfies Record<string, FeedForwardRow>

export type FeedForward = keyof typeof feedForwards

interface FeedForwardOptions {
  readonly feedForward?: FeedForward
  readonly activation?: Activation
}

export const feedForwardOf = ({ feedForward = 'mlp' }: FeedForwardOptions): FeedForwardRow =>
  feedForwards[feedForward]
export const activationOf = (options: FeedForwardOptions): Activation =>
  options.activation ?? feedForwardOf(options).activation
