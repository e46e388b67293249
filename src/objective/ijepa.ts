/**
 * I-JEPA (Assran et al. 2023): from the tokens of a context block a predictor says what a teacher, which follows the encoder and sees the whole
 * image, makes of the tokens of target blocks. The kept encoder is the teacher.
 */
import { type Adaptation, adaptBackbone } from '../model/adapt.ts'
import { openBackbone } from '../model/backbone.ts'
import { type BackboneShape, plainBackbone } from '../model/backbone-shape.ts'
import { type EncoderDimensions, gridOfModel } from '../model/dimensions.ts'
import { ijepaInitial, startingBy } from '../model/initial-values.ts'
import { type Weights, within } from '../model/parameters.ts'
import { openPredictor } from '../model/predictor.ts'
import type { View } from '../prepare/view.ts'
import { featureErrors, plainNorm } from '../target/block-features.ts'
import { deviationOfSamples, deviationOver, lossOfMean, targetAlarm } from '../target/collapse.ts'
import { type Momentum, teacherPrefix } from '../target/target.ts'
import { call } from '../tensor/call.ts'
import { inFloat32, noGrad } from '../tensor/context.ts'
import {
  add,
  arange,
  cat,
  div,
  full,
  mean,
  mul,
  narrow,
  permute,
  reshape,
  scatterValue,
  select,
  toDevice,
  toDtype,
  zeros,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor } from '../tensor/tensor.ts'
import { layoutTokens } from '../token/layout.ts'
import { blocksOfStep, checkMultiBlocks, type MultiBlockShape, multiBlocks } from '../token/multi-block.ts'
import { patchesOf } from '../token/prefix.ts'
import { take } from '../token/take.ts'
import type { ImageObjective } from './image-objective.ts'
import { onePart } from './losses.ts'
import { momentumSchedule } from './momentum.ts'
import type { At, ImageBatch, Losses } from './objective.ts'

export interface IjepaOptions extends Partial<Omit<BackboneShape, 'dimensions'>> {
  readonly dimensions: EncoderDimensions
  /** How the encoder learns; default: all of it. */
  readonly adapt?: Adaptation
  readonly predictor: { readonly width: number; readonly depth: number; readonly heads: number }
  readonly mask: MultiBlockShape
  readonly momentum: Momentum
  readonly device: Device
}

/** Tokens by number. The samples come first, as in every plan. */
export interface BlocksPlan {
  /** [B, E, K] */
  readonly context: Tensor
  /** [B, P, M] */
  readonly targets: Tensor
}

export interface Predicted {
  /** [E, B, K, D] */
  readonly context: Tensor
  /** [P, E, B, M, D] */
  readonly prediction: Tensor
}

export interface Ijepa extends ImageObjective<BlocksPlan, 'momentum'> {
  plan(at: Pick<At, 'seed' | 'step' | 'rows' | 'samples'>): BlocksPlan
  loss(weights: Weights, batch: ImageBatch, plan: BlocksPlan): Losses
  predict(weights: Weights, view: View, plan: BlocksPlan): Predicted
  /** What the teacher says, normed: [B, N, D]. */
  wanted(weights: Weights, view: View): Tensor
}

const PREDICTOR = 'predictor'

/** Throws `SHAPE` or `VALUE` where dimensions or blocks do not fit. */
export function ijepa(options: IjepaOptions): Ijepa {
  const { predictor: predicting, mask, momentum, adapt = { kind: 'none' }, device, ...given } = options
  const shape: BackboneShape = { ...plainBackbone(options.dimensions), ...given }
  const backbone = adaptBackbone(openBackbone(shape, device), adapt)
  const predictor = openPredictor(predicting, { shape, device })
  const grid = gridOfModel(shape.dimensions)
  checkMultiBlocks(grid, mask)
  const [height, width] = shape.dimensions.imageSize
  const { width: D } = shape.dimensions
  const teacherOf =
    (weights: Weights): Weights =>
    (name) =>
      weights(teacherPrefix + name)

  const planOf = (lists: readonly (readonly Int32Array[])[]): Tensor => {
    const [each, B] = [lists.length, lists[0]!.length]
    const values = Array.from({ length: B }, (_, b) =>
      lists.map((list) => Array.from(list[b]!, BigInt)),
    ).flat(2)
    return toDevice(fromArray(BigInt64Array.from(values), [B, each, lists[0]![0]!.length], 'int64'), device)
  }
  /** [P, B, M] */
  const blocksFirst = (targets: Tensor) => permute(targets, [1, 0, 2])
  const wanted = (weights: Weights, view: View): Tensor =>
    noGrad(() =>
      scope(() => {
        const tokens = patchesOf(backbone.encodeAll(view, teacherOf(weights)))
        return inFloat32(() => plainNorm(toDtype(tokens, 'float32')))
      }),
    )
  /** Of each context block. */
  const predictionsOf = (weights: Weights, view: View, { context, targets }: BlocksPlan) => {
    const cut = backbone.cut(view)
    return Array.from({ length: context.shape[1]! }, (_, e) => {
      const which = select(context, 1, e)
      const features = patchesOf(backbone.encodeKept(cut, which, weights))
      const own = within(weights, PREDICTOR)
      return { features, said: predictor.predict({ features, which }, blocksFirst(targets), own) }
    })
  }
  /** Rows [P · B · M, D] of tokens [B, N, D]. */
  const rowsAt = (tokens: Tensor, targets: Tensor): Tensor => {
    const [B, P, M] = targets.shape as readonly [number, number, number]
    const taken = reshape(take(tokens, reshape(targets, [B, P * M])), [B, P, M, D])
    return reshape(permute(taken, [1, 0, 2, 3]), [P * B * M, D])
  }
  const flat = (x: Tensor) => toDtype(reshape(x, [-1, D]), 'float32')
  const error = (a: Tensor, b: Tensor) => featureErrors['smooth-l1'](a, b, 1)
  /** 1 for tokens [B, N] that are among these [B, …]. */
  const among = (which: Tensor) => {
    const B = which.shape[0]!
    return scatterValue(zeros([B, grid.h * grid.w], { device }), 1, reshape(which, [B, -1]), 1)
  }
  /** What is said of each token [B, N, D] and its error [B, N], over all blocks that have it; 0 where none does. */
  const meanOfBlocks = (made: readonly Tensor[], targets: Tensor, all: Tensor) => {
    const [B, N] = all.shape as readonly [number, number]
    const places = add(targets, reshape(mul(arange(B, { dtype: 'int64', device }), N), [B, 1, 1]))
    const which = reshape(blocksFirst(places), [-1])
    const rows = rowsAt(all, targets)
    const summed = made.reduce(
      (sums, said) => {
        const each = reshape(error(said, rows), [-1, 1])
        return call('index_add', sums, 0, which, cat([said, each, full(each.shape, 1, { device })], 1), 1)
      },
      zeros([B * N, D + 2], { device }),
    )
    const means = div(narrow(summed, 1, 0, D + 1), call('clamp_min', narrow(summed, 1, D + 1, 1), 1))
    return {
      said: reshape(narrow(means, 1, 0, D), [B, N, D]),
      errors: reshape(narrow(means, 1, D, 1), [B, N]),
    }
  }

  const objective: Ijepa = {
    rows: startingBy(
      [...backbone.rows, ...predictor.rows.map((row) => ({ ...row, name: `${PREDICTOR}.${row.name}` }))],
      ijepaInitial,
    ),
    views: { image: { kind: 'crop', count: 1, size: [height, width] } },
    tokens: layoutTokens(backbone.layout),
    averages: [
      {
        ...{ prefix: teacherPrefix, from: '', momentum: 'momentum', when: 'after-step' },
        of: (name) => !name.startsWith(`${PREDICTOR}.`),
      },
    ],
    schedules: { momentum: momentumSchedule(momentum) },
    encoder: { prefix: teacherPrefix },
    metrics: [
      {
        ...{ name: 'features', kind: 'loss', unit: '' },
        ...{ chance: 'metrics.lossOfMean', chanceOf: 'predicting the mean' },
      },
      { name: 'targetDeviation', kind: 'health', unit: '', alarm: targetAlarm },
      { name: 'predictionDeviation', kind: 'health', unit: '' },
      { name: 'lossOfMean', kind: 'health', unit: '' },
    ],
    plan: ({ seed, step, rows, samples }) =>
      scope(() => {
        const ofStep = blocksOfStep(grid, mask, { seed, step, rows })
        const { targets, contexts } = multiBlocks(grid, mask, ofStep, { seed, samples })
        return { context: planOf(contexts), targets: planOf(targets) }
      }),
    loss: (weights, { image }, plan) =>
      scope(() => {
        const made = predictionsOf(weights, image, plan).map(({ said }) => flat(said))
        const all = wanted(weights, image)
        const rows = noGrad(() => rowsAt(all, plan.targets))
        return inFloat32(() => {
          const means = made.map((said) => mean(error(said, rows)))
          const total =
            means.length === 1
              ? means[0]!
              : mean(
                  cat(
                    means.map((x) => reshape(x, [1])),
                    0,
                  ),
                )
          return {
            ...onePart('features', total),
            metrics: noGrad(() => ({
              targetDeviation: deviationOfSamples(all),
              predictionDeviation: deviationOver(made.length === 1 ? made[0]! : cat(made, 0), 0),
              lossOfMean: lossOfMean(rows, error),
            })),
          }
        })
      }),
    predict: (weights, view, plan) =>
      scope(() => {
        const each = predictionsOf(weights, view, plan)
        const stacked = (tensors: readonly Tensor[], dim: number) =>
          cat(
            tensors.map((x) => reshape(x, [...x.shape.slice(0, dim), 1, ...x.shape.slice(dim)])),
            dim,
          )
        return {
          context: stacked(
            each.map(({ features }) => features),
            0,
          ),
          prediction: stacked(
            each.map(({ said }) => said),
            1,
          ),
        }
      }),
    wanted,
    show: (weights, batch, at) =>
      scope(() => {
        const { context, targets } = objective.plan(at)
        const made = predictionsOf(weights, batch.image, { context, targets }).map(({ said }) => flat(said))
        const all = wanted(weights, batch.image)
        const { said, errors } = inFloat32(() => meanOfBlocks(made, targets, all))
        return {
          ...{ hidden: add(mul(among(context), -1), 1), predicted: among(targets) },
          shown: [
            { kind: 'features', wanted: all, said },
            { kind: 'errors', errors },
          ],
        }
      }),
  }
  return objective
}
