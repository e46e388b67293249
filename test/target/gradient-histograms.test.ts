// By hand on steps of brightness, and the descriptors of TARGETS.md, computed in float64.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import {
  descriptorOf,
  gradientHistograms,
  type HistogramOptions,
} from '../../src/target/gradient-histograms.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, product } from '../tolerance.ts'

const three = { cellSize: 4, bins: 3, gaussianWindow: 0 }
const step = [0, 0, 1, 1]
// Left minus right is −4 beside the step and 0 at the borders: −90°, bin −1.5 of 3, which is 1. Above minus below: 180°, bin 3, which is 0.
const across = step.flatMap(() => step)
const down = step.flatMap((v) => [v, v, v, v])

describe('gradientHistograms', () => {
  it('by hand: one direction, at unit length whatever the contrast; channels first', () =>
    scope(() => {
      const images = tensor([...across, ...down.map((v) => 1e-4 * v)], [1, 2, 4, 4])
      const made = gradientHistograms(images, { ...three, patchSize: [4, 4] })
      expect(made.shape).toEqual([1, 1, 6])
      expectClose(made, [0, 1, 0, 1, 0, 0], 1e-6)
    }))

  it('by hand: cells last; equal pixels are exactly zero', () =>
    scope(() => {
      const images = tensor(
        step.flatMap(() => [0.1, 0.1, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]),
        [1, 1, 4, 8],
      )
      expectClose(gradientHistograms(images, { ...three, patchSize: [4, 8] }), [0, 0, 1, 0, 0, 0], 1e-6)
      const apart = gradientHistograms(images, { ...three, patchSize: [4, 4] })
      expect(apart.shape).toEqual([1, 2, 3])
      expect(numbers(apart).slice(3)).toEqual([0, 0, 0])
    }))

  it('refuses cells that do not fill a patch', () =>
    expect(() => descriptorOf([16, 12], 3, { cellSize: 8, bins: 9 })).toThrow(
      'Cells of 8 pixels do not fill patches of 16 × 12',
    ))
})

const file = join(packageRoot(), '../shared/reference/targets/hog.safetensors')

describe.skipIf(!existsSync(file))('hog.safetensors (skipped where ../shared is not)', () => {
  it('all settings', () =>
    scope(() => {
      const { tensors, metadata } = readSafetensors(file)
      const { cases } = JSON.parse(metadata.config!) as {
        cases: Record<string, HistogramOptions & { patchSize: number }>
      }
      for (const [name, { patchSize: P, ...options }] of Object.entries(cases)) {
        const expected = tensors.get(`expected.out.${name}`)!
        const made = gradientHistograms(tensors.get(`input.${name}.images`)!, {
          ...options,
          patchSize: [P, P],
        })
        expect([name, made.shape]).toEqual([name, expected.shape])
        expect(product(made.shape)).toBeGreaterThan(0)
        expectClose(made, expected, 1e-6)
      }
    }))
})
