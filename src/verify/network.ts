/**
 * Reference files of networks: forward pass, every gradient and the whole optimizer trajectory in float32, with the tolerances of the
 * format.
 */
import { SherdError } from '../errors.ts'
import { loadParameters, type Parameters, weightsOf } from '../model/parameters.ts'
import { totalOf } from '../objective/losses.ts'
import { type MaskedAutoencoder, mae } from '../objective/mae.ts'
import { expectReached, gradientsOf } from '../optim/gradients.ts'
import { initialState } from '../optim/optimizer.ts'
import { update, updateOf } from '../optim/update.ts'
import { type Views, viewsOf, withoutNaN } from '../prepare/views.ts'
import { backward, clearGradients, noGrad } from '../tensor/context.ts'
import { select, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, item, type Tensor, toArray, toFloats } from '../tensor/tensor.ts'
import { type MaskPlan, maskOf } from '../token/mask.ts'
import { type Check, compare } from './check.ts'
import { type Reference, readReference } from './reference.ts'

// The key third of a qkv bias has no true gradient (softmax ignores it); Adam amplifies the rounding noise there.
const finalTolerance = (name: string) => (name.endsWith('attn.qkv.bias') ? 2e-3 : 2e-4)

/** `satmae` is `mae` with bands, frames and scales: one objective, whose tokens, mask and target the file describes. */
function objectiveOf(
  { dimensions, decoder, maskRatio, normalizeTarget, shape }: Reference,
  device: Device,
): MaskedAutoencoder {
  const { scales, upscaleWidth, compat, kept, groups, time, referenceResolution, ...rest } = shape
  return mae({
    ...{ dimensions, decoder, maskRatio, normalizeTarget, device, ...rest },
    ...{ groups: groups ?? null, time: time ?? null, kept: kept ?? null, compat: compat ?? null },
    referenceResolution: referenceResolution ?? null,
    scales: scales ? { scales, width: upscaleWidth ?? 0 } : null,
  })
}

const UNKNOWN_TIME = -(2n ** 62n)

/** The images of a file with what it says of them. NaN is no data. Called inside a scope. */
function imagesOf({ tensors }: Reference, images: Tensor, device: Device): Views {
  const { pixels, valid } = withoutNaN(viewsOf(images).pixels)
  const times = tensors.get('input.times')
  const resolution = tensors.get('input.resolution')
  const milliseconds = (seconds: bigint) => (seconds === UNKNOWN_TIME ? Number.NaN : 1000 * Number(seconds))
  return {
    pixels: toDevice(pixels, device),
    valid: valid && toDevice(valid, device),
    times: times ? Float64Array.from(toArray(times) as BigInt64Array, milliseconds) : null,
    resolution: resolution ? Float64Array.from(toFloats(resolution)) : null,
  }
}

/** Forward pass, gradients and trajectory of the model that a file describes. */
export const checkNetwork = (file: string, device: Device): Check[] =>
  scope(() => checkReference(readReference(file), device))

function checkReference(reference: Reference, device: Device): Check[] {
  const stored = (name: string): Tensor => {
    const found = reference.tensors.get(name)
    if (!found) throw new SherdError('VALUE', `it has no tensor "${name}"`)
    return found
  }
  const objective = objectiveOf(reference, device)
  const initial = new Map(objective.rows.map(({ name }) => [name, stored(`weights.${name}`)]))
  for (const name of reference.tensors.keys()) {
    if (name.startsWith('weights.') && !initial.has(name.slice('weights.'.length))) {
      throw new SherdError('VALUE', `it has a weight that the model does not know: "${name}"`)
    }
  }
  const parameters: Parameters = loadParameters(objective.rows, initial, device)
  const weights = weightsOf(parameters)
  const images = imagesOf(reference, stored('input.images'), device)
  const noise = stored('input.noise')
  const planOf = (step: number): MaskPlan => objective.planFromNoise(select(noise, 0, step), images)
  const numbers = (x: Tensor) => toFloats(toDevice(x, 'cpu'))

  const checks: Check[] = []
  const check = (name: string, actual: ArrayLike<number>, tolerance: number) => {
    const expected = stored(`expected.${name}`)
    checks.push(compare(name, actual, { data: toFloats(expected), shape: expected.shape }, { tolerance }))
  }

  noGrad(() =>
    scope(() => {
      const plan = planOf(0)
      const { latent, prediction } = objective.predict(weights, images, plan)
      check('pred', numbers(prediction), 1e-5)
      check('mask', numbers(maskOf(plan)), 0)
      check('latent', numbers(latent), 1e-5)
    }),
  )

  const losses: number[] = []
  const { learningRate } = reference.optimizer
  const options = updateOf({ ...reference.optimizer, clipGradientNorm: null })
  const state = initialState(options.optimizer, parameters)
  for (let step = 0; step < (noise.shape[0] ?? 0); step++) {
    clearGradients(parameters.values())
    scope(() => {
      const loss = totalOf(objective.loss(weights, images, planOf(step)))
      backward(loss)
      losses.push(item(loss))
      const gradients = expectReached(parameters, gradientsOf(parameters))
      if (step === 0) {
        check('loss', losses, 1e-5)
        for (const [name, gradient] of gradients) check(`grad.${name}`, numbers(gradient), 1e-6)
      }
      update(parameters, gradients, state, { ...options, learningRate, step, epoch: step })
    })
  }
  check('losses', losses, 1e-5)
  for (const [name, parameter] of parameters) check(`final.${name}`, numbers(parameter), finalTolerance(name))
  return checks
}
