/** Layer-wise decay of the learning rate (Clark et al. 2020; Bao et al. 2021; He et al. 2021, A.1). */
import type { GroupRow } from './groups.ts'

/** What makes the sequence that the first block reads: prefix tokens, positions, patches, and a norm before the blocks (CLIP). */
const beforeBlocks = /^(cls_token|mask_token|register_tokens|pos_embed)$|^(patch_embed|norm_pre)\./

/**
 * The layer of a parameter: 0 for what stands before the blocks, i + 1 for block i, depth + 1 for what stands behind them (the final norm,
 * attention pooling, a projection, the head) and for a table of relative positions that all blocks share, as BEiT's authors count it.
 */
export function layerOf(name: string, depth: number): number {
  if (beforeBlocks.test(name)) return 0
  const block = name.match(/^blocks\.(\d+)\./)?.[1]
  return block === undefined ? depth + 1 : Number(block) + 1
}

/** decay^(depth + 1 − layer): 1 for the head. */
export const layerDecay =
  (decay: number, depth: number): ((name: string) => number) =>
  (name) =>
    decay ** (depth + 1 - layerOf(name, depth))

/** As a group row, for an encoder with a prefix such as `backbone.`. */
export const layerDecayRow = (decay: number, depth: number, prefix = ''): GroupRow => ({
  match: (name) => name.startsWith(prefix),
  rate: (name) => layerDecay(decay, depth)(name.slice(prefix.length)),
})

/** Fine-tuning leaves the size of tokens and of learned positions alone, as timm and the authors of MAE and BEiT do (`no_weight_decay`). */
export const tokensKeepTheirSize: GroupRow = {
  match: /(^|\.)(cls_token|register_tokens|pos_embed|relative_position_bias_table)$/,
  decay: 0,
}
