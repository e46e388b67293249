/** Where a reference file keeps the first and the last value of each parameter, and the parameters that training starts with. */
import { SherdError } from '../errors.ts'
import { loadParameters, type Parameters } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import type { Objective } from '../objective/objective.ts'
import { full } from '../tensor/ops.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'

/** `student.` and `teacher.` are not in a file's names twice: `weights.` and `teacher.` say it. */
const fileName = (name: string, prefix: string) =>
  name.startsWith(prefix) ? name.slice(prefix.length) : name

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
      const [first, last, prefix] = {
        teacher: ['teacher.', 'finalTeacher.', 'teacher.'],
        state: ['state.', 'finalState.', ''],
        weights: ['weights.', 'final.', 'student.'],
      }[kind] as [string, string, string]
      const under = fileName(name, prefix)
      return [name, { first: first + under, last: last + under, moves: role !== 'fixed' }]
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

/** Whether the file leaves out the first value of some state: the objective's first step makes it. */
export const leavesStateOut = (objective: Described, tensors: Tensors): boolean =>
  [...placesOf(objective).values()].some(({ first }) => first.startsWith('state.') && !tensors.has(first))

/** State that is left out starts at zero. */
export function firstParameters(
  objective: Described,
  { tensors, tensor }: { readonly tensors: Tensors; tensor(name: string): Tensor },
  device: Device,
): Parameters {
  const places = placesOf(objective)
  const rows = allRows(objective)
  const stored = rows.map(({ name, shape }) => {
    const { first } = places.get(name)!
    const isLeftOut = first.startsWith('state.') && !tensors.has(first)
    return [name, isLeftOut ? full(shape, 0) : tensor(first)] as const
  })
  return loadParameters(rows, new Map(stored), device)
}
