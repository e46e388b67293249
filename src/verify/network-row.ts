/** How an objective is built from a reference file: a row of the table in `verify.ts`. */
import type { z } from 'zod'
import type { Weights } from '../model/parameters.ts'
import type { At, Objective, Tensors } from '../objective/objective.ts'
import type { Clip } from '../optim/gradients.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import type { ByStep } from './recipe.ts'
import type { Page } from './tolerances.ts'

/** The step, and which of its samples. */
export type Where = Pick<At, 'step' | 'samples' | 'rows'>

/** What a row builds an objective from, beside the config. */
export interface Given {
  readonly device: Device
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Throws `VALUE` where the file has no such tensor. */
  tensor(name: string): Tensor
  /**
   * The samples `of` a micro-batch of `input.<name>`, on the device. With one dimension more than `rank` it has an entry for each step. `view`:
   * the number of a view and how many there are, in a first dimension of their own or all samples of one behind those of the other.
   */
  input(name: string, of: Where, rank: number, view?: readonly [view: number, views: number]): Tensor
}

/** An objective as a file describes it. */
export interface Opened<Batch, Plan> {
  readonly objective: Objective<Batch, Plan>
  /** Samples of a step. */
  readonly samples: number
  /** Above 1 the steps are taken again in so many micro-batches, and compared as well. */
  readonly microBatches?: number
  /** Beside the learning rate and the weight decay. */
  readonly schedules?: Readonly<Record<string, ByStep>>
  /** Behind those of the objective, before those of the file's optimizer. */
  readonly groups?: readonly GroupRow[]
  /** Instead of the file's `clipNorm`. */
  readonly clip?: Clip
  /** Called inside a scope. */
  batch(of: Where): Batch
  /** In the place of the objective's, where the file holds what is drawn elsewhere. */
  readonly plan?: Objective<Batch, Plan>['plan']
  /** What the file expects as `expected.out.<name>` of the first step: all of these, from the weights that the loss sees. */
  outputs?(weights: Weights, batch: Batch, plan: Plan, at: At): Tensors
  /** Parts of the loss under the file's names; by default the objective's, without their weights. */
  parts?(parts: Readonly<Record<string, number>>): Readonly<Record<string, number>>
}

export interface NetworkRow<Config, Batch, Plan> {
  readonly config: z.ZodType<Config>
  readonly tolerances: Page | ((config: Config) => Page)
  /** What decays where the file does not say it. Default `matrices`. */
  readonly decay?: 'matrices' | 'all'
  open(config: Config, given: Given): Opened<Batch, Plan>
}
