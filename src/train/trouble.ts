/** Traces a non-finite step to its first tensor: weights, the batch, a result of the forward pass, a gradient. */
import type { Parameters } from '../model/parameters.ts'
import type { Gradients } from '../optim/gradients.ts'
import { gradient, noGrad } from '../tensor/context.ts'
import { firstNotFinite, type NotFinite, notFinite } from '../tensor/finite.ts'
import { scope } from '../tensor/scope.ts'
import { Tensor } from '../tensor/tensor.ts'

/** The tensors of a batch, named for messages. */
function tensorsOf(batch: unknown, name = 'images'): (readonly [string, Tensor])[] {
  if (batch instanceof Tensor) return [[`the ${name}`, batch]]
  if (typeof batch !== 'object' || batch === null || ArrayBuffer.isView(batch)) return []
  if ('pixels' in batch) return tensorsOf(batch.pixels, name)
  return Object.entries(batch).flatMap(([key, value]) => tensorsOf(value, key))
}

/** Repeats the forward pass of a micro-batch with a non-finite loss. Null if it is finite this time. */
export function traceLoss(
  parameters: Parameters,
  again: () => { readonly batches: readonly unknown[]; readonly forward: () => unknown },
): NotFinite | null {
  for (const [name, value] of parameters) {
    const wrong = notFinite(name, value)
    if (wrong) return wrong
  }
  return noGrad(() =>
    scope(() => {
      const { batches, forward } = again()
      const given = batches
        .flatMap((batch) => tensorsOf(batch))
        .reduce<NotFinite | null>((wrong, [name, value]) => wrong ?? notFinite(name, value), null)
      const computed = firstNotFinite(forward) // on every rank, whatever its batch holds
      return given ?? computed
    }),
  )
}

/**
 * The first non-finite gradient in the order of the backward pass, from the last parameter to the first. `gradients`: by default those that the
 * parameters have.
 */
export function traceGradients(parameters: Parameters, gradients?: Gradients): NotFinite | null {
  return scope(() => {
    for (const [name, value] of [...parameters].reverse()) {
      const own = gradients ? gradients.get(name) : gradient(value)
      const wrong = own && notFinite(`the gradient of ${name}`, own)
      if (wrong) return wrong
    }
    return null
  })
}
