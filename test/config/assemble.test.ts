import { expect, it } from 'vitest'
import { objectiveOf } from '../../src/config/assemble.ts'
import { resolveConfig } from '../../src/config/resolve.ts'

const model = { size: 'tiny', imageSize: 32, patchSize: 8 } as const

it.each([
  ['images', {}, false],
  ['rasters, without groups of bands', { data: { bands: ['B2', 'B3'] } }, true],
  ['rasters of which all pixels hold data', { data: { bands: ['B2', 'B3'], minValid: 1 } }, false],
])('micro-batches of %s count by what they hold, or alike', (_, over, byCount) => {
  const { counts } = objectiveOf(resolveConfig({ model, ...over }), 'cpu')
  expect(counts !== undefined).toBe(byCount)
})
