/** Weights with the adapters that their own run has trained added to them, so that whatever reads an encoder finds a plain one. */
import type { StoredArray } from '../checkpoint/arrays.ts'
import type { Config } from '../config/schema.ts'
import {
  type Adaptation,
  adaptedIn,
  adaptedWeight,
  adaptersOf,
  isAdapter,
  mergeAdapters,
  scaleOf,
} from '../model/adapt.ts'
import type { Parameters } from '../model/parameters.ts'
import { noGrad } from '../tensor/context.ts'
import { disposeAll, scope, unscoped } from '../tensor/scope.ts'
import { fromArray, toArray } from '../tensor/tensor.ts'
import type { FoundWeights } from './found-weights.ts'

/** A [r, in] and B [out, r], and what B·A is multiplied by. */
export interface Pair {
  readonly a: StoredArray
  readonly b: StoredArray
  readonly scale: number
}

/** W + s·B·A. */
export const withPair = (base: StoredArray, { a, b, scale }: Pair): StoredArray =>
  noGrad(() =>
    scope(() => {
      const [w, first, second] = [base, a, b].map(({ data, shape, dtype }) => fromArray(data, shape, dtype))
      return { ...base, data: toArray(adaptedWeight(w!, first!, second!, scale)) }
    }),
  )

/** A configuration of weights that are whole. */
export const wholeConfig = (config: Config): Config =>
  config.adapt.kind === 'none' ? config : ({ ...config, adapt: { kind: 'none' } } as Config)

export function mergedWeights(found: FoundWeights): FoundWeights {
  const { adapt } = found.config
  if (adapt.kind === 'none') return found
  const config = wholeConfig(found.config)
  if (adapt.kind !== 'lora') return { ...found, config }
  const scale = scaleOf(adapt)
  const { whole } = found
  return {
    ...{ ...found, config, ...mergedReading(found, scale) },
    ...(whole && { whole: mergedReading(whole, scale) }),
  }
}

type Reading = Pick<FoundWeights, 'stored' | 'load'>

function mergedReading({ stored, load }: Reading, scale: number): Reading {
  const adapted = new Set(adaptedIn(stored.keys()))
  return {
    stored: new Map([...stored].filter(([name]) => !isAdapter(name))),
    load: async (isWanted) => {
      const needed = new Set([...adapted].filter(isWanted).flatMap(adaptersOf))
      const all = await load((name) => needed.has(name) || (isWanted(name) && !isAdapter(name)))
      return new Map(
        [...all]
          .filter(([name]) => !isAdapter(name))
          .map(([name, array]) => {
            if (!adapted.has(name)) return [name, array]
            const [a, b] = adaptersOf(name).map((each) => all.get(each)!) as [StoredArray, StoredArray]
            return [name, withPair(array, { a, b, scale })]
          }),
      )
    },
  }
}

/** Calls `body` with the parameters that adapters have been added to, which live until it is done. */
export async function withWhole<T>(
  parameters: Parameters,
  adaptation: Adaptation,
  body: (whole: Parameters) => Promise<T>,
): Promise<T> {
  const whole = noGrad(() => unscoped(() => mergeAdapters(parameters, adaptation)))
  const given = new Set(parameters.values())
  try {
    return await body(whole)
  } finally {
    disposeAll([[...whole.values()].filter((value) => !given.has(value))])
  }
}
