/** Which number went wrong first in a step that was not finite: weights, images, an operator of the forward pass, a gradient. */
import { weightsOf } from '../model/parameters.ts'
import { isViews } from '../prepare/views.ts'
import { autocast, gradient, noGrad } from '../tensor/context.ts'
import { firstNotFinite, type NotFinite, notFinite } from '../tensor/finite.ts'
import { withKernels } from '../tensor/fused.ts'
import { scope } from '../tensor/scope.ts'
import type { MicroBatch, Trainee } from './step.ts'

/** Repeats the forward pass of a micro-batch whose loss is not finite. Null when it is finite this time. */
export function traceLoss<Plan>(trainee: Trainee<Plan>, make: () => MicroBatch<Plan>): NotFinite | null {
  const { objective, parameters, frozen = new Map(), device, precision, kernels = 'fused' } = trainee
  const all = new Map([...frozen, ...parameters])
  for (const [name, value] of all) {
    const wrong = notFinite(name, value)
    if (wrong) return wrong
  }
  return noGrad(() =>
    scope(() => {
      const { images, plan } = make()
      const forward = () =>
        withKernels(kernels, () =>
          autocast({ device, dtype: precision }, () => objective.loss(weightsOf(all), images, plan)),
        )
      return notFinite('the images', isViews(images) ? images.pixels : images) ?? firstNotFinite(forward)
    }),
  )
}

/** The gradient that the backward pass, which goes from the last parameter to the first, spoiled first. */
export function traceGradients<Plan>({ parameters }: Trainee<Plan>): NotFinite | null {
  return scope(() => {
    for (const [name, value] of [...parameters].reverse()) {
      const own = gradient(value)
      const wrong = own && notFinite(`the gradient of ${name}`, own)
      if (wrong) return wrong
    }
    return null
  })
}
