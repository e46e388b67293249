// What timm's epsilon would make of a model that has another, by hand.
import { expect, it } from 'vitest'
import { backboneOf } from '../../src/config/resolve.ts'
import { epsilonCost } from '../../src/export/epsilon-cost.ts'
import type { ExportedModel } from '../../src/export/exported-model.ts'
import { backboneRows } from '../../src/model/backbone.ts'
import { initialParameters } from '../../src/model/parameters.ts'
import { tinyConfig } from '../run/tiny.ts'
import { numbers } from '../tolerance.ts'

it('tokens of variance 1e-6 are norms of 1 without an epsilon, and 1/√2 with 1e-6', () => {
  const config = tinyConfig({ model: { positions: 'learned', layerNormEpsilon: 1e-12 } })
  const rows = backboneRows(backboneOf(config))
  const parameters = initialParameters(rows, { seed: 0, device: 'cpu' })
  const arrays = new Map(
    rows.map(({ name, shape }) => {
      // No block adds anything, and every token is ±0.001.
      const isToken = name === 'cls_token' || name === 'patch_embed.proj.bias'
      const isGone = /^(?:pos_embed|patch_embed)|\.(?:proj|fc2)\./.test(name)
      const data = numbers(parameters.get(name)!).map((x, i) =>
        isToken ? (i % 2 ? 1e-3 : -1e-3) : isGone ? 0 : x,
      )
      return [name, { shape, data: Float32Array.from(data) }] as const
    }),
  )
  const { largest, cosine } = epsilonCost({ config, arrays } as unknown as ExportedModel, 1e-6)
  expect(largest).toBeCloseTo(1 - Math.SQRT1_2, 5)
  expect(cosine).toBeCloseTo(1, 6)
})
