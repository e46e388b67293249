/** One update of all parameters: group rows, norm, clipping, step. */

import type { Tensor } from '../tensor/tensor.ts'
import { type Clip, clipGradients, type Gradients, gradientNorm } from './gradients.ts'
import { type GroupOptions, type GroupRow, groupsAt } from './groups.ts'
import type { Optimizer, OptimizerState } from './optimizer.ts'
import { type OptimizerChoice, optimizerOf } from './optimizers.ts'

export interface UpdateOptions extends GroupOptions {
  readonly optimizer: Optimizer
  /** For parameters without a clip in their row; null: none. */
  readonly clip?: Clip | null
  readonly groups?: readonly GroupRow[]
}

/**
 * Clips gradients and steps the optimizer, in place. Returns the norm of all gradients of this step before clipping. If it is not finite,
 * parameters and state are unchanged.
 */
export function update(
  parameters: ReadonlyMap<string, Tensor>,
  gradients: Gradients,
  state: OptimizerState,
  { optimizer, clip = null, groups = [], ...now }: UpdateOptions,
): number {
  const rows = clip ? [...groups, { match: () => true, clip }] : groups
  const { frozen, clippings, ratesOf } = groupsAt(parameters, rows, now)
  const counted = new Map([...gradients].filter(([name]) => !frozen.has(name)))
  const norm = gradientNorm([...counted.values()])
  if (!Number.isFinite(norm)) return norm
  clipGradients(counted, clippings, { norm })
  optimizer.step(parameters, counted, state, ratesOf)
  return norm
}

/** The configuration's keys of the update. Default optimizer AdamW. */
export type UpdateSettings = (
  | Omit<Extract<OptimizerChoice, { optimizer: 'adamw' }>, 'optimizer'>
  | OptimizerChoice
) & {
  readonly weightDecay: number
  /** Null: no clipping. */
  readonly clipGradientNorm: number | null
  /** Default `all`. */
  readonly clipBy?: Clip['by']
}

export const updateOf = (
  settings: UpdateSettings,
): Pick<UpdateOptions, 'optimizer' | 'weightDecay' | 'clip'> => {
  const { weightDecay, clipGradientNorm, clipBy = 'all' } = settings
  return {
    optimizer: optimizerOf('optimizer' in settings ? settings : { ...settings, optimizer: 'adamw' }),
    weightDecay,
    clip: clipGradientNorm === null ? null : { by: clipBy, most: clipGradientNorm },
  }
}
