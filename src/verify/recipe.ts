/** What a reference file says about its optimizer: rates by step, decay, clipping. */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import type { Clip } from '../optim/gradients.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { Optimizer } from '../optim/optimizer.ts'
import { optimizerOf } from '../optim/optimizers.ts'
import { parseMetadata } from './metadata.ts'

/** A number, or one for each step. */
export const byStep = z.union([z.number(), z.array(z.number()).min(1)])
export type ByStep = number | readonly number[]

const common = {
  learningRate: byStep.optional(),
  learningRates: byStep.optional(),
  weightDecay: byStep.optional(),
  weightDecays: byStep.optional(),
  /** What decays, apart from `noDecay`: tensors of two or more dimensions, or everything. */
  decay: z.enum(['matrices', 'all']).optional(),
  /** Names of the file; those that it does not have are ignored. */
  noDecay: z.array(z.string()).default([]),
  clipNorm: z.number().positive().optional(),
}
const adam = { beta1: z.number(), beta2: z.number(), epsilon: z.number(), ...common }
const schema = z.preprocess(
  (value) => (typeof value === 'object' && value !== null ? { name: 'adamw', ...value } : value),
  z.discriminatedUnion('name', [
    z.object({ name: z.literal('adamw'), ...adam }),
    z.object({ name: z.literal('adam'), ...adam }),
    z.object({ name: z.literal('lars'), momentum: z.number(), trustCoefficient: z.number(), ...common }),
  ]),
)

export interface Recipe {
  readonly optimizer: Optimizer
  readonly groups: readonly GroupRow[]
  readonly clip: Clip | null
  /** One for each step. */
  readonly learningRates: readonly number[]
  readonly weightDecays: readonly number[]
}

/** Throws `VALUE` where there are too few. */
export function inSteps(name: string, values: ByStep | undefined, steps: number): readonly number[] {
  const given = typeof values === 'number' ? Array.from({ length: steps }, () => values) : (values ?? [])
  if (given.length < steps)
    throw new SherdError(
      'VALUE',
      `${name}: expected a number for each of ${steps} steps, got ${given.length}`,
    )
  return given.slice(0, steps)
}

interface RecipeOptions {
  readonly steps: number
  /** What a parameter of the file is called here. */
  nameOf(name: string): string
  /** Where the file states none. */
  readonly decay: 'matrices' | 'all'
}

export function readRecipe(text: string | undefined, { steps, nameOf, decay: usual }: RecipeOptions): Recipe {
  const { name, ...options } = parseMetadata(text, 'optimizer', schema)
  const { noDecay, decay = usual, clipNorm } = options
  const spared = new Set(noDecay.map(nameOf))
  const choice = { optimizer: name, ...options } as Parameters<typeof optimizerOf>[0]
  return {
    optimizer: optimizerOf(choice),
    groups: [
      { match: (parameter) => spared.has(parameter), decay: 0 },
      ...(decay === 'all' ? [{ match: /./, decay: 1 }] : []),
    ],
    clip: clipNorm === undefined ? null : { by: 'all', most: clipNorm },
    learningRates: inSteps('optimizer.learningRate', options.learningRates ?? options.learningRate, steps),
    weightDecays: inSteps('optimizer.weightDecay', options.weightDecays ?? options.weightDecay, steps),
  }
}
