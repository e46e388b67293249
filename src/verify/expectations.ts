/** Compares the expectations of a network's reference file with a training run. */
import { SherdError } from '../errors.ts'
import { type Tensor, toFloats } from '../tensor/tensor.ts'
import { type Check, compare, greatestOf } from './check.ts'
import type { Place } from './places.ts'
import { boundOf, type Page } from './tolerances.ts'
import { numbersOf, type Trajectory } from './trajectory.ts'

export interface Expectations {
  /** The names of its checks start with `prefix`. */
  check(trajectory: Trajectory, prefix?: string): Check[]
  /** Outputs that nothing was compared with. Throws `VALUE` for other expectations of that kind. */
  left(): string[]
}

interface File {
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Throws `VALUE` where the file has no such tensor. */
  tensor(name: string): Tensor
  /** Its outputs are `expected.pred`, not `expected.out.pred`. */
  readonly isFirstFormat: boolean
}

interface How {
  readonly places: ReadonlyMap<string, Place>
  readonly page: Page
  readonly rates: readonly number[]
}

export function openExpectations(
  { tensors, tensor, isFirstFormat }: File,
  { places, page, rates }: How,
): Expectations {
  const under = (prefix: string) =>
    [...tensors.keys()].filter((name) => name.startsWith(`expected.${prefix}`))
  const gradients = under('grad.').map((name) => greatestOf(numbersOf(tensor(name))))
  const facts = { rates, greatestGradient: Math.max(0, ...gradients) }
  const hasParts = under('part.').length > 0
  const left = new Set(under(''))
  return {
    check({ losses, parts, outputs, gradients: found, final }, prefix = '') {
      const checks: Check[] = []
      const add = (name: string, actual: ArrayLike<number>) => {
        const expected = tensor(`expected.${name}`)
        left.delete(`expected.${name}`)
        if (!name.startsWith('out.')) toFloats(expected) // integers are expected of outputs only
        const bound = /int|bool/.test(expected.dtype) ? { tolerance: 0 } : boundOf(page, name, facts)
        const wanted = { data: numbersOf(expected), shape: expected.shape }
        checks.push(compare(prefix + name, actual, wanted, bound))
      }
      /** One for each step, or that of the first. */
      const addSteps = (name: string, values: readonly number[]) =>
        add(name, tensor(`expected.${name}`).shape.length === 0 ? values.slice(0, 1) : values)
      const addGradient = (name: string, gradient: ArrayLike<number> | null) => {
        if (tensors.has(`expected.${name}`)) {
          const { shape } = tensor(`expected.${name}`) // where it is not reached it may be stored as zeros
          add(name, gradient ?? new Float32Array(shape.reduce((a, b) => a * b, 1)))
        } else if (gradient && greatestOf(gradient) > 0) {
          const wrong = `there is a gradient, the greatest ${greatestOf(gradient)}, expected none`
          const none = { tolerance: 0, isRelative: false, passed: false }
          checks.push({ name: prefix + name, largestDifference: greatestOf(gradient), ...none, wrong })
        }
      }
      for (const [name, values] of outputs) add(isFirstFormat ? name : `out.${name}`, values)
      addSteps('loss', losses)
      if (hasParts) for (const [name, values] of Object.entries(parts)) addSteps(`part.${name}`, values)
      for (const [name, gradient] of found)
        addGradient(places.get(name)!.first.replace('weights.', 'grad.'), gradient)
      add('losses', losses)
      for (const [name, { last, moves }] of places)
        if (moves || tensors.has(`expected.${last}`)) add(last, final.get(name)!)
      return checks
    },
    left: () =>
      [...left].map((name) => {
        if (!name.startsWith('expected.out.'))
          throw new SherdError('VALUE', `it has a tensor that belongs to nothing: "${name}"`)
        return `output "${name.slice('expected.out.'.length)}"`
      }),
  }
}
