/**
 * Activation checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost"): of a segment only what goes
 * in and what comes out is kept; what lies between is computed again when its gradient is wanted. A third more work, and
 * the memory of one segment instead of all.
 */
import {
  autocast,
  backwardFrom,
  gradient,
  isRecording,
  noGrad,
  productType,
  requireGradient,
  requiresGradient,
  share,
} from './context.ts'
import type { DType } from './dtype.ts'
import { type Kernels, kernelsChosen, withKernels } from './fused.ts'
import { detach } from './ops.ts'
import { scope, unscoped } from './scope.ts'
import type { Tensor } from './tensor.ts'

type Run = (inputs: readonly Tensor[], given: readonly Tensor[]) => readonly Tensor[]

interface Segment {
  readonly run: Run
  readonly inputs: readonly Tensor[]
  readonly given: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** What was set when it ran first. */
  readonly kernels: Kernels
  readonly dtype: DType
}

let tape: Segment[] | null = null

const dispose = (tensors: readonly Tensor[]) => {
  for (const x of tensors) x.dispose()
}

/** Runs `body`, in which `segment` keeps only ends; `backwardRecomputing` then finds the gradients. */
export function withRecompute<T>(body: () => T): T {
  const before = tape
  tape = []
  try {
    return body()
  } finally {
    for (const { inputs, given, outputs } of tape) dispose([...inputs, ...given, ...outputs]) // only when `body` failed
    tape = before
  }
}

/**
 * run(inputs, given) as one segment. The inputs must be read by nothing else; `given` are tensors without a gradient that it reads
 * too, such as which rows to take. It may read no other but parameters: its scope has ended when it is computed again. Its outputs may
 * have several readers. Outside of `withRecompute`, and inside of `noGrad`, it just runs.
 */
export function segment(
  inputs: readonly Tensor[],
  run: Run,
  given: readonly Tensor[] = [],
): readonly Tensor[] {
  if (!tape || !isRecording()) return run(inputs, given)
  const outputs = noGrad(() => run(inputs, given))
  for (const x of outputs) requireGradient(x)
  const kept = (tensors: readonly Tensor[]) => unscoped(() => tensors.map(share))
  const { device } = outputs[0]!
  tape.push({
    ...{ run, inputs: kept(inputs), given: kept(given), outputs: kept(outputs) },
    ...{ kernels: kernelsChosen(), dtype: productType(device) },
  })
  return outputs
}

function backwardThrough({ run, inputs, given, outputs, kernels, dtype }: Segment): void {
  scope(() => {
    const fresh = inputs.map((x) => requireGradient(detach(x)))
    const { device } = outputs[0]!
    const again = withKernels(kernels, () => autocast({ device, dtype }, () => run(fresh, given)))
    const gradients = outputs.map(gradient)
    const reached = again.flatMap((x, i) => (gradients[i] ? [[x, gradients[i]] as const] : []))
    dispose([...outputs]) // their gradients are in hand, so the tensors need not wait for the end
    backwardFrom(
      reached.map(([x]) => x),
      reached.map(([, g]) => g),
    )
    const learned = inputs.flatMap((x, i) => {
      const g = requiresGradient(x) ? gradient(fresh[i]!) : null
      return g ? [[x, g] as const] : []
    })
    if (learned.length > 0)
      backwardFrom(
        learned.map(([x]) => x),
        learned.map(([, g]) => g),
      )
  })
  dispose([...inputs, ...given])
}

/**
 * Adds the gradient of a scalar, or of several tensors whose own gradients are known, to that of every leaf they depend on, through all
 * segments.
 */
export function backwardRecomputing(
  tensors: readonly Tensor[],
  gradients: readonly (Tensor | null)[] = tensors.map(() => null),
): void {
  backwardFrom(tensors, gradients)
  for (let last = tape?.at(-1); last; last = tape?.at(-1)) {
    backwardThrough(last)
    tape?.pop() // not before: what is on the tape is freed when this fails
  }
}
