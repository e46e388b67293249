/**
 * Linear probe on cached features (He et al. 2021, A.1): batch norm without affine parameters, then a linear layer, trained by LARS or
 * SGD. A sweep of learning rates is a stack of layers that see the same batches, in one pass.
 */

import { type Breath, unwatched } from '../files/pieces.ts'
import { type MomentumOptions, momentumStep } from '../optim/lars.ts'
import { learningRateAt } from '../optim/schedule.ts'
import { draws } from '../random/draws.ts'
import { call } from '../tensor/call.ts'
import { manualSeed, noGrad } from '../tensor/context.ts'
import {
  add,
  div,
  indexSelect,
  matmul,
  meanOver,
  mul,
  ones,
  randn,
  reshape,
  select,
  softmax,
  sqrt,
  sub,
  toDevice,
  transpose,
  unsqueeze,
  varianceOver,
  zeros,
} from '../tensor/ops.ts'
import { disposeAll, scope, unscoped } from '../tensor/scope.ts'
import { type Device, fromArray, type Tensor, tensor, toFloats } from '../tensor/tensor.ts'
import type { Labelled } from './labelled-features.ts'

export interface LinearProbeOptions {
  readonly optimizer: keyof typeof probeOptimizers
  /** Per 256 images of a batch; one layer each. */
  readonly baseLearningRates: readonly number[]
  readonly epochs: number
  /** At most: small sets use smaller batches, so that there are enough steps. */
  readonly batchSize: number
  readonly seed: number
  readonly device: Device
}

/** LARS as in MAE, SGD as in DINO. */
export const probeOptimizers = {
  lars: { momentum: 0.9, weightDecay: 0, trust: 0.001 },
  sgd: { momentum: 0.9, weightDecay: 0, trust: null },
} as const satisfies Record<string, MomentumOptions>

/**
 * The sweep of each optimizer, from MAE's 0.1 and DINO's 0.001 up: small sets have fewer steps and need larger rates. Another rate
 * costs only a row of a matrix product.
 */
export const sweeps = {
  lars: [0.1, 0.3, 1, 3, 10, 30, 100],
  sgd: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1],
} as const satisfies Record<keyof typeof probeOptimizers, readonly number[]>

const EPSILON = 1e-6 // of the batch norm, in MAE's probe
const AVERAGE = 0.1 // momentum of the running statistics, PyTorch's default
const WARM_UP = 1 / 9 // 10 of 90 epochs
const INITIAL_DEVIATION = 0.01
const LEAST_BATCH = 32
const STEPS_OF_EPOCH = 20 // at least, if batches of LEAST_BATCH or more allow it

/** Running mean and variance [1, D] of a batch norm without affine parameters (Ioffe & Szegedy 2015). */
export interface BatchNorm {
  readonly mean: Tensor
  readonly variance: Tensor
}

/** Normalises x [B, D] by the batch's statistics and updates the running ones, as PyTorch's BatchNorm1d in training mode. */
function normalizeBatch(x: Tensor, running: BatchNorm): Tensor {
  return scope(() => {
    const count = x.shape[0]!
    const mean = meanOver(x, [0], true)
    const variance = varianceOver(x, [0], { unbiased: false, keepDim: true })
    const unbiased = mul(variance, count / Math.max(1, count - 1))
    call('lerp_.Scalar', running.mean, mean, AVERAGE).dispose()
    call('lerp_.Scalar', running.variance, unbiased, AVERAGE).dispose()
    return div(sub(x, mean), sqrt(add(variance, EPSILON)))
  })
}

/** A stack of L linear layers: weight [L, C, D], bias [L, 1, C]. */
export interface Maps {
  readonly weight: Tensor
  readonly bias: Tensor
}

/** x [B, D] → [L, B, C] */
const apply = (x: Tensor, { weight, bias }: Maps): Tensor => add(matmul(x, transpose(weight, 1, 2)), bias)

/** x [B, D] → logits [L, B, C] of the trained layers. */
export const valuesOf = (x: Tensor, { mean, variance }: BatchNorm, maps: Maps): Tensor =>
  scope(() => apply(div(sub(x, mean), sqrt(add(variance, EPSILON))), maps))

/** Gradients of the mean cross-entropy of each layer. */
function gradients(x: Tensor, labels: Tensor, maps: Maps): Maps {
  return scope(() => {
    const [B, C] = [x.shape[0]!, maps.weight.shape[1]!]
    const wanted = call('one_hot', labels, C) // [B, C]
    const error = div(sub(softmax(apply(x, maps), -1), unsqueeze(wanted, 0)), B) // [L, B, C]
    return { weight: matmul(transpose(error, 1, 2), x), bias: call('sum.dim_IntList', error, [1], true) }
  })
}

/** For tensors that outlive a turn of the event loop: they are freed by hand. */
const kept = <T>(body: () => T): T => noGrad(() => unscoped(() => scope(body)))

/** Trains the layers in place on x [N, D] and labels [N]. Returns the running statistics, which outlive every scope. */
export async function trainMaps(
  { x, labels }: { readonly x: Tensor; readonly labels: Tensor },
  maps: Maps,
  { baseLearningRates, epochs, seed, optimizer, ...options }: Omit<LinearProbeOptions, 'device'>,
  breath: Breath = unwatched,
): Promise<BatchNorm> {
  const { device } = x
  const [N, D] = x.shape as readonly [number, number]
  const [L, C] = maps.weight.shape as readonly [number, number]
  const batch = Math.min(options.batchSize, N, Math.max(LEAST_BATCH, Math.floor(N / STEPS_OF_EPOCH)))
  const perEpoch = Math.floor(N / batch) // the remainder differs between epochs
  const totalSteps = epochs * perEpoch
  const schedule = { peak: 1, floor: 0, warmupSteps: Math.floor(totalSteps * WARM_UP), totalSteps }
  const running: BatchNorm = kept(() => ({
    mean: zeros([1, D], { device }),
    variance: ones([1, D], { device }),
  }))
  const velocity: Maps = kept(() => ({
    weight: zeros([L, C, D], { device }),
    bias: zeros([L, 1, C], { device }),
  }))
  let order: Uint32Array = new Uint32Array()
  const takeStep = (step: number) => {
    const [epoch, place] = [Math.floor(step / perEpoch), step % perEpoch]
    if (place === 0) order = draws({ seed, stream: 'probe', epoch, index: 0 }).permutation(N)
    kept(() => {
      const rows = BigInt64Array.from(order.subarray(place * batch, (place + 1) * batch), BigInt)
      const which = toDevice(fromArray(rows, [batch], 'int64'), device)
      const normalized = normalizeBatch(indexSelect(x, 0, which), running)
      const gradient = gradients(normalized, indexSelect(labels, 0, which), maps)
      const scale = (learningRateAt(step, schedule) * batch) / 256
      const rates = baseLearningRates.map((rate) => rate * scale)
      for (const name of ['weight', 'bias'] as const)
        momentumStep(
          {
            ...{ parameter: maps[name], velocity: velocity[name], gradient: gradient[name] },
            isMatrix: name === 'weight',
          },
          toDevice(tensor(rates, [L, 1, 1]), device),
          probeOptimizers[optimizer],
        )
    })
  }
  try {
    for (let step = 0; step < totalSteps; step++) {
      takeStep(step)
      await breath((step + 1) / totalSteps)
    }
    return running
  } catch (error) {
    disposeAll(running)
    throw error
  } finally {
    disposeAll(velocity)
  }
}

/** A linear layer on raw features: weight [classes, width], bias [classes]. */
export interface LinearMap {
  readonly weight: Float32Array
  readonly bias: Float32Array
}

/** Folds the batch norm into the layer: w (x − mean) / deviation + b = (w / deviation) x + (b − Σ w mean / deviation). In float64. */
export function foldNorm(map: LinearMap, mean: Float32Array, variance: Float32Array): LinearMap {
  const width = mean.length
  const weight = new Float32Array(map.weight.length)
  const bias = Float64Array.from(map.bias)
  for (const [i, value] of map.weight.entries()) {
    const d = i % width
    weight[i] = value / Math.sqrt(variance[d]! + EPSILON)
    bias[Math.floor(i / width)]! -= weight[i]! * mean[d]! // with the rounded weight, so that the mean cancels exactly
  }
  return { weight, bias: Float32Array.from(bias) }
}

/** A trained layer with its logits [test images, classes]. */
export interface Probed {
  readonly values: Float32Array
  readonly map: LinearMap
}

/** Trains a layer for each learning rate; results in the order of the rates. */
export async function linearProbe(
  train: Labelled,
  test: Labelled,
  classes: number,
  options: LinearProbeOptions,
  breath: Breath = unwatched,
): Promise<Probed[]> {
  const { baseLearningRates, seed, device } = options
  const [L, D] = [baseLearningRates.length, train.width]
  const load = ({ vectors, count }: Labelled) => toDevice(tensor(vectors, [count, D]), device)
  const task = kept(() => {
    const labels = fromArray(BigInt64Array.from(train.labels, BigInt), [train.count], 'int64')
    manualSeed(draws({ seed, stream: 'initial/probe', epoch: 0, index: 0 }).below(2 ** 32))
    const start = mul(randn([1, classes, D]), INITIAL_DEVIATION) // the same start for every rate
    const maps: Maps = {
      weight: toDevice(call('repeat', start, [L, 1, 1]), device),
      bias: zeros([L, 1, classes], { device }),
    }
    return { x: load(train), labels: toDevice(labels, device), maps }
  })
  const { maps } = task
  try {
    const running = await trainMaps(task, maps, options, breath)
    const read = () => {
      const values = valuesOf(load(test), running, maps) // [L, test, C]
      const [mean, variance] = [toFloats(running.mean), toFloats(running.variance)]
      const floatsOf = (x: Tensor, i: number) => toFloats(reshape(select(x, 0, i), [-1]))
      return baseLearningRates.map((_, i) => ({
        values: floatsOf(values, i),
        map: foldNorm({ weight: floatsOf(maps.weight, i), bias: floatsOf(maps.bias, i) }, mean, variance),
      }))
    }
    try {
      return kept(read)
    } finally {
      disposeAll(running)
    }
  } finally {
    disposeAll(task)
  }
}
