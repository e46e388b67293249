/**
 * The interface of optimizers: a formula over tensors with equal rates, and a state. Each parameter counts its own steps, since one without
 * a gradient is skipped, as in PyTorch.
 */
import { SherdError } from '../errors.ts'
import { callInPlace, hasOperator } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { zerosLike } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Gradients, listKernel } from './gradients.ts'

type Parameters = ReadonlyMap<string, Tensor>

/** Saved with every checkpoint. */
export interface OptimizerState {
  /** Steps taken so far, by parameter. */
  readonly steps: Map<string, number>
  /** Tensors of the parameter's shape, by slot (such as `exp_avg`) and parameter. */
  readonly slots: Readonly<Record<string, ReadonlyMap<string, Tensor>>>
}

/** Of one parameter in one step. */
export interface Rates {
  readonly rate: number
  readonly decay: number
}

/** In one pass on the CPU, by LibTorch's fused kernel on a GPU, or by operators over lists on any device. */
export type StepKernel = 'native' | 'library' | 'composed'

/** What a step on the device reads there beside its tensors: scalars in float32. */
export interface OnDevice {
  /** Gradients are divided by it; null: by nothing. */
  readonly divisor: Tensor | null
  /** 1: nothing is written; 0 otherwise. */
  readonly skip: Tensor
}

/** A formula whose numbers lie on the device, so that a recorded step can be repeated with others. */
export interface DeviceStep {
  /** The numbers of a group that change from step to step. */
  numbersOf(group: Pick<Group, 'rate' | 'count'>): readonly number[]
  /** One step, in place. `numbers`: those, each a scalar in float32. Whatever else the group says is recorded. */
  step(group: Group, numbers: readonly Tensor[], how: OnDevice): void
}

export interface Optimizer {
  /** Names of the state's tensors. */
  readonly slots: readonly string[]
  /**
   * Updates parameters and state in place. A parameter without a gradient gets no moment, decay or count. Throws `VALUE`, before any
   * change, for a gradient of an unknown parameter.
   */
  step(
    parameters: Parameters,
    gradients: Gradients,
    state: OptimizerState,
    ratesOf: (name: string) => Rates,
    kernel?: StepKernel,
  ): void
  /** Absent where there is none. */
  readonly onDevice?: DeviceStep | undefined
}

/** Tensors with equal rates, in lists of one order. */
export interface Group<Slot extends string = string> extends Rates {
  readonly parameters: Tensor[]
  readonly gradients: Tensor[]
  readonly slots: Readonly<Record<Slot, Tensor[]>>
  /** Steps of these parameters, including this one. */
  readonly count: number
}

// A slice bounds the scratch memory of a composed step.
const SLICE_ELEMENTS = 1 << 24

/** Groups parameters with gradients by rates and count, in slices of about `SLICE_ELEMENTS`. */
export function groupsOf<Slot extends string>(
  slots: readonly Slot[],
  parameters: Parameters,
  gradients: Gradients,
  state: OptimizerState,
  ratesOf: (name: string) => Rates,
): Group<Slot>[] {
  const made: Group<Slot>[] = []
  const open = new Map<string, { group: Group<Slot>; elements: number }>()
  for (const [name, parameter] of parameters) {
    const gradient = gradients.get(name)
    if (!gradient) continue
    const { rate, decay } = ratesOf(name)
    const count = state.steps.get(name)!
    const size = parameter.shape.reduce((a, b) => a * b, 1)
    const key = `${rate} ${decay} ${count}`
    let last = open.get(key)
    if (!last || last.elements + size > SLICE_ELEMENTS) {
      const lists = Object.fromEntries(slots.map((slot) => [slot, []])) as unknown as Record<Slot, Tensor[]>
      last = { group: { parameters: [], gradients: [], slots: lists, rate, decay, count }, elements: 0 }
      open.set(key, last)
      made.push(last.group)
    }
    last.group.parameters.push(parameter)
    last.group.gradients.push(gradient)
    for (const slot of slots) last.group.slots[slot].push(state.slots[slot]!.get(name)!)
    last.elements += size
  }
  return made
}

function expectKnown(
  slots: readonly string[],
  parameters: Parameters,
  gradients: Gradients,
  state: OptimizerState,
) {
  for (const name of gradients.keys()) {
    if (!parameters.has(name))
      throw new SherdError('VALUE', `The gradient "${name}" belongs to none of ${parameters.size} parameters`)
    const lacking = slots.filter((slot) => !state.slots[slot]?.has(name))
    if (lacking.length > 0 || !state.steps.has(name))
      throw new SherdError(
        'VALUE',
        `The optimizer's state has no ${lacking.join(', ') || 'count of steps'} of parameter "${name}": make it with initialState of the same optimizer and parameters`,
      )
  }
}

/** The fastest kernel on the gradients' device; optimizers without a kernel always compose. */
function stepKernel(gradients: Gradients): StepKernel {
  const list = [...gradients.values()]
  const kernel = listKernel(list)
  const isOnGpu = list[0]?.device.startsWith('cuda') ?? false
  return kernel === 'composed' && isOnGpu && hasOperator('_fused_adamw_') ? 'library' : kernel
}

/** An optimizer from its slots and its formula for a group. */
export const makeOptimizer = <Slot extends string>(
  slots: readonly Slot[],
  stepGroup: (group: Group<Slot>, kernel: StepKernel) => void,
  onDevice?: DeviceStep,
): Optimizer => ({
  slots,
  onDevice,
  step(parameters, gradients, state, ratesOf, kernel = stepKernel(gradients)) {
    expectKnown(slots, parameters, gradients, state)
    for (const name of gradients.keys()) state.steps.set(name, state.steps.get(name)! + 1)
    noGrad(() =>
      scope(() => {
        for (const group of groupsOf(slots, parameters, gradients, state, ratesOf))
          scope(() => stepGroup(group, kernel))
      }),
    )
  },
})

export function initialState({ slots }: Pick<Optimizer, 'slots'>, parameters: Parameters): OptimizerState {
  const like = () => new Map([...parameters].map(([name, parameter]) => [name, zerosLike(parameter)]))
  return noGrad(() =>
    unscoped(() => ({
      steps: new Map([...parameters.keys()].map((name) => [name, 0])),
      slots: Object.fromEntries(slots.map((slot) => [slot, like()])),
    })),
  )
}

const tensorsOf = ({ slots }: OptimizerState): Tensor[] =>
  Object.values(slots).flatMap((slot) => [...slot.values()])

/** Copies a state into another one's tensors. */
export function copyState(to: OptimizerState, from: OptimizerState): void {
  noGrad(() => {
    for (const [slot, tensors] of Object.entries(to.slots))
      for (const [name, tensor] of tensors) callInPlace('copy_', tensor, from.slots[slot]!.get(name)!)
  })
  for (const [name, count] of from.steps) to.steps.set(name, count)
}

export function disposeState(state: OptimizerState): void {
  for (const tensor of tensorsOf(state)) tensor.dispose()
}

/** The largest count of a parameter. */
export const updatesTaken = ({ steps }: OptimizerState): number => Math.max(0, ...steps.values())
