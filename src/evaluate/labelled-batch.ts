/** A batch as a classifier learns from it: augmented images and what is asked of them. */

import type { BackboneShape } from '../model/backbone-shape.ts'
import type { Labelled } from '../objective/classification.ts'
import { drawErasures, eraseImages } from '../prepare/augment/erasing.ts'
import { drawMix, mixImages, mixTargets } from '../prepare/augment/mixing.ts'
import type { Batch } from '../prepare/loader/loader.ts'
import { pixelsOf } from '../prepare/upload.ts'
import type { View } from '../prepare/view.ts'
import { draws } from '../random/draws.ts'
import { call } from '../tensor/call.ts'
import { manualSeed, noGrad } from '../tensor/context.ts'
import { contiguous, mul, randn, reshape, toDevice, toDtype, unsqueeze } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { type Device, type Tensor, tensor } from '../tensor/tensor.ts'
import { type FrozenEncoder, viewFor } from '../weights/frozen-encoder.ts'

export interface AugmentSettings {
  /** α of mixup's share; 0 for none. */
  readonly mixup: number
  /** α of CutMix's share; 0 for none. */
  readonly cutmix: number
  /** Of the labels. */
  readonly smoothing: number
  /** Mean magnitude of RandAugment, 0 to 10, on images of three channels; null for none. */
  readonly randAugment: number | null
  /** Share of the images that random erasing changes. */
  readonly erasing: number
}

/** Standard normal noise [T · C, 2 H, 2 W], for random erasing. Outlives every scope. */
export function noiseField({ dimensions, frames }: BackboneShape, seed: number, device: Device): Tensor {
  const [H, W] = dimensions.imageSize
  const channels = frames * dimensions.channels
  manualSeed(draws({ seed, stream: 'noise', epoch: 0, index: 0 }).below(2 ** 32))
  return noGrad(() => unscoped(() => scope(() => toDevice(randn([channels, 2 * H, 2 * W]), device))))
}

export interface Augmenting {
  readonly classes: number
  readonly settings: AugmentSettings
  readonly seed: number
  readonly encoder: Pick<FrozenEncoder, 'statistics' | 'device' | 'channels' | 'shape'>
  /** [T · C, 2 H, 2 W], for random erasing. */
  readonly noise: Tensor
  /** Makes the view of a batch; default: of its pixels. */
  readonly toView?: ((batch: Batch) => View) | undefined
}

const usualView =
  (encoder: Augmenting['encoder']) =>
  ({ fields }: Batch): View =>
    viewFor(encoder, pixelsOf(fields))

/** Normalised, erased, mixed; RandAugment is the loader's. Every draw belongs to the address of its sample. */
export function labelledBatch(
  batch: Batch,
  { classes, settings, seed, encoder, noise, toView = usualView(encoder) }: Augmenting,
): Labelled {
  const { size, epochs, indices, labels } = batch
  const [height, width] = encoder.shape.dimensions.imageSize
  const image = { height, width }
  const addresses = { epochs, indices }
  const erasures = drawErasures({ probability: settings.erasing, seed }, addresses, image)
  const mix = drawMix({ mixup: settings.mixup, cutmix: settings.cutmix, seed }, addresses, image)
  const targets = mixTargets(labels!, mix, { classes, smoothing: settings.smoothing })
  const isMixed = settings.mixup > 0 || settings.cutmix > 0
  const change = (x: Tensor): Tensor => {
    const images = contiguous(x) // erasing writes into them
    eraseImages(images, noise, erasures)
    return isMixed ? mixImages(images, mix) : images
  }
  return {
    image: changed(toView(batch), change, (valid) => (isMixed ? mixImages(valid, mix) : valid)),
    targets: toDevice(tensor(targets, [size, classes]), encoder.device),
  }
}

const WHOLE = 1 - 1e-6 // shares that add up to 1, less what rounding takes

/** A view whose frames `change` has changed alike; a mixed pixel needs both its parts. */
function changed(view: View, change: (x: Tensor) => Tensor, mix: (valid: Tensor) => Tensor): View {
  const { pixels, valid } = view
  const [B, T, C, H, W] = pixels.shape as readonly [number, number, number, number, number]
  const whole = valid && toDtype(call('ge.Scalar', mix(valid), WHOLE), 'float32')
  const own = reshape(change(reshape(pixels, [B, T * C, H, W])), [B, T, C, H, W])
  return { ...view, pixels: whole ? mul(own, unsqueeze(whole, 2)) : own, valid: whole }
}
