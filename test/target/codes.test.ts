// The codes of a frozen tokenizer as a target: cross-entropy and accuracy by hand, and what does not fit.
import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { mae } from '../../src/objective/mae.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { codesRow, predictCodes } from '../../src/target/codes.ts'
import type { FrozenTokenizer } from '../../src/target/frozen-tokenizer.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, item } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import { numbers } from '../tolerance.ts'
import { toyTokenizer } from './toy-tokenizer.ts'

const [B, N, K] = [2, 15, 5]
const codes = Array.from({ length: B * N }, (_, n) => (n * 7 + 3) % K)
const fixed = toyTokenizer(tiny, {
  codes: K,
  encode: () => fromArray(BigInt64Array.from(codes, BigInt), [B, N], 'int64'),
})
const objectiveOf = (tokenizer: FrozenTokenizer = fixed, of = K) =>
  mae({
    ...{ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, device: 'cpu' },
    target: predictCodes(() => tokenizer, { codes: of }),
  })

function learned(objective = objectiveOf()) {
  return noGrad(() =>
    scope(() => {
      const weights = weightsOf(stirredParameters(objective))
      const image = viewOf(tinyImages(B))
      const plan = objective.plan({ seed: 1, samples: { epochs: [0, 0], indices: [0, 1] } })
      const { prediction } = objective.predict(weights, image, plan)
      const { parts, metrics } = objective.loss(weights, { image }, plan)
      return {
        ...{ said: numbers(prediction), hidden: numbers(maskOf(plan)), shape: prediction.shape },
        ...{ loss: item(parts.codes!.mean), accuracy: item(metrics!.accuracy!) },
        errors: numbers(objective.errors(weights, image, plan)),
      }
    }),
  )
}

describe('codes', () => {
  it('the loss is the mean cross-entropy of hidden tokens, the metric the share that is named', () => {
    const { said, hidden, shape, loss, accuracy, errors } = learned()
    expect(shape).toEqual([B, N, K])
    const each = codes.map((code, n) => {
      const logits = said.slice(n * K, (n + 1) * K)
      const most = Math.max(...logits)
      const sum = logits.reduce((total, x) => total + Math.exp(x - most), 0)
      return { error: most + Math.log(sum) - logits[code]!, isNamed: logits[code] === most }
    })
    const counted = each.filter((_, n) => hidden[n] === 1)
    expect(counted.length).toBe(B * 9)
    expect(loss).toBeCloseTo(counted.reduce((sum, { error }) => sum + error, 0) / counted.length, 5)
    const named = counted.filter(({ isNamed }) => isNamed).length
    expect(named).toBeGreaterThan(0)
    expect(accuracy).toBeCloseTo(named / counted.length, 6)
    expect(errors.length).toBe(B * N)
    for (const [n, { error }] of each.entries()) expect(errors[n]).toBeCloseTo(error, 5)
  })

  it('says the values of chance: the logarithm of K, one of K', () => {
    expect(objectiveOf().metrics).toEqual([
      { name: 'codes', kind: 'loss', unit: '', chance: Math.log(K), chanceOf: 'naming every code alike' },
      { name: 'accuracy', kind: 'health', unit: '', chance: 1 / K, chanceOf: 'naming every code alike' },
    ])
  })

  it.each([
    [
      { layout: { ...fixed.layout, grid: { h: 3, w: 4 } } },
      'target.tokenizer: it gives codes of 3 × 4 patches, and the model has 3 × 5 patches',
    ],
    [{ codes: 6 }, 'target.tokenizer: it has 6 codes, and target.codes is 5'],
  ] as const)('a tokenizer that does not fit is refused: %j', (over, message) =>
    expect(() => learned(objectiveOf({ ...fixed, ...over }))).toThrow(message),
  )

  it('a run finds the number of codes, and refuses another one', async () => {
    const locate = {
      frozen: async () => ({ path: '', width: 1 }),
      tokenizer: async (path: string) => ({ path: `/runs/${path}`, codes: 64 }),
    }
    expect(await codesRow.complete!({ tokenizer: 'vqkd', codes: null }, locate)).toEqual({
      ...{ tokenizer: '/runs/vqkd', codes: 64 },
    })
    await expect(codesRow.complete!({ tokenizer: 'vqkd', codes: 32 }, locate)).rejects.toThrow(
      'target.codes is 32, and vqkd has 64 codes',
    )
    const given = { compat: null, frozen: () => fixed as never, tokenizer: () => fixed }
    expect(() => codesRow.open({ tokenizer: 'vqkd', codes: null }, given)).toThrow(/^target\.codes: expected/)
  })
})
