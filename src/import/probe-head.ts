/**
 * The head of MAE's linear probe (He et al. 2021, appendix A.1): a batch norm and a linear layer, which fold into one layer at inference:
 * W (x − mean) / √(variance + ε) + b.
 */

import type { WaitingArray } from '../checkpoint/arrays.ts'
import { SherdError } from '../errors.ts'
import { type ForeignParameter, floatsOf } from './foreign-parameter.ts'

const EPSILON = 1e-6 // of facebookresearch/mae's main_linprobe.py; PyTorch's own is 1e-5
const NAMES = {
  mean: 'head.0.running_mean',
  variance: 'head.0.running_var',
  weight: 'head.1.weight',
  bias: 'head.1.bias',
  scale: 'head.0.weight',
  shift: 'head.0.bias',
  counter: 'head.0.num_batches_tracked',
}

export interface ProbeHead {
  readonly parameters: ReadonlyMap<string, ForeignParameter>
  /** Its tensors, including `num_batches_tracked`. */
  readonly names: readonly string[]
}

/** The head as `head.weight` and `head.bias`, or null. Throws `CHECKPOINT` if its parts do not fit. */
export function probeHead(arrays: ReadonlyMap<string, WaitingArray>): ProbeHead | null {
  const { counter, ...parts } = NAMES
  const [mean, variance, weight, bias] = [parts.mean, parts.variance, parts.weight, parts.bias].map((name) =>
    arrays.get(name),
  )
  if (!mean || !variance || !weight) return null
  const [classes = 0, width = 0] = weight.shape
  const optional = [parts.scale, parts.shift].map((name) => arrays.get(name))
  const vectors = [mean, variance, ...optional].filter((each) => each !== undefined)
  if (
    weight.shape.length !== 2 ||
    vectors.some(({ shape }) => shape.join() !== `${width}`) ||
    (bias && bias.shape.join() !== `${classes}`)
  )
    throw new SherdError(
      'CHECKPOINT',
      'the norm and the map of its head (head.0, head.1) do not fit together',
    )
  /** Scale and shift of the batch norm. */
  const norm = async () => {
    const read = async (name: string, usual: number) => {
      const array = arrays.get(name)
      return array ? (await floatsOf(name, array)).data : new Float32Array(width).fill(usual)
    }
    const [means, variances] = [await read(parts.mean, 0), await read(parts.variance, 1)]
    const [scale, shift] = [await read(parts.scale, 1), await read(parts.shift, 0)]
    const factors = Float64Array.from(variances, (each, i) => scale[i]! / Math.sqrt(each + EPSILON))
    return { factors, offsets: factors.map((factor, i) => shift[i]! - means[i]! * factor) }
  }
  const map = async () => (await floatsOf(parts.weight, weight)).data
  const from = Object.values(parts).filter((name) => arrays.has(name))
  return {
    names: [...from, ...(arrays.has(counter) ? [counter] : [])],
    parameters: new Map<string, ForeignParameter>([
      [
        'head.weight',
        {
          ...{ shape: [classes, width], from },
          read: async () => {
            const { factors } = await norm()
            return (await map()).map((value, i) => value * factors[i % width]!)
          },
        },
      ],
      [
        'head.bias',
        {
          ...{ shape: [classes], from },
          read: async () => {
            const { offsets } = await norm()
            const own = bias ? (await floatsOf(parts.bias, bias)).data : new Float32Array(classes)
            const values = await map()
            return own.map((value, c) =>
              offsets.reduce((sum, offset, i) => sum + values[c * width + i]! * offset, value),
            )
          },
        },
      ],
    ]),
  }
}
