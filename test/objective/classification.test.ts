import { describe, expect, it } from 'vitest'
import { openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { classify } from '../../src/model/classifier.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { classification, softCrossEntropy } from '../../src/objective/classification.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { stirredParameters, tiny, tinyImages } from '../model/tiny-model.ts'

describe('softCrossEntropy', () => {
  it('is the mean of −Σ t log softmax(x), counted by hand', () =>
    scope(() => {
      // Softmax of (0, ln 3) is (1/4, 3/4); of (ln 2, 0) it is (2/3, 1/3).
      const logits = tensor([0, Math.log(3), Math.log(2), 0], [2, 2])
      const targets = tensor([0.1, 0.9, 1, 0], [2, 2])
      const first = -(0.1 * Math.log(1 / 4) + 0.9 * Math.log(3 / 4))
      const second = -Math.log(2 / 3)
      expect(item(softCrossEntropy(logits, targets))).toBeCloseTo((first + second) / 2, 6)
    }))

  it('stays finite for logits that would overflow', () =>
    scope(() => {
      expect(item(softCrossEntropy(tensor([1000, 0], [1, 2]), tensor([0, 1], [1, 2])))).toBeCloseTo(1000, 3)
    }))
})

describe.each(['mean', 'cls'] as const)('classification with a head on %s', (head) => {
  const task = (rate: number) =>
    classification({
      backbone: plainBackbone(tiny),
      classes: 4,
      head,
      device: 'cpu',
      dropPath: rate,
    })
  const weights = weightsOf(stirredParameters(task(0)))
  const samples = (epoch: number) => ({ epochs: [epoch, epoch, epoch], indices: [4, 9, 2] })
  const targets = () => tensor([1, 0, 0, 0, 0, 0.5, 0.5, 0, 0, 0, 0, 1], [3, 4])

  it('the loss without drop path is that of the logits', () =>
    noGrad(() =>
      scope(() => {
        const batch = { image: viewOf(tinyImages(3)), targets: targets() }
        const loss = item(totalOf(task(0).loss(weights, batch, null, { seed: 1, samples: samples(0) })))
        const model = { backbone: openBackbone(plainBackbone(tiny), 'cpu'), head }
        const logits = classify(viewOf(tinyImages(3)), weights, model)
        expect(logits.shape).toEqual([3, 4])
        expect(loss).toBeCloseTo(item(softCrossEntropy(logits, targets())), 5)
      }),
    ))

  it('drop path changes the loss by the address of the samples', () =>
    noGrad(() =>
      scope(() => {
        const { loss } = task(0.6)
        const batch = { image: viewOf(tinyImages(3)), targets: targets() }
        const at = (epoch: number) =>
          item(totalOf(loss(weights, batch, null, { seed: 1, samples: samples(epoch) })))
        expect(at(0)).toBe(at(0))
        expect(new Set([0, 1, 2, 3].map(at)).size).toBeGreaterThan(1)
      }),
    ))
})
