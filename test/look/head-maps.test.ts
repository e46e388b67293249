import { expect, it } from 'vitest'
import { headMaps, meanMap } from '../../src/look/head-maps.ts'
import { expectClose } from '../tolerance.ts'

// Two heads over cls, a register and two patches.
const shares = Float32Array.of(0.4, 0.1, 0.2, 0.3, /**/ 0, 0.2, 0.7, 0.1)

it('are the shares of the patches, with what falls on the tokens in front of them', () => {
  const maps = headMaps(shares, 2, 2)
  expect(maps.map(({ patches }) => [...patches])).toEqual([
    [...Float32Array.of(0.2, 0.3)],
    [...Float32Array.of(0.7, 0.1)],
  ])
  expectClose(
    maps.map(({ prefix }) => prefix),
    [0.5, 0.2],
    1e-7,
  )
  expect(headMaps(shares, 2, 0)[1]).toEqual({ patches: Float32Array.of(0, 0.2, 0.7, 0.1), prefix: 0 })
})

it('have a mean', () => {
  const { patches, prefix } = meanMap(headMaps(shares, 2, 2))
  expectClose(patches, [0.45, 0.2], 1e-7)
  expect(prefix).toBeCloseTo(0.35, 7)
})
