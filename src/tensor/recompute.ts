/**
 * Activation checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost"): only inputs and outputs of a segment
 * are kept; its activations are recomputed in the backward pass. A third more work, for the memory of one segment.
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
  /** Settings of the first run, restored for the second. */
  readonly kernels: Kernels
  readonly dtype: DType
}

let tape: Segment[] | null = null

const dispose = (tensors: readonly Tensor[]) => {
  for (const x of tensors) x.dispose()
}

/** Enables `segment` in `body`; `backwardRecomputing` then computes the gradients. */
export function withRecompute<T>(body: () => T): T {
  const before = tape
  tape = []
  try {
    return body()
  } finally {
    for (const { inputs, given, outputs } of tape) dispose([...inputs, ...given, ...outputs]) // left only if `body` failed
    tape = before
  }
}

/**
 * Runs run(inputs, given) as one segment. Nothing else may read the inputs; `given` are tensors without gradient, such as indices. `run`
 * may read no other tensors but parameters, which still exist when it is recomputed. Outputs may have several readers. Outside of
 * `withRecompute`, and inside of `noGrad`, it just runs.
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
    dispose([...outputs]) // their gradients are known, so they can be freed early
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

/** Backward through all segments, from a scalar or from several tensors with given gradients. */
export function backwardRecomputing(
  tensors: readonly Tensor[],
  gradients: readonly (Tensor | null)[] = tensors.map(() => null),
): void {
  backwardFrom(tensors, gradients)
  for (let last = tape?.at(-1); last; last = tape?.at(-1)) {
    backwardThrough(last)
    tape?.pop() // after success: `withRecompute` frees what is left on the tape
  }
}
