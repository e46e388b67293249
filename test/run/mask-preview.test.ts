// A preview shows what training hides: the places of the objective's own plan.
import { expect, it } from 'vitest'
import { maskedObjectiveOf } from '../../src/config/assemble.ts'
import { decodedConfig, resolveConfig } from '../../src/config/resolve.ts'
import { hiddenPlaces } from '../../src/run/mask-preview.ts'
import { scope } from '../../src/tensor/scope.ts'
import { isOfAddress, maskNames } from '../../src/token/keys.ts'
import { maskOf } from '../../src/token/mask.ts'
import { numbers } from '../tolerance.ts'

it.each(maskNames.filter(isOfAddress))('%s: the places that the objective hides', (kind) => {
  const config = resolveConfig({
    model: { imageSize: [32, 48], patchSize: 4, width: 12, depth: 1, heads: 1 },
    decoder: { width: 12, depth: 1, heads: 1 },
    mask: { kind, ratio: 0.6 },
    train: { seed: 5 },
  })
  const indices = [0, 3]
  const { grid, hidden } = hiddenPlaces(decodedConfig(config), indices)
  expect(grid).toEqual({ h: 8, w: 12 })
  const plan = scope(() =>
    numbers(maskOf(maskedObjectiveOf(config, 'cpu').plan({ seed: 5, samples: { epochs: [0, 0], indices } }))),
  )
  expect([...hidden[0]!, ...hidden[1]!]).toEqual(plan)
  for (const each of hidden) expect(each.reduce((a, b) => a + b, 0)).toBe(96 - 38) // 38.4 are kept
})
