import { describe, expect, it } from 'vitest'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { sineCosinePositions } from '../../src/token/position.ts'
import {
  batchPositions,
  openPositions,
  type PositionOptions,
  placesInGroups,
  placeWidth,
  planInRows,
  rowsOf,
  samplePositions,
} from '../../src/token/sample-positions.ts'
import { expectClose, numbers } from '../tolerance.ts'

const { sin, cos } = Math
const layout = { grid: { h: 1, w: 2 }, frames: 2, groups: 3 }
const options: PositionOptions = { layout, fields: ['month', 'hour'], referenceResolution: 10 }
const widths = { width: 10, groupWidth: 2, timeWidth: 2 } // 4 are left for the place
const N = 12
const noon = Date.UTC(2020, 1, 29, 12) // month 1, hour 12
const int64 = (rows: readonly (readonly number[])[]) =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')

/** Row (g · 2 + t) · 2 + l by hand. */
const expected = (scale: number, months: readonly (readonly number[])[]): number[] =>
  [0, 1, 2].flatMap((g) =>
    [0, 1].flatMap((t) =>
      [0, 1].flatMap((l) => [sin(l * scale), cos(l * scale), 0, 1, sin(g), cos(g), ...months[t]!]),
    ),
  )
const unknown = [0, 0, 0, 0]
const known = [sin(1), cos(1), sin(12), cos(12)]

describe('samplePositions', () => {
  it('by hand: place, group, time of token (g · T + t) · L + l', () => {
    const times = Float64Array.of(noon, Number.NaN)
    expectClose(samplePositions(options, widths, { scale: 1, times }), expected(1, [known, unknown]), 1e-7)
    expectClose(samplePositions(options, widths), expected(1, [unknown, unknown]), 1e-7)
  })

  it('multiplies rows and columns by the scale, and nothing else', () => {
    const times = Float64Array.of(Number.NaN, noon)
    expectClose(
      samplePositions(options, widths, { scale: 0.25, times }),
      expected(0.25, [unknown, known]),
      1e-7,
    )
  })

  it('is the table of a plain image for one group, one frame and no fields', () => {
    const plain = { layout: { grid: { h: 3, w: 5 }, frames: 1, groups: 1 }, fields: [] }
    const only = { width: 16, groupWidth: 0, timeWidth: 0 }
    expect(samplePositions({ ...plain, referenceResolution: null }, only)).toEqual(
      sineCosinePositions({ h: 3, w: 5 }, 16),
    )
  })

  it('leaves to the place what group and fields do not take', () => {
    expect(placeWidth({ width: 1024, groupWidth: 256, timeWidth: 128 }, 3)).toBe(384)
    expect(placeWidth({ width: 192, groupWidth: 0, timeWidth: 64 }, 0)).toBe(192)
  })
})

it('placesInGroups is the same for tokens without a time, by tensor operations', () =>
  scope(() => {
    const plain = { width: 10, groupWidth: 2, timeWidth: 0 } // 8 for the place
    const places = tensor([...sineCosinePositions(layout.grid, 8)], [2, 8])
    const made = placesInGroups(places, { layout }, plain)
    expectClose(made, samplePositions({ ...options, fields: [] }, plain), 0)
  }))

it('batchPositions are those of each sample, one behind the other', () => {
  const times = Float64Array.of(noon, Number.NaN, Number.NaN, noon)
  const made = batchPositions(options, widths, { times, resolution: Float64Array.of(Number.NaN, 20) }, 2)
  expectClose(made, [...expected(1, [known, unknown]), ...expected(2, [unknown, known])], 1e-6)
  const nothing = batchPositions(options, widths, { times: null, resolution: null }, 1)
  expectClose(nothing, expected(1, [unknown, unknown]), 1e-6)
})

describe('openPositions', () => {
  const open = (over: Partial<PositionOptions> = {}) => openPositions({ ...options, ...over }, widths, 'cpu')
  const times = Float64Array.of(noon, Number.NaN, Number.NaN, noon, Number.NaN, Number.NaN)

  it('gives one table for all where nothing is known of the samples', () =>
    scope(() => {
      const { table, offsets } = open()({ times: null, resolution: null }, 3)
      expect(offsets).toBeNull()
      expectClose(table, expected(1, [unknown, unknown]), 1e-7)
      const tokens = int64([[5, 1]])
      expect(rowsOf({ table, offsets }, tokens)).toBe(tokens)
    }))

  it('gives each sample its own dates and scale, and rows that lead to them', () =>
    scope(() => {
      const resolution = Float64Array.of(10, 20, Number.NaN)
      const positions = open()({ times, resolution }, 3)
      expectClose(
        positions.table,
        [
          ...expected(1, [known, unknown]),
          ...expected(2, [unknown, known]),
          ...expected(1, [unknown, unknown]), // an unknown size counts as the reference
        ],
        1e-6,
      )
      const plan = planInRows(positions, {
        kept: int64([[3], [0], [11]]),
        hidden: int64([
          [0, 1],
          [1, 2],
          [2, 3],
        ]),
        restore: int64([[0], [1], [2]]),
      })
      expect(numbers(plan.kept)).toEqual([3, N, 2 * N + 11])
      expect(numbers(plan.hidden)).toEqual([0, 1, N + 1, N + 2, 2 * N + 2, 2 * N + 3])
      expect(numbers(plan.restore)).toEqual([0, 1, 2]) // places in a sequence are no rows
    }))

  it('at the reference resolution is the plain table', () =>
    scope(() => {
      const plain = open({ fields: [], referenceResolution: null })({ times: null, resolution: null }, 1)
      const scaled = open({ fields: [], referenceResolution: 10 })(
        { times: null, resolution: Float64Array.of(10) },
        1,
      )
      expect(numbers(scaled.table)).toEqual(numbers(plain.table))
    }))

  it.each<[string, Partial<PositionOptions>, number[]]>([
    ['dates without fields', { fields: [] }, expected(2, [[], []])],
    ['the scale without a reference', { referenceResolution: null }, expected(1, [known, unknown])],
  ])('does not look at %s', (_, over, wanted) =>
    scope(() => {
      const both = { times: times.slice(0, 2), resolution: Float64Array.of(20) }
      const width = { ...widths, width: wanted.length / N }
      const { table } = openPositions({ ...options, ...over }, width, 'cpu')(both, 1)
      expectClose(table, wanted, 1e-6)
    }),
  )

  it('keeps no tensors', () => {
    const before = liveTensors()
    const of = open()
    scope(() => void of({ times, resolution: null }, 3))
    expect(liveTensors()).toBe(before)
  })
})
