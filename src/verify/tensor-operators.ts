/** Reference files of operators on tensors: what comes out, and gradients of the inputs where the file has them. */
import { z } from 'zod'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { gradientHistograms } from '../target/gradient-histograms.ts'
import { backward, gradient, requireGradient } from '../tensor/context.ts'
import { clone, mul, select, sum, toDevice, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, type Tensor, toFloats } from '../tensor/tensor.ts'
import { resamplePositions } from '../token/resample-positions.ts'
import { type Check, compare } from './check.ts'
import { type Checked, casesOf, readCase } from './operator-file.ts'
import { boundOf, type Page } from './tolerances.ts'

type Inputs = (name: string) => Tensor

/** An operator by the options of its cases. */
const operator = <S extends z.ZodType>(
  options: S,
  compute: (options: z.infer<S>, inputs: Inputs) => Tensor,
) => ({
  options,
  compute: compute as (options: unknown, inputs: Inputs) => Tensor,
})

const side = z.int().min(1).max(16_384)
const grid = z.tuple([side, side]).transform(([h, w]) => ({ h, w }))
const operators: Readonly<Record<string, ReturnType<typeof operator>>> = {
  hog: operator(
    z.object({ patchSize: side, cellSize: side, bins: side, gaussianWindow: z.int().min(0).max(16_384) }),
    ({ patchSize, ...options }, inputs) =>
      gradientHistograms(inputs('images'), { ...options, patchSize: [patchSize, patchSize] }),
  ),
  positions: operator(
    z.object({ baseGrid: grid, grid, offset: z.literal([0, 0.1]), antialias: z.boolean() }),
    ({ baseGrid, grid, offset, antialias }, inputs) => {
      if (antialias && offset > 0)
        throw new SherdError('VALUE', 'positions: no convention has both an offset and antialiasing')
      const by = antialias ? 'cubic-antialias' : offset > 0 ? 'cubic-offset' : 'cubic'
      return unsqueeze(resamplePositions(select(inputs('table'), 0, 0), { from: baseGrid, to: grid, by }), 0)
    },
  ),
}

/** `page` has the tolerances. A case names its operator; where it does not, that is the file's objective. */
export const checkTensorOperators = (
  page: Page,
  { file, objective, device }: { readonly file: string; readonly objective: string; readonly device: Device },
): Checked =>
  scope(() => {
    const { metadata, tensors } = readSafetensors(file)
    const checks: Check[] = []
    const later = new Map<string, number>()
    const left = new Set([...tensors.keys()].filter((name) => name.startsWith('expected.')))
    const tensor = (name: string): Tensor => {
      const found = tensors.get(name)
      if (!found) throw new SherdError('VALUE', `it has no tensor "${name}"`)
      left.delete(name)
      return found
    }
    for (const [name, { operator: named, ...options }] of casesOf(metadata)) {
      const which = typeof named === 'string' ? named : objective
      const own = (prefix: string) =>
        [...tensors.keys()].filter((key) => key.startsWith(prefix) && !key.slice(prefix.length).includes('.'))
      const row = Object.hasOwn(operators, which) ? operators[which] : undefined
      if (!row) {
        later.set(which, (later.get(which) ?? 0) + 1)
        for (const key of [`expected.out.${name}`, ...own(`expected.grad.${name}.`)]) left.delete(key)
        continue
      }
      const settings = readCase(name, options, row.options)
      scope(() => {
        const used = new Map<string, Tensor>()
        const inputs: Inputs = (input) => {
          const made = clone(toDevice(tensor(`input.${name}.${input}`), device))
          used.set(input, requireGradient(made))
          return made
        }
        const check = (key: string, found: Tensor) => {
          const expected = tensor(`expected.${key}`)
          const wanted = { data: toFloats(expected), shape: expected.shape }
          if (found.shape.join() !== expected.shape.join())
            throw new SherdError(
              'VALUE',
              `expected.${key}: computed [${found.shape.join(', ')}], got [${expected.shape.join(', ')}]`,
            )
          checks.push(compare(key, toFloats(toDevice(found, 'cpu')), wanted, boundOf(page, key)))
        }
        const output = row.compute(settings, inputs)
        check(`out.${name}`, output)
        const gradients = own(`expected.grad.${name}.`)
        if (gradients.length === 0) return
        // Of the scalar that comes out, or of its sum weighted by a probe.
        backward(
          output.shape.length === 0
            ? output
            : sum(mul(output, toDevice(tensor(`input.${name}.probe`), device))),
        )
        for (const key of gradients) {
          const input = key.slice(`expected.grad.${name}.`.length)
          const found = used.get(input) && gradient(used.get(input)!)
          if (!found) throw new SherdError('VALUE', `its output does not depend on "input.${name}.${input}"`)
          check(key.slice('expected.'.length), found)
        }
      })
    }
    const [lost] = left
    if (lost !== undefined)
      throw new SherdError('VALUE', `it has a tensor that belongs to no case: "${lost}"`)
    const notSupported = [...later].map(
      ([which, n]) => `operator "${which}" (${n} ${n === 1 ? 'case' : 'cases'})`,
    )
    return { checks, notSupported }
  })
