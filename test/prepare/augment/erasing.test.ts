import { expect, it } from 'vitest'
import { drawErasures, eraseImages } from '../../../src/prepare/augment/erasing.ts'
import { liveTensors, scope } from '../../../src/tensor/scope.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { numbers, wave } from '../../tolerance.ts'

const size = { height: 20, width: 16 }
const samples = (count: number, first = 0, epoch = 0) => ({
  epochs: Array<number>(count).fill(epoch),
  indices: Array.from({ length: count }, (_, i) => first + i),
})

it('erases a quarter of the images, 2 to 33 % of each, inside of them', () => {
  const erasures = drawErasures({ probability: 0.25, seed: 1 }, samples(2000), size)
  expect(Math.abs(erasures.length / 2000 - 0.25)).toBeLessThan(0.03)
  for (const { box, noise } of erasures) {
    const share = (box.width * box.height) / 320
    expect(share > 0.01 && share < 0.37).toBe(true)
    expect(box.left >= 0 && box.left + box.width <= 16 && box.top >= 0 && box.top + box.height <= 20).toBe(
      true,
    )
    expect(noise.left + box.width <= 32 && noise.top + box.height <= 40).toBe(true)
  }
})

it('is a pure function of the address', () => {
  const all = drawErasures({ probability: 0.5, seed: 1 }, samples(64), size)
  const later = drawErasures({ probability: 0.5, seed: 1 }, samples(32, 32), size)
  expect(later.map((each) => ({ ...each, row: each.row + 32 }))).toEqual(all.filter(({ row }) => row >= 32))
  expect(drawErasures({ probability: 0.5, seed: 1 }, samples(64, 0, 1), size)).not.toEqual(all)
  expect(drawErasures({ probability: 0, seed: 1 }, samples(64), size)).toEqual([])
})

it('puts the noise into the box and nowhere else', () =>
  scope(() => {
    const images = tensor(wave(2 * 3 * 320), [2, 3, 20, 16])
    const before = numbers(images)
    const noise = tensor(
      Array.from({ length: 3 * 40 * 32 }, (_, i) => 1000 + i),
      [3, 40, 32],
    )
    const live = liveTensors()
    eraseImages(images, noise, [
      { row: 1, box: { top: 4, left: 3, height: 5, width: 6 }, noise: { top: 7, left: 9 } },
    ])
    expect(liveTensors()).toBe(live)
    const after = numbers(images)
    for (let i = 0; i < after.length; i++) {
      const [b, c, y, x] = [Math.floor(i / 960), Math.floor(i / 320) % 3, Math.floor(i / 16) % 20, i % 16]
      const inside = b === 1 && y >= 4 && y < 9 && x >= 3 && x < 9
      expect(after[i]).toBe(inside ? 1000 + c * 1280 + (y + 3) * 32 + x + 6 : before[i])
    }
  }))
