/** Rows of names that several layouts begin with. */
import { maskedBias, stacked } from './changes.ts'
import { joined, module, modules, type NameRow, token } from './layout.ts'

/** Of a block as timm and the authors call it; sherd has the same names. */
const blockParts = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2']
export const plainBlocks = (prefix: string): NameRow[] =>
  modules(...blockParts.map((part) => `${prefix}.{i}.${part}`))

export const patches = modules('patch_embed.proj')
export const norms = modules('norm')
export const layerScales = ['ls1', 'ls2'].map((name) => token(`blocks.{i}.${name}.gamma`))
export const queryValueBias = ['q_bias', 'v_bias'].map((name) => token(`blocks.{i}.attn.${name}`))

/** LayerScale of timm's Eva and Beit. */
export const gammas = [1, 2].map((n) => token(`blocks.{i}.ls${n}.gamma`, `blocks.{i}.gamma_${n}`))

const relativeTable = 'relative_position_bias_table'
/** The table of each block, and that of all. */
export const relativeTables = (own: string, shared: string): NameRow[] => [
  token(`blocks.{i}.attn.${relativeTable}`, `${own}.${relativeTable}`),
  token(`rel_pos_bias.${relativeTable}`, `${shared}.${relativeTable}`),
]

/** Attention pooling as timm calls it; sherd has the same names. */
export const attentionPool: readonly NameRow[] = [
  token('attn_pool.latent'),
  ...modules(...['q', 'kv', 'proj', 'norm', 'mlp.fc1', 'mlp.fc2'].map((part) => `attn_pool.${part}`)),
]

/** Biases of q, k and v of DINOv3's authors, in which a mask hides those of the keys. */
export const maskedQkvBias: NameRow = {
  ours: ['blocks.{i}.attn.q_bias', 'blocks.{i}.attn.v_bias'],
  theirs: ['blocks.{i}.attn.qkv.bias', 'blocks.{i}.attn.qkv.bias_mask'],
  change: maskedBias,
}

export interface TransformersBlock {
  readonly norms: readonly [first: string, second: string]
  /** What stands before `query`, `key` and `value`. */
  readonly qkv: readonly [query: string, key: string, value: string]
  readonly proj: string
  readonly mlp: readonly NameRow[]
}

/** A block whose queries, keys and values are modules of their own. `bias`: all, or those of queries and values alone. */
export function transformersBlocks(
  ours: string,
  theirs: string,
  { norms: [first, second], qkv, proj, mlp }: TransformersBlock,
  bias: 'all' | 'qv' = 'all',
): NameRow[] {
  const at = (name: string) => `${theirs}.{i}.${name}`
  const all = joined(`${ours}.{i}.attn.qkv`, qkv.map(at))
  const [query, , value] = qkv
  return [
    ...module(`${ours}.{i}.norm1`, at(first)),
    ...(bias === 'all' ? all : all.slice(0, 1)),
    ...(bias === 'all'
      ? []
      : [
          token(`${ours}.{i}.attn.q_bias`, at(`${query}.bias`)),
          token(`${ours}.{i}.attn.v_bias`, at(`${value}.bias`)),
        ]),
    ...module(`${ours}.{i}.attn.proj`, at(proj)),
    ...module(`${ours}.{i}.norm2`, at(second)),
    ...mlp.map((row) => ({
      ...row,
      ours: row.ours.map((name) => `${ours}.{i}.${name}`),
      theirs: row.theirs.map(at),
    })),
  ]
}

/** [q; k; v] of PyTorch's MultiheadAttention for one query: here that of the query, and those of the tokens. */
export const splitPool = (theirs: string): NameRow[] =>
  (['weight', 'bias'] as const).map((kind) => ({
    ours: [`attn_pool.q.${kind}`, `attn_pool.kv.${kind}`],
    theirs: [`${theirs}.in_proj_${kind}`],
    change: stacked([1, 2], [3]),
  }))
