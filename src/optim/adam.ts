/**
 * Adam (Kingma & Ba 2015, algorithm 1) with L2 regularisation: the decay is part of the gradient, and so of both moments, as in
 * `torch.optim.Adam(weight_decay=…)`.
 */
import { type AdamOptions, adamSlots, adamStep } from './adamw.ts'
import { makeOptimizer, type Optimizer } from './optimizer.ts'
import { decayedGradients } from './sgd.ts'

export const adam = (options: AdamOptions): Optimizer =>
  makeOptimizer(adamSlots, (group, kernel) =>
    adamStep({ ...group, gradients: decayedGradients(group), decay: 0 }, options, kernel),
  )
