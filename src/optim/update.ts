/** One update of all parameters: group rows, norm, clipping, step. */

import type { Tensor } from '../tensor/tensor.ts'
import { type Clip, clipGradients, type Gradients, gradientNorm } from './gradients.ts'
import { type GroupOptions, type GroupRow, groupsAt } from './groups.ts'
import type { Optimizer, OptimizerState } from './optimizer.ts'
import { type OptimizerChoice, optimizerOf } from './optimizers.ts'

export interface UpdateOptions extends GroupOptions {
  readonly optimizer: Optimizer
  /** Of what no row clips otherwise; null does not clip. */
  readonly clip?: Clip | null
  readonly groups?: readonly GroupRow[]
}

/**
 * Steps the optimizer, in place; gradients are clipped in place. Returns the norm of all gradients that count in this step, before
 * clipping. When it is not finite, neither parameters nor state have changed.
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

/** What a configuration says about the update, under its names. Without `optimizer` it is AdamW. */
export type UpdateSettings = (
  | Omit<Extract<OptimizerChoice, { optimizer: 'adamw' }>, 'optimizer'>
  | OptimizerChoice
) & {
  readonly weightDecay: number
  /** Null does not clip. */
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
