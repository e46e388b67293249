/** A batch as a classifier learns from it: augmented images and what is asked of them. */
import type { Dimensions } from '../model/dimensions.ts'
import type { ClassificationPlan } from '../objective/classification.ts'
import { drawErasures, eraseImages } from '../prepare/erasing.ts'
import type { Batch } from '../prepare/loader.ts'
import { drawMix, mixImages, mixTargets } from '../prepare/mixing.ts'
import { type ChannelStatistics, normalizePixels } from '../prepare/normalize.ts'
import { randAugment, randAugmentDefaults } from '../prepare/rand-augment.ts'
import { draws } from '../random/draws.ts'
import { manualSeed, noGrad } from '../tensor/context.ts'
import { contiguous, randn, toDevice } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { type Device, type Tensor, tensor } from '../tensor/tensor.ts'
import type { MicroBatch } from '../train/step.ts'

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

/** Standard normal noise [C, 2 H, 2 W], for random erasing. Outlives every scope. */
export function noiseField(
  { channels, imageSize: [H, W] }: Dimensions,
  seed: number,
  device: Device,
): Tensor {
  manualSeed(draws({ seed, stream: 'noise', epoch: 0, index: 0 }).below(2 ** 32))
  return noGrad(() => unscoped(() => scope(() => toDevice(randn([channels, 2 * H, 2 * W]), device))))
}

export interface Augmenting {
  readonly classes: number
  readonly settings: AugmentSettings
  readonly seed: number
  readonly statistics: ChannelStatistics
  readonly device: Device
  /** [C, 2 H, 2 W], for random erasing. */
  readonly noise: Tensor
}

/**
 * RandAugment on the bytes, in place; then normalised, erased, mixed. Every draw belongs to the address of its sample.
 */
export function labelledBatch(
  { pixels, size, height, width, channels, epochs, indices, labels }: Batch,
  { classes, settings, seed, statistics, device, noise }: Augmenting,
): MicroBatch<ClassificationPlan> {
  const image = { height, width }
  if (settings.randAugment !== null && channels === 3) {
    const options = { ...randAugmentDefaults, magnitude: settings.randAugment }
    const fill = statistics.mean.map((mean) => Math.round(255 * mean))
    const bytes = height * width * channels
    for (let row = 0; row < size; row++) {
      const own = draws({ seed, stream: 'augment', epoch: epochs[row]!, index: indices[row]! })
      randAugment({ ...image, pixels: pixels.subarray(row * bytes, (row + 1) * bytes) }, options, own, fill)
    }
  }
  const samples = { epochs, indices }
  const normalized = normalizePixels({ pixels, shape: [size, height, width, channels] }, statistics, device)
  const images = contiguous(normalized) // erasing writes into them
  eraseImages(images, noise, drawErasures({ probability: settings.erasing, seed }, samples, image))
  const mix = drawMix({ mixup: settings.mixup, cutmix: settings.cutmix, seed }, samples, image)
  const targets = mixTargets(labels!, mix, { classes, smoothing: settings.smoothing })
  return {
    images: settings.mixup > 0 || settings.cutmix > 0 ? mixImages(images, mix) : images,
    plan: { targets: toDevice(tensor(targets, [size, classes]), device), samples },
  }
}
