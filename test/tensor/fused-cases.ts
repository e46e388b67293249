/**
 * The operations that have kernels, each on sizes that its kernel has reason to get wrong, with the gradients of a sum that weighs
 * every result differently.
 */
import { pixelLoss } from '../../src/target/pixels.ts'
import { autocast, backward, gradient, requireGradient } from '../../src/tensor/context.ts'
import type { DType } from '../../src/tensor/dtype.ts'
import {
  addLayerNorm,
  type Kernels,
  layerNorm,
  linear,
  mlp,
  selfAttention,
  withKernels,
} from '../../src/tensor/fused.ts'
import { add, detach, mul, sub, sum, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Device, fromArray, type Tensor } from '../../src/tensor/tensor.ts'
import { appendRows, tokenSequence } from '../../src/token/sequence.ts'
import { take, tokensFrom } from '../../src/token/take.ts'
import { numbers, product, wave } from '../tolerance.ts'

type Shape = readonly number[]
interface Case {
  readonly inputs: readonly Shape[]
  readonly run: (x: readonly Tensor[]) => readonly Tensor[]
}

export const wb = (weight: Tensor | undefined, bias: Tensor | undefined) => ({ weight: weight!, bias: bias! })
export const patchNumbers = (rows: readonly (readonly number[])[], device: Device = 'cpu') =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64', device)

const linearCase = (rows: Shape, input: number, output: number): Case => ({
  inputs: [[...rows, input], [output, input], [output]],
  run: ([x, w, b]) => [linear(x!, wb(w, b))],
})
const mlpCase = (rows: number, width: number, hidden: number): Case => ({
  inputs: [[rows, width], [hidden, width], [hidden], [width, hidden], [width]],
  run: ([x, w1, b1, w2, b2]) => [mlp(x!, wb(w1, b1), wb(w2, b2))],
})
const normCase = (rows: number, width: number): Case => ({
  inputs: [[rows, width], [rows, width], [width], [width]],
  run: ([x, change, w, b]) => {
    const { sum: total, normed } = addLayerNorm(x!, change!, wb(w, b), 1e-6)
    return [total, normed]
  },
})
/** Of a change that bfloat16 holds, as a linear map makes it: only the results are rounded, and no gradient is. */
const wideNormCase = (rows: number, width: number): Case => {
  const { inputs, run } = normCase(rows, width)
  const rounded = (x: Tensor) => add(x, detach(sub(toDtype(x, 'bfloat16'), x)))
  return { inputs, run: ([x, change, ...norm]) => run([x!, rounded(change!), ...norm]) }
}
const attentionCase = (samples: number, tokens: number, heads: number, width: number, from = 0): Case => ({
  inputs: [[samples, tokens, 3 * heads * width]],
  run: ([qkv]) => [selfAttention([mul(qkv!, 2)], heads, from)],
})
const tokensCase = (width: number, hasCls: boolean): Case => ({
  inputs: [[2, hasCls ? 3 : 4, width], [5, width], ...(hasCls ? [[1, 1, width]] : [])],
  run: ([x, positions, cls]) => [
    tokenSequence({
      x: x!,
      positions: positions!,
      kept: patchNumbers(
        [
          [4, 0, 2],
          [1, 3, 4],
        ],
        x!.device,
      ),
      ...(cls && { cls }),
    }),
  ],
})
const lossCase = (width: number, normalize: boolean): Case => ({
  inputs: [
    [2, 3, width],
    [2, 5, width],
  ],
  run: ([x, patches]) => [
    pixelLoss(
      x!,
      patches!,
      patchNumbers(
        [
          [0, 3, 4],
          [2, 1, 0],
        ],
        x!.device,
      ),
      { normalize },
    ),
  ],
})

// Sizes around those of vectors (16), tiles (14 rows, 32 columns) and blocks (126 queries, 1024 rows).
export const cases: Record<string, Case> = {
  'linear, one of each': linearCase([1], 1, 1),
  'linear, odd sizes': linearCase([3, 5], 7, 9),
  'linear, whole tiles': linearCase([2, 14], 32, 64),
  'linear, remainders of every kind': linearCase([25], 50, 83),
  'linear, more rows than a block': linearCase([1100], 6, 5),
  'linear, rows a power of two apart': linearCase([30], 1024, 40),
  'mlp, odd sizes': mlpCase(5, 6, 22),
  'mlp, more rows than a block': mlpCase(1031, 8, 20),
  'mlp, whole tiles': mlpCase(28, 64, 128),
  'add and norm, narrower than a vector': normCase(7, 12),
  'add and norm, whole vectors': normCase(5, 64),
  'add and norm, a remainder': normCase(3, 83),
  'add and norm, ViT-Tiny': wideNormCase(9, 192),
  'add and norm, ViT-Large': wideNormCase(3, 1024),
  'add and norm, ViT-Huge': wideNormCase(2, 1280),
  'add and norm, wider than registers hold': wideNormCase(2, 2048),
  'add and norm, the last tokens of samples': {
    inputs: [[3, 5, 24], [3, 2, 24], [24], [24]],
    run: ([x, change, w, b]) => {
      const { sum: total, normed } = addLayerNorm(tokensFrom(x!, 3), change!, wb(w, b), 1e-6)
      return [total, normed]
    },
  },
  norm: { inputs: [[4, 37], [37], [37]], run: ([x, w, b]) => [layerNorm(x!, wb(w, b), 1e-3)] },
  'attention, one token': attentionCase(2, 1, 2, 4),
  'attention, a few tokens': attentionCase(3, 5, 2, 6),
  'attention, whole tiles': attentionCase(1, 64, 1, 32),
  'attention, one token more': attentionCase(2, 65, 3, 16),
  'attention, more queries than a block': attentionCase(1, 131, 1, 10),
  'attention, the last tokens only': attentionCase(2, 21, 2, 8, 13),
  'attention, the last block only': attentionCase(1, 140, 1, 8, 127),
  // The sequences of masked autoencoders, and the widths that a kernel of the GPU has.
  'attention, ViT-Tiny/4 encoder': attentionCase(2, 17, 3, 64),
  'attention, ViT-Tiny/4 decoder': attentionCase(2, 65, 3, 64),
  'attention, ViT-Tiny/4 hidden tokens': attentionCase(2, 65, 3, 64, 17),
  'attention, ViT-Large/16 encoder': attentionCase(1, 50, 2, 64),
  'attention, ViT-Large/16 decoder': attentionCase(1, 197, 2, 32),
  'attention, ViT-Large/16 hidden tokens': attentionCase(1, 197, 2, 32, 50),
  'attention, ViT-Base/16 without a mask': attentionCase(1, 197, 1, 64, 1),
  'attention, ViT-Huge/14 encoder': attentionCase(1, 65, 1, 80),
  'attention, as many tokens as a kernel of the GPU takes': attentionCase(1, 256, 1, 32, 2),
  'attention, longer than a multiprocessor holds': attentionCase(1, 260, 1, 64, 3),
  'tokens with cls': tokensCase(20, true),
  'tokens without cls, an odd width': tokensCase(21, false),
  'rows of a table behind linear maps': {
    inputs: [[2, 3, 20], [5, 20], [9, 20], [9]],
    run: ([x, table, w, b]) => [
      appendRows(linear(x!, wb(w, b)), {
        table: linear(table!, wb(w, b)),
        which: patchNumbers(
          [
            [1, 2, 3, 1],
            [0, 2, 4, 2],
          ],
          x!.device,
        ),
      }),
    ],
  },
  'rows of a table, whole vectors': {
    inputs: [
      [3, 2, 264],
      [70, 264],
    ],
    run: ([x, table]) => [
      appendRows(x!, {
        table: table!,
        which: patchNumbers(
          [0, 1, 2].map((b) => Array.from({ length: 40 }, (_, m) => (m * 7 + b * 5) % 70)),
          x!.device,
        ),
      }),
    ],
  },
  'rows taken': {
    inputs: [[2, 4, 6]],
    run: ([x]) => [
      take(
        x!,
        patchNumbers(
          [
            [3, 0, 3],
            [1, 2, 0],
          ],
          x!.device,
        ),
      ),
    ],
  },
  'pixel loss, normalised': lossCase(48, true),
  'pixel loss, raw': lossCase(27, false),
  'pixel loss, wide patches': lossCase(768, true),
  'pixel loss, an odd width': lossCase(75, true),
}

/** Inputs that are data, not weights: nobody asks for their gradient. */
const isGiven = (name: string, input: number) => /^(tokens|pixel loss)/.test(name) && input === 1

/** Results, then gradients. */
export function measured(name: string, kernels: Kernels, dtype: DType, device: Device = 'cpu'): number[][] {
  const { inputs, run } = cases[name]!
  return scope(() => {
    const on = (seed: number, shape: Shape) =>
      fromArray(Float32Array.from(wave(product(shape), seed)), shape, 'float32', device)
    const tensors = inputs.map((shape, i) => on(i, shape))
    const learned = tensors.filter((_, i) => !isGiven(name, i))
    for (const x of learned) requireGradient(x)
    const results = withKernels(kernels, () => autocast({ device, dtype }, () => run(tensors)))
    const float = results.map((each) => toDtype(each, 'float32'))
    const losses = float.map((x, i) => sum(mul(x, on(50 + i, x.shape))))
    backward(losses.reduce(add))
    return [...float, ...learned.map((x) => gradient(x)!)].map(numbers)
  })
}

export const largest = (values: readonly number[]) =>
  values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
export const distance = (a: readonly number[], b: readonly number[]) => largest(a.map((x, i) => x - b[i]!))
