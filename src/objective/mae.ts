/** Masked autoencoding (He et al. 2021): see a quarter of the patches, rebuild the pixels of the rest. */
import { decodeAll, decodeHidden, decoderRows } from '../model/decoder.ts'
import { checkDimensions, type Dimensions, gridOfModel } from '../model/dimensions.ts'
import { encode, encoderRows } from '../model/encoder.ts'
import { pixelLoss } from '../target/pixels.ts'
import { toDevice } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { tokenCount } from '../token/grid.ts'
import { keptCount, type MaskPlan, maskNoise, planFromNoise } from '../token/mask.ts'
import { patchify } from '../token/patchify.ts'
import { positions } from '../token/position.ts'
import type { Objective } from './objective.ts'

export interface MaeOptions {
  readonly dimensions: Dimensions
  /** Share of patches that are hidden, in (0, 1). */
  readonly maskRatio: number
  /** Whether targets are normalised by each patch's own statistics. */
  readonly normalizeTarget: boolean
  readonly device: Device
}

/** Throws `SHAPE` or `VALUE` when dimensions or ratio do not fit. */
export function mae({ dimensions: d, maskRatio, normalizeTarget, device }: MaeOptions): Objective {
  checkDimensions(d)
  const grid = gridOfModel(d)
  const tokens = tokenCount(grid)
  const kept = keptCount(tokens, maskRatio)
  const [encoderPositions, decoderPositions] = unscoped(() => [
    positions(grid, d.width, device),
    positions(grid, d.decoderWidth, device),
  ])

  const cut = (images: Tensor) => {
    expectShape(images, ['B', d.channels, ...d.imageSize], 'mae: images')
    return patchify(images, d.patchSize)
  }
  const encoded = (patches: Tensor, plan: MaskPlan, weights: Parameters<Objective['loss']>[0]) =>
    encode({ patches, kept: plan.kept, positions: encoderPositions }, weights, d)

  return {
    rows: [...encoderRows(d), ...decoderRows(d)],
    tokens,
    plan: (seed, samples) =>
      scope(() => planFromNoise(toDevice(maskNoise(tokens, seed, samples), device), kept)),
    planFromNoise: (noise) => scope(() => planFromNoise(toDevice(noise, device), kept)),
    loss: (weights, images, plan) =>
      scope(() => {
        const patches = cut(images) // [B, N, P·P·C]
        const latent = encoded(patches, plan, weights)
        const predicted = decodeHidden({ latent, plan, positions: decoderPositions }, weights, d)
        // Every row hides the same number of patches, so the mean over all of them is the reference's masked mean.
        return pixelLoss(predicted, patches, plan.hidden, { normalize: normalizeTarget })
      }),
    predict: (weights, images, plan) =>
      scope(() => {
        const latent = encoded(cut(images), plan, weights)
        return { latent, prediction: decodeAll({ latent, plan, positions: decoderPositions }, weights, d) }
      }),
  }
}
