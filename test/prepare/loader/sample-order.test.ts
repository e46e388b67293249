import { describe, expect, it } from 'vitest'
import { sampleOrder } from '../../../src/prepare/loader/sample-order.ts'

describe('sampleOrder', () => {
  it('runs through the whole source in every epoch, each time in another order', () => {
    const order = sampleOrder({ size: 50, seed: 1 })
    const epochs = [0, 1, 2].map((epoch) => Array.from({ length: 50 }, (_, i) => order(epoch * 50 + i)))
    for (const [epoch, addresses] of epochs.entries()) {
      expect(addresses.every((address) => address.epoch === epoch)).toBe(true)
      expect(addresses.map((a) => a.index).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 50 }, (_, i) => i),
      )
    }
    const orders = epochs.map((addresses) => addresses.map((a) => a.index).join())
    expect(new Set(orders).size).toBe(3)
  })

  it('does not depend on what was asked before', () => {
    const ahead = sampleOrder({ size: 7, seed: 5 })
    const inOrder = Array.from({ length: 70 }, (_, position) => ahead(position))
    const back = sampleOrder({ size: 7, seed: 5 })
    const reversed = Array.from({ length: 70 }, (_, i) => back(69 - i)).reverse()
    expect(reversed).toEqual(inOrder)
    expect(sampleOrder({ size: 7, seed: 6 })(3)).not.toEqual(inOrder[3])
    expect(inOrder.map((a) => a.index).join('')).toMatchInlineSnapshot(
      `"4260135203165452431606543120024361526415035142036403126552601431230465"`,
    )
  })

  it('is shared by readers, none of which sees what another does', () => {
    const whole = sampleOrder({ size: 7, seed: 5 })
    const readers = [0, 1, 2].map((rank) => sampleOrder({ size: 7, seed: 5, reader: { rank, world: 3 } }))
    const together = Array.from({ length: 10 }, (_, own) => readers.map((order) => order(own))).flat()
    expect(together).toEqual(Array.from({ length: 30 }, (_, position) => whole(position)))
  })

  it('keeps the source’s order when asked to', () => {
    const order = sampleOrder({ size: 3, seed: 5, shuffle: false })
    expect([0, 2, 3, 7].map(order)).toEqual([
      { epoch: 0, index: 0 },
      { epoch: 0, index: 2 },
      { epoch: 1, index: 0 },
      { epoch: 2, index: 1 },
    ])
  })

  it('reaches positions that no run reaches', () => {
    const { epoch, index } = sampleOrder({ size: 1000, seed: 0 })(2 ** 41 + 1)
    expect(epoch).toBe(Math.floor((2 ** 41 + 1) / 1000))
    expect(index).toBeLessThan(1000)
  })
})
