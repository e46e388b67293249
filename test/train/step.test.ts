import { describe, expect, it } from 'vitest'
import { gradientNorm, gradientsOf } from '../../src/optim/gradients.ts'
import { initialState } from '../../src/optim/optimizer.ts'
import { clearGradients, noGrad, requireGradient } from '../../src/tensor/context.ts'
import type { Kernels } from '../../src/tensor/fused.ts'
import { div, mul, narrow, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { accumulateGradients, applyUpdate, type Trainee } from '../../src/train/step.ts'
import { stirredParameters, tinyImages, tinyMae } from '../model/tiny-model.ts'
import { addresses } from '../token/mask-conformance.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { adamW, type TinyTrainee, tinyTrainee } from './tiny-training.ts'

const stirred = (options: Partial<TinyTrainee> = {}): TinyTrainee => {
  const trainee = tinyTrainee()
  return { ...trainee, parameters: stirredParameters(trainee.objective), ...options }
}
const eight = addresses(...Array.from({ length: 8 }, (_, i) => [0, i] as const))
const micro =
  ({ objective }: TinyTrainee, first: number, count: number) =>
  () => {
    const plan = objective.plan(3, {
      epochs: Array(count).fill(0),
      indices: Array.from(eight.indices).slice(first, first + count),
    })
    return { images: narrow(tinyImages(8), 0, first, count), plan }
  }
/** What the parameters have collected after `body`. */
function collected(trainee: Trainee, body: () => number[]) {
  clearGradients(trainee.parameters.values())
  const losses = body()
  return {
    losses,
    gradients: scope(() => [...gradientsOf(trainee.parameters).values()].map(numbers)),
    norm: scope(() => gradientNorm([...gradientsOf(trainee.parameters).values()])),
  }
}

describe('accumulateGradients', () => {
  it.each([
    [2, 4],
    [4, 2],
    [8, 1],
  ])('over %d micro-batches of %d equals one batch of 8', (parts, size) => {
    const trainee = stirred()
    const whole = collected(trainee, () => [accumulateGradients(trainee, micro(trainee, 0, 8), 1)])
    const split = collected(trainee, () =>
      Array.from({ length: parts }, (_, i) =>
        accumulateGradients(trainee, micro(trainee, i * size, size), parts),
      ),
    )
    expect(split.losses.reduce((a, b) => a + b, 0) / parts).toBeCloseTo(whole.losses[0]!, 6)
    for (const [i, gradient] of whole.gradients.entries()) expectClose(split.gradients[i]!, gradient, 1e-6)
    expect(split.norm).toBeCloseTo(whole.norm, 5)
    expect(whole.norm).toBeGreaterThan(0.01)
  })

  it('gives the loss of the micro-batch, not its share', () => {
    const trainee = stirred()
    const loss = accumulateGradients(trainee, micro(trainee, 0, 4), 2)
    const expected = noGrad(() =>
      scope(() => {
        const { images, plan } = micro(trainee, 0, 4)()
        return item(trainee.objective.loss((name) => trainee.parameters.get(name)!, images, plan))
      }),
    )
    expect(loss).toBeCloseTo(expected, 6)
  })

  it('keeps no tensor', () => {
    const trainee = stirred()
    const before = liveTensors()
    accumulateGradients(trainee, micro(trainee, 0, 4), 1)
    expect(liveTensors()).toBe(before)
  })

  it('gives the same loss and gradients when blocks are computed again, bit for bit, and keeps no tensor', () => {
    const trainee = stirred()
    const run = (recompute: boolean) =>
      collected(trainee, () => [accumulateGradients({ ...trainee, recompute }, micro(trainee, 0, 8), 1)])
    const before = liveTensors()
    const [plain, again] = [run(false), run(true)]
    expect(again.losses).toEqual(plain.losses)
    expect(again.gradients).toEqual(plain.gradients)
    expect(liveTensors()).toBe(before)
  })

  it('gives the same with the kernels as with LibTorch’s operators', () => {
    const trainee = stirred()
    const run = (kernels: Kernels) =>
      collected(trainee, () => [accumulateGradients({ ...trainee, kernels }, micro(trainee, 0, 8), 1)])
    const [fused, composed] = [run('fused'), run('composed')]
    expect(fused.losses[0]).toBeCloseTo(composed.losses[0]!, 6)
    for (const [i, values] of fused.gradients.entries()) expectClose(values, composed.gradients[i]!, 1e-6)
  })

  it('in bfloat16 is near float32: loss within 1 %, gradients within 5 % of their norm', () => {
    const trainee = stirred()
    const run = (precision: Trainee['precision']) =>
      collected(trainee, () => [accumulateGradients({ ...trainee, precision }, micro(trainee, 0, 8), 1)])
    const [full, half] = [run('float32'), run('bfloat16')]
    const [a, b] = [full.losses[0]!, half.losses[0]!]
    expect(Math.abs(a - b) / a).toBeLessThan(0.01)
    expect(a).not.toBe(b) // it was another arithmetic
    const [x, y] = [full.gradients.flat(), half.gradients.flat()]
    const distance = Math.sqrt(x.reduce((total, v, i) => total + (v - y[i]!) ** 2, 0))
    expect(distance / full.norm).toBeLessThan(0.05)
    expect(distance).toBeGreaterThan(0)
  })
})

describe('applyUpdate', () => {
  /** A trainee of the one parameter w = 3, −1 with a loss that is made here. */
  const one = (loss: (w: Tensor) => Tensor): Trainee => {
    const w = requireGradient(tensor([3, -1], [2]))
    const parameters = new Map([['w', w]])
    return {
      objective: { ...tinyMae(), loss: (weights) => loss(weights('w')) },
      parameters,
      optimizer: initialState(adamW.optimizer, parameters),
      device: 'cpu',
      precision: 'float32',
    }
  }
  const step = (trainee: Trainee, most: number | null) => {
    const clip = most === null ? null : ({ by: 'all', most } as const)
    accumulateGradients(trainee, () => ({ images: tensor([], [0]), plan: {} as never }), 1)
    return applyUpdate(trainee, { ...adamW, ...{ learningRate: 0.5, step: 0, epoch: 0 }, clip })
  }
  const weight = ({ parameters }: Trainee) => numbers(parameters.get('w')!)
  const slope = (w: Tensor) => sum(mul(w, tensor([6, 8], [2]))) // a gradient of (6, 8), of norm 10

  it('steps by the collected gradients and gives their norm', () => {
    const trainee = one(slope)
    expect(step(trainee, null)).toBeCloseTo(10, 5)
    expectClose(weight(trainee), [2.5, -1.5], 1e-6) // Adam's first step is the rate; no decay in one dimension
    expectClose(trainee.optimizer.slots.exp_avg!.get('w')!, [0.6, 0.8], 1e-6)
    expect(trainee.optimizer.steps.get('w')).toBe(1)
  })

  it('clips before it steps, and gives the norm before that', () => {
    const trainee = one(slope)
    expect(step(trainee, 1)).toBeCloseTo(10, 5)
    expectClose(trainee.optimizer.slots.exp_avg!.get('w')!, [0.06, 0.08], 1e-6)
  })

  it('changes nothing when the norm is not finite', () => {
    const trainee = one((w) => sum(div(w, 0)))
    expect(step(trainee, 1)).toBe(Number.POSITIVE_INFINITY)
    expect(weight(trainee)).toEqual([3, -1])
    expect([trainee.optimizer.steps.get('w'), numbers(trainee.optimizer.slots.exp_avg!.get('w')!)]).toEqual([
      0,
      [0, 0],
    ])
  })
})
