/** Layer-wise decay of the learning rate (Clark et al. 2020; Bao et al. 2021; He et al. 2021, A.1). */
import type { GroupRow } from './groups.ts'

/** The layer of a parameter: 0 for embeddings, i + 1 for block i, depth + 1 for the final norm and the head. */
export function layerOf(name: string, depth: number): number {
  if (/^(cls_token|mask_token|register_tokens|pos_embed|patch_embed\.)/.test(name)) return 0
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
