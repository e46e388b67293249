/** The table of optimizers: a new one is a file beside these and a row here. */

import { adam } from './adam.ts'
import { type AdamOptions, adamw } from './adamw.ts'
import { type LarsOptions, lars } from './lars.ts'
import type { Optimizer } from './optimizer.ts'
import { type SgdOptions, sgd } from './sgd.ts'

/** Options of each optimizer, under the configuration's names. */
export interface OptimizerOptions {
  adamw: AdamOptions
  adam: AdamOptions
  lars: LarsOptions
  sgd: SgdOptions
}

export type OptimizerName = keyof OptimizerOptions

export const optimizers: {
  readonly [Name in OptimizerName]: (options: OptimizerOptions[Name]) => Optimizer
} = { adamw, adam, lars, sgd }

/** Name and options of an optimizer, as in a configuration. */
export type OptimizerChoice = {
  [Name in OptimizerName]: { readonly optimizer: Name } & OptimizerOptions[Name]
}[OptimizerName]

export const optimizerOf = (choice: OptimizerChoice): Optimizer =>
  (optimizers[choice.optimizer] as (options: OptimizerChoice) => Optimizer)(choice)
