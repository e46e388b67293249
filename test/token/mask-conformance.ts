/** What every way to draw a mask must hold. A new mask runs this suite in its own test, and names what it cannot do. */
import { describe, expect, it } from 'vitest'
import { cat } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { type MaskPlan, maskOf, type SampleAddresses } from '../../src/token/mask.ts'
import { take } from '../../src/token/take.ts'
import { numbers } from '../tolerance.ts'

export interface MaskCase {
  /** N */
  readonly tokens: number
  /** K, in every row. */
  readonly kept: number
  /** Called inside a scope. */
  plan(seed: number, samples: SampleAddresses): MaskPlan
}

type Check = 'counts' | 'partition' | 'restore' | 'mask' | 'address' | 'variety'

export interface Skip {
  readonly check: Check
  readonly reason: string
}

interface Plan {
  readonly kept: number[][]
  readonly hidden: number[][]
  readonly restore: number[][]
}

const rowsOf = (values: readonly number[], rows: number): number[][] =>
  Array.from({ length: rows }, (_, b) =>
    values.slice((b * values.length) / rows, ((b + 1) * values.length) / rows),
  )

/** `samples` from (epoch, index) pairs. */
export const addresses = (
  ...pairs: readonly (readonly [epoch: number, index: number])[]
): SampleAddresses => ({
  epochs: pairs.map(([epoch]) => epoch),
  indices: pairs.map(([, index]) => index),
})

export function maskConformance(
  name: string,
  { tokens, kept, plan }: MaskCase,
  skips: readonly Skip[] = [],
): void {
  const batch = addresses([0, 0], [0, 1], [0, 7], [1, 7], [3, 70_000])
  const B = batch.indices.length
  const read = (seed: number, samples: SampleAddresses): Plan =>
    scope(() => {
      const drawn = plan(seed, samples)
      const rows = (x: MaskPlan['kept']) => rowsOf(numbers(x), samples.indices.length)
      return { kept: rows(drawn.kept), hidden: rows(drawn.hidden), restore: rows(drawn.restore) }
    })
  const check = (which: Check, title: string, body: () => void) => {
    const skip = skips.find((each) => each.check === which)
    it.skipIf(skip)(skip ? `${title} (not here: ${skip.reason})` : title, body)
  }

  describe(`${name}: ${kept} of ${tokens} kept`, () => {
    check('counts', 'has the shapes and the type that its counts say', () =>
      scope(() => {
        const drawn = plan(1, batch)
        expect(drawn.kept.shape).toEqual([B, kept])
        expect(drawn.hidden.shape).toEqual([B, tokens - kept])
        expect(drawn.restore.shape).toEqual([B, tokens])
        expect([drawn.kept, drawn.hidden, drawn.restore].map(({ dtype }) => dtype)).toEqual(
          Array(3).fill('int64'),
        )
      }),
    )

    check('partition', 'holds every patch of every image exactly once', () => {
      const drawn = read(1, batch)
      for (let b = 0; b < B; b++) {
        const all = [...drawn.kept[b]!, ...drawn.hidden[b]!].sort((a, c) => a - c)
        expect(all).toEqual(Array.from({ length: tokens }, (_, n) => n))
      }
    })

    check('restore', 'puts kept and hidden tokens back into image order', () =>
      scope(() => {
        const patches = tensor(
          Array.from({ length: B * tokens * 2 }, (_, i) => i),
          [B, tokens, 2],
        )
        const drawn = plan(1, batch)
        const sequence = cat([take(patches, drawn.kept), take(patches, drawn.hidden)], 1)
        expect(numbers(take(sequence, drawn.restore))).toEqual(numbers(patches))
      }),
    )

    check('mask', 'is 1 where hidden and 0 where kept, as the reference writes it', () =>
      scope(() => {
        const rows = rowsOf(numbers(maskOf(plan(1, batch))), B)
        const { hidden } = read(1, batch)
        const expected = hidden.map((row) =>
          Array.from({ length: tokens }, (_, n) => Number(row.includes(n))),
        )
        expect(rows).toEqual(expected)
      }),
    )

    check('address', 'is a function of seed, epoch and index alone, whatever else is in the batch', () => {
      const whole = read(1, batch)
      expect(read(1, batch)).toEqual(whole)
      for (let b = 0; b < B; b++) {
        const alone = read(1, addresses([batch.epochs[b]!, batch.indices[b]!]))
        expect([alone.kept[0], alone.hidden[0], alone.restore[0]]).toEqual([
          whole.kept[b],
          whole.hidden[b],
          whole.restore[b],
        ])
      }
      const reversed = read(1, {
        epochs: Array.from(batch.epochs).reverse(),
        indices: Array.from(batch.indices).reverse(),
      })
      expect(reversed.kept).toEqual([...whole.kept].reverse())
    })

    check('variety', 'differs between seeds, epochs and images', () => {
      const seen = new Set<string>()
      for (const seed of [1, 2, 2 ** 40])
        for (const row of read(seed, batch).hidden) seen.add([...row].sort((a, c) => a - c).join())
      expect(seen.size).toBe(3 * B)
    })
  })
}
