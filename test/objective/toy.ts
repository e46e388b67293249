/**
 * An objective that has all that an objective can have, for the tests of the step: two views of each sample, a momentum encoder that moves
 * before the loss, a teacher that moves after the step, a batch norm in the head with running statistics, a codebook that k-means begins and
 * an average keeps, a loss over all rows of the step, a last layer that is frozen at first, a projection that is never learned.
 */

import { openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { linearRows } from '../../src/model/block.ts'
import type { EncoderDimensions } from '../../src/model/dimensions.ts'
import { type ParameterRow, type Weights, within } from '../../src/model/parameters.ts'
import type { RowsObjective, Tensors } from '../../src/objective/objective.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { draws } from '../../src/random/draws.ts'
import { call } from '../../src/tensor/call.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { linear } from '../../src/tensor/fused.ts'
import {
  add,
  arange,
  div,
  indexSelect,
  matmul,
  meanOver,
  mul,
  narrow,
  sqrt,
  square,
  sub,
  sum,
  toDtype,
  transpose,
  unsqueeze,
  varianceOver,
} from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { tiny } from '../model/tiny-model.ts'

/** Two views [B, 3, 6, 10] of each sample. */
export interface TwoViews {
  readonly one: Tensor
  readonly other: Tensor
}

/** Factors [B, 1] of the features, drawn at the samples' addresses. */
export interface ToyPlan {
  readonly factors: Tensor
}

const E = 8 // of the projection
export const codes = 4
const TEMPERATURE = 0.5
const KEPT = { running: 0.9, codebook: 0.8 }

const pair = (weights: Weights, name: string) => ({
  weight: weights(`${name}.weight`),
  bias: weights(`${name}.bias`),
})

/** Squared distances [n, codes] of rows [n, E] to the codes [codes, E]. */
const distances = (x: Tensor, codebook: Tensor) => sum2(square(sub(unsqueeze(x, 1), unsqueeze(codebook, 0))))
const sum2 = (x: Tensor) => call('sum.dim_IntList', x, [2], false, null)
const sum0 = (x: Tensor) => call('sum.dim_IntList', x, [0], false, null)
const nearest = (x: Tensor, codebook: Tensor) => call('argmin', distances(x, codebook), 1, false)
const oneHot = (which: Tensor) => toDtype(call('one_hot', which, codes), 'float32')

/** The means of the rows [n, E] that are nearest to each code, which stays where there are none. */
const moved = (x: Tensor, codebook: Tensor) => {
  const hot = oneHot(nearest(x, codebook)) // [n, codes]
  const counts = unsqueeze(sum0(hot), 1) // [codes, 1]
  const means = div(matmul(transpose(hot, 0, 1), x), call('clamp', counts, 1, null))
  return call('where.self', call('gt.Scalar', counts, 0), means, codebook)
}

export const frozenSteps = 2
const rowsOfStep = 16

export function toyObjective(d: EncoderDimensions = tiny): RowsObjective<TwoViews, ToyPlan, 'momentum'> {
  const backbone = openBackbone(plainBackbone(d), 'cpu')
  const D = d.width
  const state = (name: string, shape: readonly number[], initial: 'zeros' | 'ones'): ParameterRow => ({
    ...{ name, shape, initial, role: 'state' },
  })
  const encode = (images: Tensor, weights: Weights) =>
    meanOver(toDtype(backbone.encodeAll(viewOf(images), weights).sequence, 'float32'), [1]) // [B, D]
  const projected = (x: Tensor, weights: Weights) => {
    const y = toDtype(linear(x, pair(weights, 'projector')), 'float32')
    return y
  }
  const normed = (x: Tensor) =>
    div(
      sub(x, meanOver(x, [0], true)),
      sqrt(add(varianceOver(x, [0], { unbiased: false, keepDim: true }), 1e-5)),
    )
  const unit = (x: Tensor) =>
    div(x, sqrt(add(unsqueeze(call('sum.dim_IntList', square(x), [1], false, null), 1), 1e-8)))
  /** −log of the share that row i of the keys has among all rows, for row i of the queries. */
  const contrast = (queries: Tensor, keys: Tensor) => {
    const logits = mul(matmul(unit(queries), transpose(unit(keys), 0, 1)), 1 / TEMPERATURE)
    const which = arange(logits.shape[0]!, { dtype: 'int64' })
    return call('cross_entropy_loss', logits, which, null, 1, -100, 0)
  }
  return {
    rows: [
      ...backbone.rows.map((row) => ({ ...row, name: `student.${row.name}` })),
      ...linearRows('student.projector', D, E),
      ...linearRows('predictor', E, E),
      { name: 'random.weight', shape: [E, D], initial: 'xavier', role: 'fixed' },
      { name: 'idle.weight', shape: [2, 2], initial: 'xavier' },
      state('running.mean', [E], 'zeros'),
      state('running.variance', [E], 'ones'),
      state('codebook', [codes, E], 'zeros'),
    ],
    averages: [
      {
        ...{ prefix: 'momentum.', from: 'student.', momentum: 'momentum', when: 'before-loss' },
      },
      {
        ...{ prefix: 'teacher.', from: 'student.', momentum: 0.7, when: 'after-step' },
        of: (name) => !name.startsWith('projector.'),
      },
    ],
    schedules: { momentum: { kind: 'cosine', from: 0.5, to: 1 } },
    groups: [{ match: /^predictor\.bias$/, frozen: 'no-gradient', frozenUntil: frozenSteps }],
    unreached: (name) => name.startsWith('idle.'),
    metrics: [
      {
        name: 'contrast',
        kind: 'loss',
        unit: '',
        chance: 2 * Math.log(rowsOfStep),
        chanceOf: 'guessing the pair',
      },
      { name: 'commitment', kind: 'loss', unit: '' },
      { name: 'teacher', kind: 'loss', unit: '' },
      {
        ...{ name: 'usedCodes', kind: 'health', unit: 'codes' },
        alarm: { below: 2, forSteps: 3, text: 'The codebook has collapsed: begin it again.' },
      },
    ],
    encoder: { prefix: 'teacher.' },
    plan: ({ seed, samples: { epochs, indices } }) => {
      const rows = Array.from(indices, (index, i) =>
        draws({ seed, stream: 'toy', epoch: epochs[i]!, index }).uniform(),
      )
      return {
        factors: tensor(
          rows.map((x) => 0.75 + x / 2),
          [rows.length, 1],
        ),
      }
    },
    features: (weights, { one, other }, { factors }) =>
      scope(() => {
        const keys = (images: Tensor) =>
          noGrad(() => {
            const own = within(weights, 'momentum')
            return projected(encode(images, own), own)
          })
        const queries = (images: Tensor) => mul(encode(images, within(weights, 'student')), factors)
        const taught = noGrad(() => encode(one, within(weights, 'teacher')))
        return { one: queries(one), other: queries(other), keyOne: keys(one), keyOther: keys(other), taught }
      }),
    first: (weights, batches) =>
      scope(() => {
        const own = within(weights, 'student')
        const all = batches.map(({ batch }) => projected(encode(batch.one, own), own))
        const rows = call('cat', all, 0)
        let codebook = narrow(rows, 0, 0, codes)
        for (let i = 0; i < 3; i++) codebook = moved(rows, codebook)
        return { codebook: call('clone', codebook) }
      }),
    stats: { rows: 'rows', counts: 'sum', sums: 'sum' },
    lossOfRows: (weights, { one, other, keyOne, keyOther, taught }) =>
      scope(() => {
        const own = within(weights, 'student')
        const [a, b] = [projected(one!, own), projected(other!, own)]
        const said = (x: Tensor) => toDtype(linear(normed(x), pair(weights, 'predictor')), 'float32')
        const pairs = add(contrast(said(a), normed(keyOther!)), contrast(said(b), normed(keyOne!)))
        const codebook = weights('codebook')
        const which = nearest(a, codebook)
        const away = square(sub(a, indexSelect(codebook, 0, which)))
        const fixed = matmul(taught!, transpose(weights('random.weight'), 0, 1))
        const hot = oneHot(which)
        return {
          parts: {
            contrast: { mean: pairs, weight: 1 },
            commitment: { mean: call('mean', away), weight: 0.25 },
            teacher: { mean: call('mean', square(sub(a, fixed))), weight: 0.1 },
          },
          stats: { rows: a, counts: sum0(hot), sums: matmul(transpose(hot, 0, 1), a) },
          metrics: { usedCodes: sum(toDtype(call('gt.Scalar', sum0(hot), 0), 'float32')) },
        }
      }),
    update: (weights, { rows, counts, sums }) =>
      scope((): Tensors => {
        const toward = (name: string, value: Tensor, kept: number) =>
          add(mul(weights(name), kept), mul(value, 1 - kept))
        const means = div(sums!, call('clamp', unsqueeze(counts!, 1), 1, null))
        const used = call('gt.Scalar', unsqueeze(counts!, 1), 0)
        const codebook = weights('codebook')
        return {
          'running.mean': toward('running.mean', meanOver(rows!, [0]), KEPT.running),
          'running.variance': toward(
            'running.variance',
            varianceOver(rows!, [0], { unbiased: true, keepDim: false }),
            KEPT.running,
          ),
          codebook: call('where.self', used, toward('codebook', means, KEPT.codebook), codebook),
        }
      }),
  }
}
