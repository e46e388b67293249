import { describe, expect, it } from 'vitest'
import { benchPreset, extended, missingModels } from '../../src/bench/preset-bench.ts'
import type { Line, StepOrder } from '../../src/bench/step-process.ts'
import { inOwnProcess } from '../../src/machine/own-process.ts'
import { tinyConfig } from '../run/tiny.ts'

describe('extended', () => {
  const line = (batch: number, seconds: number, bytes: number): Line => ({ batch, seconds, bytes })
  it('adds what each sample costs, and pays the fixed part once a step', () => {
    // 0.5 s and 100 bytes, and 0.25 s and 10 bytes a sample
    const two = [line(4, 1.5, 140), line(8, 2.5, 180)] as const
    expect(extended(two, 64, 1)).toEqual({ seconds: 0.5 + 16, bytes: 740 })
    expect(extended(two, 64, 8)).toEqual({ seconds: 0.5 + 128, bytes: 740 })
  })
  it('is the second line where that is the batch', () => {
    expect(extended([line(4, 1.5, 140), line(8, 2.5, 180)], 8, 1)).toEqual({ seconds: 2.5, bytes: 180 })
  })
  it('takes the larger batch alone where the smaller one was slower', () => {
    expect(extended([line(4, 3, 200), line(8, 2, 180)], 16, 1)).toEqual({ seconds: 4, bytes: 180 })
  })
})

describe('benchPreset', () => {
  const orders: StepOrder[] = []
  const machine = (perSample: number) => async (order: StepOrder) => {
    orders.push(order)
    return { batch: order.batch, seconds: 0.1 + perSample * order.batch, bytes: 1e9 + 1e6 * order.batch }
  }
  it('knows the models that a preset reads and that are not here', async () => {
    expect(missingModels('mae-tiny-cifar10')).toEqual([])
    expect(missingModels('beit-tiny-cifar10')).toEqual(['runs/vq'])
    await expect(benchPreset('beit-tiny-cifar10', {}, machine(0.005))).rejects.toThrow(/runs\/vq/)
  })
  it('times the preset’s own batch where that is quick', async () => {
    orders.length = 0
    const speed = await benchPreset('mae-tiny-cifar10', {}, machine(0.005))
    expect(orders.map(({ batch }) => batch)).toEqual([8, 128])
    // 128 images in 0.1 + 0.64 s
    expect(speed).toMatchObject({ batch: 128, isMeasured: true, memoryBytes: 1.128e9 })
    expect(speed.imagesPerSecond).toBeCloseTo(128 / 0.74, 6)
    expect(speed.hours).toBeCloseTo((1e6 * 0.74) / 128 / 3600, 6)
  })
  it('takes two small ones where it is not, and the batches of a step together', async () => {
    orders.length = 0
    const speed = await benchPreset('mae-base-224', {}, machine(0.2))
    expect(orders.map(({ batch }) => batch)).toEqual([4, 8])
    expect(speed).toMatchObject({ batch: 64, isMeasured: false })
    expect(speed.imagesPerSecond).toBeCloseTo(4096 / (0.1 + 0.2 * 4096), 6)
    expect(speed.memoryBytes).toBeCloseTo(1.064e9, 0)
  })
})

it('times steps in a process of its own', async () => {
  const order: StepOrder = { config: tinyConfig(), batch: 4, cold: 1, steps: 3 }
  const line = await inOwnProcess<StepOrder, Line>('bench/step-process.js', order)
  expect(line.batch).toBe(4)
  expect(line.seconds).toBeGreaterThan(0)
  expect(line.bytes).toBeGreaterThan(50e6)
})
