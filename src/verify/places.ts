/** Where a reference file keeps the first and the last value of each parameter, and the parameters that training starts with. */
import { SherdError } from '../errors.ts'
import { loadParameters, type Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { Objective } from '../objective/objective.ts'
import { full } from '../tensor/ops.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'

type Tensors = ReadonlyMap<string, Tensor>
type Described = Pick<Objective, 'rows' | 'averages'>

export interface Place {
  readonly first: string
  readonly last: string
  /** What is fixed need not be stated at the end. */
  readonly moves: boolean
}

export function placesOf(objective: Described): Map<string, Place> {
  const own = new Set(objective.rows.map(({ name }) => name))
  return new Map(
    allRows(objective).map(({ name, role = 'learned' }) => {
      const kind = !own.has(name) ? 'teacher' : role === 'state' ? 'state' : 'weights'
      const under = name.replace(kind === 'teacher' ? /^teacher\./ : /^student\./, '') // said by the kind
      const last = { teacher: 'finalTeacher', state: 'finalState', weights: 'final' }[kind]
      return [name, { first: `${kind}.${under}`, last: `${last}.${under}`, moves: role !== 'fixed' }]
    }),
  )
}

/** Throws `VALUE` for a first value that the objective has no parameter of. A frozen teacher is no parameter: its row reads it. */
export function expectPlaces(objective: Described, tensors: Tensors): void {
  const known = new Set([...placesOf(objective).values()].map(({ first }) => first))
  const kinds = objective.averages?.length ? /^(weights|state|teacher)\./ : /^(weights|state)\./
  for (const name of tensors.keys())
    if (kinds.test(name) && !known.has(name))
      throw new SherdError('VALUE', `it has a weight that the model does not know: "${name}"`)
}

const isLeftOut = ({ first }: Place, tensors: Tensors) => first.startsWith('state.') && !tensors.has(first)

/** Whether the file leaves out the first value of some state, which the objective's first step then makes. */
export const leavesStateOut = (objective: Described, tensors: Tensors): boolean =>
  [...placesOf(objective).values()].some((place) => isLeftOut(place, tensors))

/** State that the objective makes, where the file leaves it out, starts at zero. */
export function firstParameters(
  objective: Described & { readonly first?: unknown },
  { tensors, tensor }: { readonly tensors: Tensors; tensor(name: string): Tensor },
  device: Device,
): Parameters {
  const places = placesOf(objective)
  const rows = allRows(objective)
  const stored = rows.map(({ name, shape }) => {
    const place = places.get(name)!
    const isMade = objective.first !== undefined && isLeftOut(place, tensors)
    return [name, isMade ? full(shape, 0) : tensor(place.first)] as const
  })
  return loadParameters(rows, new Map(stored), device)
}
