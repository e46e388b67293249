/**
 * SatMAE on spectral groups (Cong et al. 2022): every location has a token for each group of bands, some are hidden, and each
 * group's head rebuilds its own bands, the ones that were declared, under its own mask. (The released code permutes them.)
 */

import { SherdError } from '../errors.ts'
import { decoderFeatures } from '../model/decoder.ts'
import { checkDimensions, type Dimensions, gridOfModel } from '../model/dimensions.ts'
import { encodeTokens } from '../model/encoder.ts'
import type { Weights } from '../model/parameters.ts'
import {
  embedGroups,
  predictAllGroups,
  predictGroups,
  spectralDecoderRows,
  spectralEncoderRows,
} from '../model/spectral.ts'
import { groupPatches, type SpectralStatistics, spectralStatistics } from '../target/spectral.ts'
import {
  add,
  cat,
  indexSelect,
  mul,
  permute,
  reshape,
  square,
  sub,
  sum,
  toDevice,
  toDtype,
  zeros,
} from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import { type Device, fromArray, type Tensor } from '../tensor/tensor.ts'
import { tokenCount } from '../token/grid.ts'
import { keptCount, type MaskPlan, maskNoise, planFromNoise, spreadPlan } from '../token/mask.ts'
import { checkGroups, type SpectralGroups, spectralPositionsOn } from '../token/spectral.ts'
import { take } from '../token/take.ts'
import type { Objective } from './objective.ts'

export interface SatMaeOptions {
  /** `channels`: all bands of the images, whether a group has them or not. */
  readonly dimensions: Dimensions
  readonly groups: SpectralGroups
  /** Numbers of the encoder's position that say the group; 256 in the paper. */
  readonly groupWidth: number
  /** The same of the decoder's; 128 in the paper. */
  readonly decoderGroupWidth: number
  readonly maskRatio: number
  /** One mask of locations for all groups. By default each token is hidden by itself, exactly as many in all. */
  readonly isConsistent: boolean
  /** By what targets are normalised; null for raw pixels. */
  readonly statistics: SpectralStatistics | null
  readonly device: Device
}

function checkWidths({ dimensions: d, groupWidth, decoderGroupWidth }: SatMaeOptions): void {
  for (const [name, width, own] of [
    ['groupWidth', d.width, groupWidth],
    ['decoderGroupWidth', d.decoderWidth, decoderGroupWidth],
  ] as const)
    if (!(own >= 2 && own % 2 === 0 && width - own >= 4 && (width - own) % 4 === 0))
      throw new SherdError(
        'SHAPE',
        `model.${name} ${own} of a width of ${width}: expected an even number that leaves a multiple of 4 for the place`,
      )
}

/** Throws `SHAPE` or `VALUE` when dimensions, groups or ratio do not fit. */
export function satmae(options: SatMaeOptions): Objective {
  const { dimensions: d, groups, maskRatio, isConsistent, statistics, device } = options
  checkDimensions(d)
  checkGroups(groups, d.channels)
  checkWidths(options)
  const grid = gridOfModel(d)
  const locations = tokenCount(grid)
  const tokens = groups.length * locations
  const noised = isConsistent ? locations : tokens // what the mask's noise is drawn for
  const kept = keptCount(noised, maskRatio)
  const [encoderPositions, decoderPositions] = unscoped(() => [
    spectralPositionsOn(grid, groups.length, { width: d.width, groupWidth: options.groupWidth }, device),
    spectralPositionsOn(
      grid,
      groups.length,
      { width: d.decoderWidth, groupWidth: options.decoderGroupWidth },
      device,
    ),
  ])

  const planFrom = (noise: Tensor): MaskPlan => {
    const plan = planFromNoise(noise, kept)
    return isConsistent ? spreadPlan(plan, groups.length) : plan
  }
  const cut = (images: Tensor) => {
    expectShape(images, ['B', d.channels, ...d.imageSize], 'satmae: images')
    return groupPatches(images, groups, d.patchSize)
  }
  const encoded = (patches: readonly Tensor[], plan: MaskPlan, weights: Weights) =>
    encodeTokens(
      () => ({ x: embedGroups(patches, plan.kept, weights), positions: encoderPositions, kept: plan.kept }),
      weights,
      d,
    )

  return {
    rows: [...spectralEncoderRows(d, groups), ...spectralDecoderRows(d, groups)],
    tokens,
    plan: (seed, samples) => scope(() => planFrom(toDevice(maskNoise(noised, seed, samples), device))),
    planFromNoise: (noise) => scope(() => planFrom(toDevice(noise, device))),
    loss: (weights, images, plan) =>
      scope(() => {
        const patches = cut(images)
        const latent = encoded(patches, plan, weights)
        const [B, K] = plan.kept.shape as readonly [number, number]
        const input = { latent, plan, positions: decoderPositions }
        const features = decoderFeatures(input, 1 + K, weights, d) // [B, M, E]
        const targets = statistics ? spectralStatistics[statistics](patches, images, d.patchSize) : patches
        const hidden = B * plan.hidden.shape[1]!
        // A token's error is the mean over its values, so that a group of few bands counts as much as one of many.
        return predictGroups(features, plan.hidden, targets, weights)
          .map(({ predicted, target }) => {
            const error = square(sub(toDtype(predicted, 'float32'), target))
            return mul(sum(error), 1 / (hidden * target.shape[1]!))
          })
          .reduce((a, b) => add(a, b))
      }),
    /** The prediction is in the order of the bands: [B, L, P·P·C], zero for a band that no group has. */
    predict: (weights, images, plan) =>
      scope(() => {
        const latent = encoded(cut(images), plan, weights)
        const input = { latent, plan, positions: decoderPositions }
        const features = take(decoderFeatures(input, 1, weights, d), plan.restore)
        const parts = predictAllGroups(features, groups.length, weights)
        return { latent, prediction: inBandOrder(parts, groups, d) }
      }),
  }
}

/** The groups' predictions [B, L, P·P·|g|] as one of all bands [B, L, P·P·C]: each goes to the band that was declared. */
function inBandOrder(
  parts: readonly Tensor[],
  groups: SpectralGroups,
  { patchSize, channels }: Dimensions,
): Tensor {
  const pixels = patchSize * patchSize
  return scope(() => {
    const [B, L] = parts[0]!.shape as readonly [number, number]
    const device = parts[0]!.device
    const split = parts.map((part, g) => reshape(toDtype(part, 'float32'), [B, L, pixels, groups[g]!.length]))
    const declared = groups.flat()
    const missing = Array.from({ length: channels }, (_, band) => band).filter(
      (band) => !declared.includes(band),
    )
    const rest = missing.length > 0 ? [zeros([B, L, pixels, missing.length], { device })] : []
    const all = permute(cat([...split, ...rest], 3), [3, 0, 1, 2]) // [C, B, L, P·P]
    const places = [...declared, ...missing]
    const order = Array.from({ length: channels }, (_, band) => BigInt(places.indexOf(band)))
    const which = toDevice(fromArray(BigInt64Array.from(order), [channels], 'int64'), device)
    return reshape(permute(indexSelect(all, 0, which), [1, 2, 3, 0]), [B, L, pixels * channels])
  })
}
