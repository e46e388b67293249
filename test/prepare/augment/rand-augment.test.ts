// Each operation against Pillow's (scripts/reference/make_augment.py); then the whole as a function of its address.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { rotate, shearX, shearY, translateX, translateY } from '../../../src/prepare/augment/affine.ts'
import { brightness, contrast, saturation, sharpness } from '../../../src/prepare/augment/blend.ts'
import type { Change } from '../../../src/prepare/augment/change.ts'
import { operations, randAugment, randAugmentDefaults } from '../../../src/prepare/augment/rand-augment.ts'
import {
  autoContrast,
  equalize,
  invert,
  posterize,
  solarise,
  solariseAdd,
} from '../../../src/prepare/augment/value-tables.ts'
import { draws } from '../../../src/random/draws.ts'

interface Reference {
  width: number
  height: number
  fill: number[]
  pixels: number[]
  cases: Record<string, { by: number; pixels: number[] }[]>
}
const reference = JSON.parse(
  readFileSync(join(import.meta.dirname, 'augment-reference.json'), 'utf8'),
) as Reference
const { width, height, fill } = reference
const image = { width, height, pixels: Uint8Array.from(reference.pixels) }

const exact: Record<string, (by: number) => Change> = {
  ...{ autoContrast: () => autoContrast, invert: () => invert, posterize },
  ...{ solarize: solarise, solarizeAdd: solariseAdd, colour: saturation, contrast, brightness, sharpness },
}
const close: Record<string, (by: number) => Change> = {
  rotate: (by) => rotate(by, fill),
  shearX: (by) => shearX(by, fill),
  shearY: (by) => shearY(by, fill),
  translateX: (by) => translateX(by, fill),
  translateY: (by) => translateY(by, fill),
}

it('every operation has its reference', () => {
  expect([...Object.keys(exact), ...Object.keys(close), 'equalize'].sort()).toEqual(
    Object.keys(operations).sort(),
  )
  expect(Object.keys(reference.cases).sort()).toEqual(Object.keys(operations).sort())
})

it.each(Object.keys(exact))('%s is that of Pillow', (name) => {
  for (const { by, pixels } of reference.cases[name]!) expect([...exact[name]!(by)(image)]).toEqual(pixels)
})

it.each(Object.keys(close))('%s is that of Pillow, to a step of a byte', (name) => {
  for (const { by, pixels } of reference.cases[name]!) {
    const made = close[name]!(by)(image)
    const distances = pixels.map((value, i) => Math.abs(value - made[i]!))
    expect(Math.max(...distances)).toBeLessThanOrEqual(1)
    expect(distances.filter((distance) => distance > 0).length / distances.length).toBeLessThan(0.05)
    expect([...made]).not.toEqual(reference.pixels)
  }
})

it('equalize is that of Pillow', () => {
  const tiled = { width: 8 * width, height: 8 * height, pixels: new Uint8Array(64 * image.pixels.length) }
  const row = width * 3
  for (let y = 0; y < tiled.height; y++)
    for (let x = 0; x < 8; x++) {
      const from = (y % height) * row
      tiled.pixels.set(image.pixels.subarray(from, from + row), (8 * y + x) * row)
    }
  const made = equalize(tiled)
  const kept = Array.from({ length: height }, (_, y) => [
    ...made.subarray(8 * y * row, 8 * y * row + row),
  ]).flat()
  expect(kept).toEqual(reference.cases.equalize![0]!.pixels)
})

it('an image of one colour survives every operation', () => {
  for (const [name, operation] of Object.entries(operations))
    for (const sign of [-1, 1]) {
      const flat = { width: 5, height: 4, pixels: new Uint8Array(60).fill(100) }
      const made = operation(0.9, sign, [100, 100, 100])(flat)
      expect([name, made.length]).toEqual([name, 60])
      expect(new Set(made).size).toBe(1)
      expect(flat.pixels.every((value) => value === 100)).toBe(true)
    }
})

describe('randAugment', () => {
  const run = (index: number, epoch = 0, seed = 1) => {
    const copy = { ...image, pixels: image.pixels.slice() }
    randAugment(copy, randAugmentDefaults, draws({ seed, stream: 'augment', epoch, index }), fill)
    return copy.pixels.join()
  }

  it('is a pure function of the address', () => {
    const all = Array.from({ length: 40 }, (_, index) => run(index))
    expect(Array.from({ length: 40 }, (_, index) => run(index))).toEqual(all)
    expect(Array.from({ length: 40 }, (_, index) => run(index, 1))).not.toEqual(all)
    expect(Array.from({ length: 40 }, (_, index) => run(index, 0, 2))).not.toEqual(all)
  })

  it('applies each of its two operations half of the time', () => {
    const same = image.pixels.join()
    const changed = Array.from({ length: 2000 }, (_, index) => run(index)).filter((made) => made !== same)
    // Equalize leaves fewer than 256 pixels alone: 1 − (1 − ½ · 14⁄15)² = 0.716.
    expect(Math.abs(changed.length / 2000 - 0.716)).toBeLessThan(0.04)
  })

  it('does nothing without operations', () => {
    const copy = { ...image, pixels: image.pixels.slice() }
    const none = { ...randAugmentDefaults, operations: 0 }
    randAugment(copy, none, draws({ seed: 1, stream: 'augment', epoch: 0, index: 0 }), fill)
    expect(copy.pixels).toEqual(image.pixels)
  })
})
