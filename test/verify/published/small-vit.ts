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
  full,
  indexSelect,
  matmul,
  mul,
  reshape,
  select,
  sqrt,
  square,
  transpose,
  unsqueeze,
} from '../../../src/tensor/ops.ts'
import { fromArray, type Tensor } from '../../../src/tensor/tensor.ts'

export const vitConfig = {
  ...{ imageSize: z.tuple([z.int(), z.int()]), patchSize: z.int(), channels: z.int() },
  ...{ width: z.int(), depth: z.int(), heads: z.int(), mlpRatio: z.int() },
}
export interface Vit extends z.infer<z.ZodObject<typeof vitConfig>> {
  /** A parameter `pos_embed` [1, 1 + N, D]. */
  readonly hasPositions?: boolean
  readonly hasMaskToken?: boolean
  /** The keys have no bias. */
  readonly isKeyFree?: boolean
  readonly hasLayerScale?: boolean
  readonly relativeBias?: 'none' | 'shared' | 'perBlock'
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
const tableRows = (d: Vit) => {
  const [h, w] = gridOf(d)
  return (2 * h - 1) * (2 * w - 1) + 3
}

export function vitRows(prefix: string, d: Vit): ParameterRow[] {
  const [h, w] = gridOf(d)
  const { width: D } = d
  const bias = (name: string) => row(`${name}_bias_table`, [tableRows(d), d.heads])
  const block = (b: string) => [
    ...pairRows(`${b}.norm1`, D),
    ...(d.isKeyFree
      ? [row(`${b}.attn.qkv.weight`, [3 * D, D]), row(`${b}.attn.q_bias`, [D]), row(`${b}.attn.v_bias`, [D])]
      : pairRows(`${b}.attn.qkv`, 3 * D, D)),
    ...(d.relativeBias === 'perBlock' ? [bias(`${b}.attn.relative_position`)] : []),
    ...pairRows(`${b}.attn.proj`, D, D),
    ...pairRows(`${b}.norm2`, D),
    ...pairRows(`${b}.mlp.fc1`, D * d.mlpRatio, D),
    ...pairRows(`${b}.mlp.fc2`, D, D * d.mlpRatio),
    ...(d.hasLayerScale ? [row(`${b}.gamma_1`, [D]), row(`${b}.gamma_2`, [D])] : []),
  ]
  return [
    row('cls_token', [1, 1, D]),
    ...(d.hasMaskToken ? [row('mask_token', [1, 1, D])] : []),
    ...(d.hasPositions ? [row('pos_embed', [1, 1 + h * w, D])] : []),
    ...pairRows('patch_embed.proj', D, d.channels, d.patchSize, d.patchSize),
    ...(d.relativeBias === 'shared' ? [bias('rel_pos_bias.relative_position')] : []),
    ...Array.from({ length: d.depth }, (_, i) => block(`blocks.${i}`)).flat(),
    ...pairRows('norm', D),
  ].map((each) => ({ ...each, name: prefix + each.name }))
}

export const applyLinear = (x: Tensor, w: Weights, name: string) =>
  call('linear', x, w(`${name}.weight`), w(`${name}.bias`))
const layerNorm = (x: Tensor, w: Weights, name: string) =>
  call('layer_norm', x, [x.shape.at(-1)!], w(`${name}.weight`), w(`${name}.bias`), 1e-6, false)

/** [heads, 1 + N, 1 + N] (TARGETS, "The encoder with mask tokens", 4). */
function relativeBias(table: Tensor, d: Vit): Tensor {
  const [h, w] = gridOf(d)
  const [n, last] = [1 + h * w, tableRows(d) - 1]
  const placeOf = (i: number) => [Math.floor((i - 1) / w), (i - 1) % w] as const
  const which = Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n]
    if (i === 0 || j === 0) return i === j ? last : i === 0 ? last - 2 : last - 1
    const [[ri, ci], [rj, cj]] = [placeOf(i), placeOf(j)]
    return (ri - rj + h - 1) * (2 * w - 1) + ci - cj + w - 1
  })
  return call('permute', reshape(indexSelect(table, 0, indices(which)), [n, n, d.heads]), [2, 0, 1])
}

export interface EncodeOptions {
  /** Of a grid of [rows, columns] patches, [1, 1 + N, D]; null: none. */
  positions(rows: number, columns: number): Tensor | null
  /** [B, N], 1 where the mask token stands. */
  readonly mask?: Tensor
}

/** [B, 1 + N, D] after the norm. */
export function encode(images: Tensor, w: Weights, d: Vit, { positions, mask }: EncodeOptions): Tensor {
  const { width: D, heads } = d
  const projection = [w('patch_embed.proj.weight'), w('patch_embed.proj.bias')] as const
  const cut = call('conv2d', images, ...projection, [d.patchSize, d.patchSize], [0, 0], [1, 1], 1)
  const [B = 0, , rows = 0, columns = 0] = cut.shape
  const T = 1 + rows * columns
  const patches = transpose(reshape(cut, [B, D, T - 1]), 1, 2)
  const hidden = mask && unsqueeze(mask, 2)
  const tokens = hidden ? add(mul(patches, add(mul(hidden, -1), 1)), mul(w('mask_token'), hidden)) : patches
  const whole = cat([call('expand', w('cls_token'), [B, 1, D]), tokens], 1)
  const table = positions(rows, columns)
  let x = table ? add(whole, table) : whole
  for (let i = 0; i < d.depth; i++) {
    const b = `blocks.${i}`
    const qkvBias = d.isKeyFree
      ? cat([w(`${b}.attn.q_bias`), full([D], 0), w(`${b}.attn.v_bias`)], 0)
      : w(`${b}.attn.qkv.bias`)
    const qkv = call('linear', layerNorm(x, w, `${b}.norm1`), w(`${b}.attn.qkv.weight`), qkvBias)
    const split = call('permute', reshape(qkv, [B, T, 3, heads, D / heads]), [2, 0, 3, 1, 4])
    const [q, k, v] = [0, 1, 2].map((j) => select(split, 0, j)) as [Tensor, Tensor, Tensor]
    const scores = mul(matmul(q, transpose(k, 2, 3)), (D / heads) ** -0.5)
    const bias = { none: null, shared: 'rel_pos_bias', perBlock: `${b}.attn` }[d.relativeBias ?? 'none']
    const biased = bias ? add(scores, relativeBias(w(`${bias}.relative_position_bias_table`), d)) : scores
    const mixed = transpose(matmul(call('softmax.int', biased, -1), v), 1, 2)
    const scaled = (y: Tensor, gamma: string) => (d.hasLayerScale ? mul(y, w(`${b}.${gamma}`)) : y)
    x = add(
      x,
      scaled(applyLinear(reshape(call('contiguous', mixed), [B, T, D]), w, `${b}.attn.proj`), 'gamma_1'),
    )
    const inner = call('gelu', applyLinear(layerNorm(x, w, `${b}.norm2`), w, `${b}.mlp.fc1`))
    x = add(x, scaled(applyLinear(inner, w, `${b}.mlp.fc2`), 'gamma_2'))
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
