/**
 * A vision transformer written out from the equations of the reference pages, for objectives that sherd does not have yet. It shares no
 * code with `src/model`: what these tests prove is the step, the averages and verify.
 */
import { z } from 'zod'
import type { ParameterRow, Weights } from '../../../src/model/parameters.ts'
import { call } from '../../../src/tensor/call.ts'
import {
  add,
  cat,
  div,
  matmul,
  mul,
  reshape,
  select,
  sqrt,
  square,
  transpose,
} from '../../../src/tensor/ops.ts'
import { fromArray, type Tensor } from '../../../src/tensor/tensor.ts'

export const vitConfig = {
  ...{ imageSize: z.tuple([z.int(), z.int()]), patchSize: z.int(), channels: z.int() },
  ...{ width: z.int(), depth: z.int(), heads: z.int(), mlpRatio: z.int() },
}
export interface Vit extends z.infer<z.ZodObject<typeof vitConfig>> {
  /** A parameter `pos_embed` [1, 1 + N, D]. */
  readonly hasPositions?: boolean
}

export const row = (
  name: string,
  shape: readonly number[],
  role: ParameterRow['role'] = 'learned',
): ParameterRow => ({
  ...{ name, shape, initial: 'zeros', role },
})
const pairRows = (name: string, ...shape: readonly number[]) => [
  row(`${name}.weight`, shape),
  row(`${name}.bias`, [shape[0]!]),
]
export const indices = (values: readonly number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), [values.length], 'int64')
export const gridOf = ({ imageSize: [H, W], patchSize }: Vit) => [H / patchSize, W / patchSize] as const

export function vitRows(prefix: string, d: Vit): ParameterRow[] {
  const [h, w] = gridOf(d)
  const { width: D } = d
  const block = (b: string) => [
    ...pairRows(`${b}.norm1`, D),
    ...pairRows(`${b}.attn.qkv`, 3 * D, D),
    ...pairRows(`${b}.attn.proj`, D, D),
    ...pairRows(`${b}.norm2`, D),
    ...pairRows(`${b}.mlp.fc1`, D * d.mlpRatio, D),
    ...pairRows(`${b}.mlp.fc2`, D, D * d.mlpRatio),
  ]
  return [
    row('cls_token', [1, 1, D]),
    ...(d.hasPositions ? [row('pos_embed', [1, 1 + h * w, D])] : []),
    ...pairRows('patch_embed.proj', D, d.channels, d.patchSize, d.patchSize),
    ...Array.from({ length: d.depth }, (_, i) => block(`blocks.${i}`)).flat(),
    ...pairRows('norm', D),
  ].map((each) => ({ ...each, name: prefix + each.name }))
}

export const applyLinear = (x: Tensor, w: Weights, name: string) =>
  call('linear', x, w(`${name}.weight`), w(`${name}.bias`))
const layerNorm = (x: Tensor, w: Weights, name: string) =>
  call('layer_norm', x, [x.shape.at(-1)!], w(`${name}.weight`), w(`${name}.bias`), 1e-6, false)

export interface EncodeOptions {
  /** Of a grid of [rows, columns] patches, [1, 1 + N, D]; null: none. */
  positions(rows: number, columns: number): Tensor | null
}

/** [B, 1 + N, D] after the norm. */
export function encode(images: Tensor, w: Weights, d: Vit, { positions }: EncodeOptions): Tensor {
  const { width: D, heads } = d
  const projection = [w('patch_embed.proj.weight'), w('patch_embed.proj.bias')] as const
  const cut = call('conv2d', images, ...projection, [d.patchSize, d.patchSize], [0, 0], [1, 1], 1)
  const [B = 0, , rows = 0, columns = 0] = cut.shape
  const T = 1 + rows * columns
  const patches = transpose(reshape(cut, [B, D, T - 1]), 1, 2)
  const whole = cat([call('expand', w('cls_token'), [B, 1, D]), patches], 1)
  const table = positions(rows, columns)
  let x = table ? add(whole, table) : whole
  for (let i = 0; i < d.depth; i++) {
    const b = `blocks.${i}`
    const qkv = applyLinear(layerNorm(x, w, `${b}.norm1`), w, `${b}.attn.qkv`)
    const split = call('permute', reshape(qkv, [B, T, 3, heads, D / heads]), [2, 0, 3, 1, 4])
    const [q, k, v] = [0, 1, 2].map((j) => select(split, 0, j)) as [Tensor, Tensor, Tensor]
    const scores = mul(matmul(q, transpose(k, 2, 3)), (D / heads) ** -0.5)
    const mixed = transpose(matmul(call('softmax.int', scores, -1), v), 1, 2)
    x = add(x, applyLinear(reshape(call('contiguous', mixed), [B, T, D]), w, `${b}.attn.proj`))
    const inner = call('gelu', applyLinear(layerNorm(x, w, `${b}.norm2`), w, `${b}.mlp.fc1`))
    x = add(x, applyLinear(inner, w, `${b}.mlp.fc2`))
  }
  return layerNorm(x, w, 'norm')
}

export const clsOf = (tokens: Tensor) => select(tokens, 1, 0)
const sumOver = (x: Tensor) => call('sum.dim_IntList', x, [-1], true, null)
/** Rows at unit length. */
export const unit = (x: Tensor) => div(x, call('clamp', sqrt(sumOver(square(x))), 1e-12, null))
/** The mean over rows of the cross entropy of logits [n, classes]. */
export const crossEntropy = (logits: Tensor, which: readonly number[]) =>
  call('cross_entropy_loss', logits, indices(which), null, 1, -100, 0)
