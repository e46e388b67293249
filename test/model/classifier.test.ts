import { describe, expect, it } from 'vitest'
import { openBackbone } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { classifierRows, classify } from '../../src/model/classifier.ts'
import { weightsOf, within } from '../../src/model/parameters.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { layerNorm, linear, meanOver, narrow, select } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { patchify } from '../../src/token/patchify.ts'
import { positions } from '../token/positions.ts'
import { expectClose } from '../tolerance.ts'
import { encodePatches, stirredParameters, tiny, tinyImages } from './tiny-model.ts'

const inputOf = () => ({
  ...{ patches: patchify(tinyImages(2), 2), kept: null },
  positions: positions({ h: 3, w: 5 }, tiny.width, 'cpu'),
})

describe.each(['mean', 'cls', 'normed-mean'] as const)('a head on %s', (head) => {
  const shape = { backbone: plainBackbone(tiny), classes: 4, head }
  const rows = classifierRows(shape)
  const weights = weightsOf(stirredParameters({ rows }))

  it('has the parameters of the reference', () => {
    const names = rows.map(({ name }) => name)
    expect(names.includes('norm.weight')).toBe(head !== 'mean')
    expect(names.includes('fc_norm.weight')).toBe(head === 'mean')
    expect(rows.find(({ name }) => name === 'head.weight')).toMatchObject({ shape: [4, 24], initial: 'head' })
  })

  it('reads the cls token behind the norm, the normed mean of the patches before it, or their mean behind it', () =>
    noGrad(() =>
      scope(() => {
        const logits = classify(viewOf(tinyImages(2)), weights, {
          backbone: openBackbone(plainBackbone(tiny), 'cpu'),
          head,
        })
        expect(logits.shape).toEqual([2, 4])
        const tokens = encodePatches(inputOf(), weights, tiny, { norm: head !== 'mean' })
        const mean = meanOver(narrow(tokens, 1, 1, 15), [1])
        const norm = within(weights, 'fc_norm')
        const vectors = {
          cls: () => select(tokens, 1, 0),
          mean: () => layerNorm(mean, norm('weight'), norm('bias'), 1e-6),
          'normed-mean': () => mean,
        }
        expectClose(logits, linear(vectors[head](), weights('head.weight'), weights('head.bias')), 1e-6)
      }),
    ))
})

it('the encoder without its norm gives what the norm gets', () =>
  noGrad(() =>
    scope(() => {
      const rows = classifierRows({ backbone: plainBackbone(tiny), classes: 2, head: 'cls' })
      const weights = weightsOf(stirredParameters({ rows }))
      const plain = encodePatches(inputOf(), weights, tiny, { norm: false })
      const norm = within(weights, 'norm')
      expectClose(
        encodePatches(inputOf(), weights, tiny),
        layerNorm(plain, norm('weight'), norm('bias'), 1e-6),
        2e-6,
      )
    }),
  ))

it('what half a block adds can be changed on its way', () =>
  noGrad(() =>
    scope(() => {
      const rows = classifierRows({ backbone: plainBackbone(tiny), classes: 2, head: 'cls' })
      const weights = weightsOf(stirredParameters({ rows }))
      const seen: string[] = []
      const onChange = (change: Tensor, block: number, half: number) => {
        seen.push(`${block}/${half}`)
        return change
      }
      expectClose(
        encodePatches(inputOf(), weights, tiny, { onChange }),
        encodePatches(inputOf(), weights, tiny),
        0,
      )
      expect(seen).toEqual(['0/0', '0/1', '1/0', '1/1'])
    }),
  ))
