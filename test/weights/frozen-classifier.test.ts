// A frozen classifier against the one that learns, and what is left of its encoder when the head is taken away.
import { describe, expect, it } from 'vitest'
import { openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { classifierRows, classify, headNames, heads } from '../../src/model/classifier.ts'
import { featureReader } from '../../src/model/features.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { toView } from '../../src/prepare/normalize.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { layerNorm, linear, meanOver, narrow } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type FrozenClassifier, logitsOf } from '../../src/weights/frozen-classifier.ts'
import { tokensOf } from '../../src/weights/frozen-encoder.ts'
import { stirredParameters, tiny } from '../model/tiny-model.ts'
import { expectClose, wave } from '../tolerance.ts'

const statistics = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] }
const backbone = plainBackbone(tiny)
const pixels: Pixels = {
  pixels: Uint8Array.from(wave(4 * 6 * 10 * 3), (x) => 128 + 127 * x),
  shape: [4, 6, 10, 3],
}

describe.each(headNames)('a frozen classifier with a head on %s', (head) => {
  // Only some encoders have an output of their own.
  const dimensions = head === 'pooled' ? { ...tiny, variant: { projection: 10 } } : tiny
  const backbone = plainBackbone(dimensions)
  const parameters = stirredParameters({ rows: classifierRows({ backbone, classes: 3, head }) })
  const weights = weightsOf(parameters)
  const classifier: FrozenClassifier = {
    ...{ shape: backbone, dimensions, parameters, statistics, norm: heads[head].norm },
    ...{ device: 'cpu', precision: 'float32', head, classes: ['a', 'b', 'c'] },
  }

  it('gives the logits of the one that learns', () =>
    noGrad(() =>
      scope(() => {
        const images = toView(pixels, statistics, 'cpu')
        const model = { backbone: openBackbone(backbone, 'cpu'), head }
        expectClose(logitsOf(classifier)(pixels), classify(images, weights, model), 2e-6)
      }),
    ))

  it('computes its head in float32 beside an encoder in bfloat16', () =>
    noGrad(() =>
      scope(() => {
        const low: FrozenClassifier = { ...classifier, precision: 'bfloat16' }
        const logits = logitsOf(low)(pixels)
        expect(logits.dtype).toBe('float32')
        const vector = featureReader(low, [heads[head].feature]).read(tokensOf(low)(pixels), weights)
        expectClose(logits, linear(vector[0]!, weights('head.weight'), weights('head.bias')), 1e-6)
        expectClose(logits, logitsOf(classifier)(pixels), 0.1)
      }),
    ))
})

it('the encoder of a classifier of the mean has plain tokens, and a mean that went through fc_norm', () =>
  noGrad(() =>
    scope(() => {
      const parameters = stirredParameters({ rows: classifierRows({ backbone, classes: 2, head: 'mean' }) })
      const weights = weightsOf(parameters)
      const encoder = {
        ...{ shape: backbone, dimensions: tiny, parameters, statistics, norm: 'fc_norm' as const },
        ...{ device: 'cpu', precision: 'float32' as const },
      }
      const encoded = tokensOf(encoder)(pixels)
      const images = toView(pixels, statistics, 'cpu')
      const plain = openBackbone(backbone, 'cpu').encodeAll(images, weights, { norm: false }).sequence
      expectClose(encoded.sequence, plain, 1e-6)
      const [cls, mean] = featureReader(encoder, ['cls', 'mean']).read(encoded, weights)
      expectClose(cls!, narrow(plain, 1, 0, 1), 1e-6)
      const average = meanOver(narrow(plain, 1, 1, 15), [1])
      const normed = layerNorm(average, weights('fc_norm.weight'), weights('fc_norm.bias'), 1e-6)
      expectClose(mean!, normed, 2e-6)
    }),
  ))
