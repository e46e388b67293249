/** The state of an optimizer as a file: tensors `<slot>.<parameter>`, and in the metadata the steps of each parameter. */
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import type { Seal } from '../files/durable.ts'
import type { Parameters } from '../model/parameters.ts'
import type { OptimizerState } from '../optim/optimizer.ts'
import { toDevice } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { readSafetensors, writeSafetensors } from './safetensors.ts'

const count = z.number().int().min(0)

/** One count if it is the same for all parameters, else counts by name. */
function countsText({ steps }: OptimizerState): Record<string, string> {
  const counts = new Set(steps.values())
  return counts.size > 1
    ? { steps: JSON.stringify(Object.fromEntries(steps)) }
    : { step: String([...counts][0] ?? 0) }
}

const countsSchema = z.record(z.string(), count)

function countsOf(file: string, metadata: Readonly<Record<string, string>>, parameters: Parameters) {
  const unknown = (why: string, cause?: unknown) =>
    new SherdError('CHECKPOINT', `${file} does not say how many steps were taken${why}`, { cause })
  if (metadata.steps === undefined) {
    const step = Number(metadata.step || Number.NaN)
    if (!count.safeParse(step).success) throw unknown('')
    return new Map([...parameters.keys()].map((name) => [name, step]))
  }
  let counts: z.infer<typeof countsSchema>
  try {
    counts = countsSchema.parse(JSON.parse(metadata.steps))
  } catch (error) {
    throw unknown(`: its "steps" are not counts by name (${messageOf(error)})`, error)
  }
  const all = new Map(Object.entries(counts))
  return new Map(
    [...parameters.keys()].map((name) => {
      const found = all.get(name)
      if (found === undefined) throw unknown(` with "${name}"`)
      return [name, found]
    }),
  )
}

/** Other slots are those of another optimizer, and cannot be converted. */
function expectSlots(file: string, found: readonly string[], expected: readonly string[]): void {
  if (found.join() === expected.join()) return
  throw new SherdError(
    'CHECKPOINT',
    `${file} was written by another optimizer: it holds ${found.join(', ') || 'nothing'}, expected ${expected.join(', ')}. Continue with the optimizer that wrote it, or begin a new run from its weights.`,
  )
}

/** Returns the seal. */
export function writeOptimizer(file: string, optimizer: OptimizerState): Seal {
  const tensors = new Map<string, Tensor>()
  for (const [slot, own] of Object.entries(optimizer.slots))
    for (const [name, tensor] of own) tensors.set(`${slot}.${name}`, tensor)
  return writeSafetensors(file, tensors, countsText(optimizer))
}

/**
 * Reads the state of the learned `parameters`. `slots`: of the optimizer that continues; default: those of the file. Throws `CHECKPOINT`.
 */
export function loadOptimizer(
  file: string,
  parameters: Parameters,
  device: Device,
  slots?: readonly string[],
): OptimizerState {
  const load = () => {
    const { tensors, metadata } = readSafetensors(file)
    const steps = countsOf(file, metadata, parameters)
    const found = [...new Set([...tensors.keys()].map((key) => key.split('.', 1)[0]!))]
    if (slots) expectSlots(file, found.toSorted(), slots.toSorted())
    const pick = (slot: string) =>
      new Map(
        [...parameters].map(([name, parameter]) => {
          const found = tensors.get(`${slot}.${name}`)
          if (found?.dtype !== 'float32' || found.shape.join() !== parameter.shape.join()) {
            throw new SherdError(
              'CHECKPOINT',
              `${file}: ${slot} of "${name}" is ${found ?? 'missing'}, expected ${parameter}`,
            )
          }
          return [name, toDevice(found, device)] as const
        }),
      )
    return { steps, slots: Object.fromEntries((slots ?? found).map((slot) => [slot, pick(slot)])) }
  }
  return unscoped(() => scope(load)) // the result outlives every scope, but not the CPU copies of a GPU run
}
