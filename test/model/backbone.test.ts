import { describe, expect, it } from 'vitest'
import { backboneRows, openBackbone } from '../../src/model/backbone.ts'
import {
  type BackboneShape,
  backboneAt,
  checkBackbone,
  checkDecoder,
  plainBackbone,
} from '../../src/model/backbone-shape.ts'
import type { DecoderDimensions } from '../../src/model/dimensions.ts'
import { encodeTokens } from '../../src/model/encoder.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import type { View } from '../../src/prepare/view.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { backward, gradient, noGrad } from '../../src/tensor/context.ts'
import { add, indexSelect, narrow, reshape, square, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { patchify } from '../../src/token/patchify.ts'
import { resamplePositions } from '../../src/token/resample-positions.ts'
import { samplePositions } from '../../src/token/sample-positions.ts'
import { positions } from '../token/positions.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { encodePatches, stirredParameters, tiny, tinyDecoder, tinyImages } from './tiny-model.ts'
import {
  at,
  bands,
  dates,
  groups,
  H,
  L,
  placeOf,
  series,
  seriesValues,
  T,
  tokenAt,
  tokens,
  viewsOfValues,
  W,
} from './tiny-series.ts'

const parameters = stirredParameters({ rows: backboneRows(series) })
const weights = weightsOf(parameters)
const plainWeights = weightsOf(stirredParameters({ rows: backboneRows(plainBackbone(tiny)) }))
const backbone = openBackbone(series, 'cpu')
const quiet = <R>(body: () => R): R => noGrad(() => scope(body))
const int64 = (rows: readonly (readonly number[])[]) =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')
const all = Array.from({ length: tokens }, (_, token) => token)

/** Whether each of the tokens [1, 1 + K, D] is the same, cls first. */
const sameRows = (a: Tensor, b: Tensor): boolean[] => {
  const [x, y] = [numbers(a), numbers(b)]
  const D = a.shape[2]!
  return Array.from({ length: a.shape[1]! }, (_, row) =>
    x.slice(row * D, (row + 1) * D).every((value, i) => value === y[row * D + i]),
  )
}

/** No data: location 1 of frame 0 as a whole, one pixel of location 5, and location 0 of frame 1. */
const gaps = [
  ...[0, 1].flatMap((row) => [2, 3].map((column) => [0, row, column] as const)),
  [0, 3, 5] as const,
  ...[0, 1].flatMap((row) => [0, 1].map((column) => [1, row, column] as const)),
]
const absent = [0, 1].flatMap((g) => [g * T * L + 1, (g * T + 1) * L])
const withGaps = (values: readonly number[]): number[] => {
  const made = [...values]
  for (const [frame, row, column] of gaps) made[at(frame, 2, row, column)] = Number.NaN
  return made
}

describe('encodeAll', () => {
  it('of a plain image is the encoder of all patches', () =>
    quiet(() => {
      const shape = plainBackbone(tiny)
      const { sequence: made, present } = openBackbone(shape, 'cpu').encodeAll(
        viewOf(tinyImages(2)),
        plainWeights,
      )
      const grid = { h: 3, w: 5 }
      const input = { patches: patchify(tinyImages(2), 2), kept: null }
      expect(present).toBeNull()
      expectClose(
        made,
        encodePatches({ ...input, positions: positions(grid, 24, 'cpu') }, plainWeights, tiny),
        1e-6,
      )
    }))

  it('takes learned positions where computed ones would be', () =>
    quiet(() => {
      const shape: BackboneShape = { ...plainBackbone(tiny), positions: 'learned' }
      const backbone = openBackbone(shape, 'cpu')
      expect(backbone.rows.at(-1)).toMatchObject({ name: 'pos_embed', shape: [15, 24] })
      const learned = stirredParameters({ rows: backbone.rows })
      const { sequence: made } = backbone.encodeAll(viewOf(tinyImages(2)), weightsOf(learned))
      const input = { patches: patchify(tinyImages(2), 2), kept: null, positions: learned.get('pos_embed')! }
      expectClose(made, encodePatches(input, weightsOf(learned), tiny), 1e-6)
    }))

  it('resamples learned positions for images of another size, and learns them there', () =>
    scope(() => {
      const shape: BackboneShape = {
        ...plainBackbone(tiny),
        positions: 'learned',
        resampling: 'cubic-offset',
      }
      const other = openBackbone(backboneAt(shape, [8, 6]), 'cpu') // 4 × 3 patches
      expect(other.rows).toEqual(openBackbone(shape, 'cpu').rows)
      const learned = stirredParameters({ rows: other.rows })
      const images = tensor(wave(2 * 3 * 8 * 6), [2, 3, 8, 6])
      const { sequence } = other.encodeAll(viewOf(images), weightsOf(learned))
      const [from, to] = [
        { h: 3, w: 5 },
        { h: 4, w: 3 },
      ]
      const table = resamplePositions(learned.get('pos_embed')!, { from, to, by: 'cubic-offset' })
      const own = openBackbone(plainBackbone({ ...tiny, imageSize: [8, 6] }), 'cpu')
      const given = own.encodeAll(viewOf(images), weightsOf(learned), { positions: table })
      expectClose(sequence, given.sequence, 1e-6)
      backward(sum(square(sequence)))
      const gradients = numbers(gradient(learned.get('pos_embed')!)!)
      expect(gradients).toHaveLength(15 * 24)
      expect(gradients.every((x) => Number.isFinite(x) && x !== 0)).toBe(true)
    }))

  it('has learned positions of any width', () => {
    const narrow: BackboneShape = { ...plainBackbone({ ...tiny, width: 6 }), positions: 'learned' }
    expect(openBackbone(narrow, 'cpu').rows.at(-1)!.shape).toEqual([15, 6])
    expect(() => openBackbone({ ...narrow, positions: 'fixed' }, 'cpu')).toThrow(/not a multiple of 4/)
  })

  it('takes positions that it is given, for all samples or for each', () =>
    quiet(() => {
      const own = openBackbone(plainBackbone(tiny), 'cpu')
      const encodeWith = (given: Tensor) =>
        numbers(own.encodeAll(viewOf(tinyImages(2)), plainWeights, { positions: given }).sequence)
      const [first, second] = [1, 2].map((seed) => wave(15 * 24, seed)) as [number[], number[]]
      const each = encodeWith(tensor([...first, ...second], [2, 15, 24]))
      const half = 16 * 24
      expectClose(each.slice(0, half), encodeWith(tensor(first, [15, 24])).slice(0, half), 1e-6)
      expectClose(each.slice(half), encodeWith(tensor(second, [15, 24])).slice(half), 1e-6)
      const usual = own.encodeAll(viewOf(tinyImages(2)), plainWeights).sequence
      expectClose(encodeWith(positions({ h: 3, w: 5 }, 24, 'cpu')), usual, 1e-6)
      expect(() => encodeWith(tensor(wave(14 * 24), [14, 24]))).toThrow('tokenSequence')
    }))

  it('never masks: it is the encoder of every token, and every pixel of a group reaches cls', () =>
    quiet(() => {
      const pixels = seriesValues(2)
      const { sequence: made, present } = backbone.encodeAll(viewsOfValues(2, pixels), weights)
      expect(present).toBeNull()
      expectClose(
        made,
        backbone.encodeKept(backbone.cut(viewsOfValues(2, pixels)), int64([all, all]), weights).sequence,
        1e-6,
      )
      const clsOf = (values: readonly number[]) =>
        numbers(backbone.encodeAll(viewsOfValues(1, values), weights).sequence)
          .slice(0, 24)
          .join()
      const own = seriesValues(1)
      const before = clsOf(own)
      for (const frame of [0, 1])
        for (let band = 0; band < bands; band++)
          for (const [row, column] of [
            [0, 0],
            [1, 5],
            [3, 2],
          ] as const) {
            const changed = [...own]
            changed[at(frame, band, row, column)]! += 1
            expect(clsOf(changed) !== before).toBe(tokenAt(frame, band, row, column) >= 0)
          }
    }))

  it('with gaps is the encoder of the tokens that hold data', () =>
    quiet(() => {
      const views = () => viewsOfValues(1, withGaps(seriesValues(1)))
      const { sequence: made, present } = backbone.encodeAll(views(), weights)
      expect(numbers(present!)).toEqual(all.map((token) => Number(!absent.includes(token))))
      const there = all.filter((token) => !absent.includes(token))
      const expected = backbone.encodeKept(backbone.cut(views()), int64([there]), weights).sequence
      const rows = fromArray(
        BigInt64Array.from([0, ...there.map((token) => token + 1)], BigInt),
        [21],
        'int64',
      )
      expectClose(indexSelect(made, 1, rows), expected, 1e-5)
    }))

  it('lets nobody attend to a token without data: whatever it says, others stay', () =>
    quiet(() => {
      const views = viewsOfValues(1, withGaps(seriesValues(1)))
      const before = backbone.encodeAll(views, weights).sequence
      for (const token of absent) {
        const { group, frame, row, column } = placeOf(token)
        const values = numbers(views.pixels)
        values[at(frame, groups[group]![0]!, 2 * row, 2 * column)]! += 3
        const changed = { ...views, pixels: tensor(values, [1, T, bands, H, W]) }
        const same = sameRows(backbone.encodeAll(changed, weights).sequence, before)
        expect(same).toEqual([true, ...all.map((other) => other !== token)])
      }
    }))

  it('leaves a sample alone whose neighbour in the batch has gaps', () =>
    quiet(() => {
      const [first, second] = [seriesValues(1, 1), seriesValues(1, 2)]
      const made = backbone.encodeAll(viewsOfValues(2, [...first, ...withGaps(second)]), weights)
      const alone = backbone.encodeAll(viewsOfValues(1, first), weights)
      expectClose(narrow(made.sequence, 0, 0, 1), alone.sequence, 1e-5)
      const gappy = backbone.encodeAll(viewsOfValues(1, withGaps(second)), weights)
      expectClose(narrow(made.sequence, 0, 1, 1), gappy.sequence, 1e-5)
      expect(numbers(made.present!)).toEqual([...all.map(() => 1), ...numbers(gappy.present!)])
    }))

  it.each([0, 1])('of group %d alone is what it is when all other tokens are masked', (only) =>
    quiet(() => {
      const pixels = withGaps(seriesValues(1))
      const views = viewsOfValues(1, pixels)
      const own = all.filter((token) => placeOf(token).group === only)
      const { sequence: made, present } = backbone.encodeAll(views, weights, { only: [only] })
      expect(numbers(present!)).toEqual(own.map((token) => Number(!absent.includes(token))))
      // The same by attention: all tokens enter, and those of the other group count as absent.
      const full = openBackbone(series, 'cpu')
      const embedded = () => ({
        x: embeddedOf(full.cut(views).patches),
        positions: tensor(
          samplePositions(
            { layout: full.layout, fields: series.time!.fields, referenceResolution: null },
            { width: 24, groupWidth: 4, timeWidth: 4 },
            { scale: 1, times: dates },
          ),
          [tokens, 24],
        ),
        kept: int64([all]),
      })
      const there = all.map((token) => Number(own.includes(token) && !absent.includes(token)))
      const masked = encodeTokens(embedded, weights, series.dimensions, {
        present: tensor(there, [1, tokens]),
      })
      const rows = fromArray(
        BigInt64Array.from([0, ...own.map((token) => token + 1)], BigInt),
        [1 + T * L],
        'int64',
      )
      expectClose(made, indexSelect(masked.sequence, 1, rows), 1e-5)
      // And no pixel of the other group's bands, or of the band that no group has, reaches any token.
      const others = [0, 1, 2, 3].filter((band) => !groups[only]!.includes(band))
      const changed = pixels.map((value, i) =>
        others.includes(Math.floor(i / (H * W)) % bands) ? value + 1 : value,
      )
      const again = backbone.encodeAll(viewsOfValues(1, changed), weights, { only: [only] })
      expect(numbers(again.sequence)).toEqual(numbers(made))
    }),
  )

  it('of both groups, named, is that of all, in the order of their names', () =>
    quiet(() => {
      const views = viewsOfValues(1, withGaps(seriesValues(1)))
      const whole = backbone.encodeAll(views, weights)
      const named = backbone.encodeAll(views, weights, { only: [0, 1] })
      expectClose(named.sequence, whole.sequence, 1e-6)
      const { sequence: turned } = backbone.encodeAll(views, weights, { only: [1, 0] })
      expectClose(narrow(turned, 1, 1, T * L), narrow(whole.sequence, 1, 1 + T * L, T * L), 1e-5)
      expectClose(narrow(turned, 1, 0, 1), narrow(whole.sequence, 1, 0, 1), 1e-5)
    }))

  it('without the norm is what the norm is made of', () =>
    quiet(() => {
      const views = viewsOfValues(1, seriesValues(1))
      const raw = numbers(backbone.encodeAll(views, weights, { norm: false }).sequence)
      const normed = numbers(backbone.encodeAll(views, weights).sequence)
      const [scale, shift] = [numbers(weights('norm.weight')), numbers(weights('norm.bias'))]
      for (const row of [0, 7, tokens]) {
        const x = raw.slice(row * 24, (row + 1) * 24)
        const mean = x.reduce((a, b) => a + b, 0) / 24
        const deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / 24 + 1e-6)
        expectClose(
          normed.slice(row * 24, (row + 1) * 24),
          x.map((value, i) => ((value - mean) / deviation) * scale[i]! + shift[i]!),
          1e-5,
        )
      }
    }))

  it('keeps the tokens, what is present, and nothing else', () =>
    noGrad(() =>
      scope(() => {
        const views = viewsOfValues(1, withGaps(seriesValues(1)))
        const before = liveTensors()
        backbone.encodeAll(views, weights, { only: [1] })
        expect(liveTensors() - before).toBe(2)
      }),
    ))
})

/** All embedded tokens by one matrix product for each group. */
function embeddedOf(patches: readonly Tensor[]): Tensor {
  const parts = patches.map((each, g) => {
    const kernel = numbers(weights(`patch_embed.${g}.proj.weight`)) // [24, c, 2, 2]
    const c = groups[g]!.length
    const bias = numbers(weights(`patch_embed.${g}.proj.bias`))
    const values = numbers(each)
    return Array.from({ length: T * L }, (_, place) =>
      bias.map((start, unit) => {
        let sum = start
        for (let i = 0; i < 4 * c; i++)
          sum += kernel[(unit * c + (i % c)) * 4 + Math.floor(i / c)]! * values[place * 4 * c + i]!
        return sum
      }),
    ).flat()
  })
  return tensor(parts.flat(), [1, tokens, 24])
}

describe('encodeKept', () => {
  it('sees what is kept, and nothing else', () =>
    quiet(() => {
      const kept = [0, 9, 10, 19, 22]
      const own = seriesValues(1)
      const latentOf = (values: readonly number[]) =>
        numbers(
          backbone.encodeKept(backbone.cut(viewsOfValues(1, values)), int64([kept]), weights).sequence,
        ).join()
      const before = latentOf(own)
      for (let i = 0; i < own.length; i++) {
        const changed = [...own]
        changed[i]! += 1
        const column = i % W
        const row = Math.floor(i / W) % H
        const token = tokenAt(Math.floor(i / (bands * H * W)), Math.floor(i / (H * W)) % bands, row, column)
        expect(latentOf(changed) !== before).toBe(kept.includes(token))
      }
    }))

  it('is the same when all tokens are embedded and the kept ones picked', () =>
    quiet(() => {
      const kept = int64([[0, 9, 10, 19, 22], all.slice(-5)])
      const encoded = (embed: 'kept' | 'all') =>
        numbers(
          backbone.encodeKept(backbone.cut(viewsOfValues(2, seriesValues(2))), kept, weights, { embed })
            .sequence,
        )
      expectClose(encoded('all'), encoded('kept'), 1e-6)
    }))

  it('knows where and when a token is: by what is added to it', () =>
    quiet(() => {
      // Without a patch embedding a token is its position, and blocks whose last maps are zero add nothing to it.
      const blind = new Map(parameters)
      for (const [name, weight] of blind)
        if (/^patch_embed|attn\.proj|mlp\.fc2/.test(name))
          blind.set(name, tensor(Array(product(weight.shape)).fill(0), weight.shape))
      const kept = [23, 4, 12]
      const times = Float64Array.of(Number.NaN, dates[1]!)
      const cut = backbone.cut(viewsOfValues(1, seriesValues(1), times))
      const made = numbers(backbone.encodeKept(cut, int64([kept]), weightsOf(blind)).sequence)
      const table = samplePositions(
        { layout: backbone.layout, fields: series.time!.fields, referenceResolution: null },
        { width: 24, groupWidth: 4, timeWidth: 4 },
        { scale: 1, times },
      )
      const [scale, shift] = [numbers(blind.get('norm.weight')!), numbers(blind.get('norm.bias')!)]
      for (const [i, token] of kept.entries()) {
        const x = [...table.slice(token * 24, (token + 1) * 24)]
        const mean = x.reduce((a, b) => a + b, 0) / 24
        const deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / 24 + 1e-6)
        expectClose(
          made.slice((1 + i) * 24, (2 + i) * 24),
          x.map((value, j) => ((value - mean) / deviation) * scale[j]! + shift[j]!),
          1e-5,
        )
      }
    }))
})

describe('dates and scale', () => {
  const clsOf = (shape: BackboneShape, views: View) =>
    numbers(openBackbone(shape, 'cpu').encodeAll(views, weights).sequence).join()
  const july = Float64Array.of(dates[0]!, Date.UTC(2021, 7, 1, 9))
  const otherYear = Float64Array.of(dates[0]!, Date.UTC(2020, 6, 1, 9)) // the same month and hour

  it('change the tokens where they are asked for, and only there', () =>
    quiet(() => {
      const views = (times: Float64Array) => viewsOfValues(1, seriesValues(1), times)
      expect(clsOf(series, views(july))).not.toBe(clsOf(series, views(dates)))
      expect(clsOf(series, views(otherYear))).toBe(clsOf(series, views(dates)))
      const timeless = { ...series, time: null }
      expect(clsOf(timeless, views(july))).toBe(clsOf(timeless, views(dates)))
    }))

  it('a resolution is expressed only against a reference, and the reference itself is the plain table', () =>
    quiet(() => {
      const at_ = (metres: number) => ({
        ...viewsOfValues(1, seriesValues(1)),
        resolution: Float64Array.of(metres),
      })
      const scaled = { ...series, referenceResolution: 10 }
      expect(clsOf(series, at_(20))).toBe(clsOf(series, at_(10)))
      expect(clsOf(scaled, at_(20))).not.toBe(clsOf(scaled, at_(10)))
      expect(clsOf(scaled, at_(10))).toBe(clsOf(series, at_(10)))
    }))
})

describe('cut', () => {
  it('refuses images of another size, of other bands or dates', () =>
    scope(() => {
      const plain = openBackbone(plainBackbone(tiny), 'cpu')
      expect(() => plain.cut(viewOf(tensor(Array(48).fill(0), [1, 3, 4, 4])))).toThrow(
        'images: expected [B, 1, 3, 6, 10], got float32[1, 1, 3, 4, 4]',
      )
      const pixels = tensor(Array(96).fill(0), [1, 1, 4, 4, 6])
      expect(() => backbone.cut(viewOf(pixels))).toThrow(
        'images: expected [B, 2, 4, 4, 6], got float32[1, 1, 4, 4, 6]',
      )
      const views = { ...viewsOfValues(1, seriesValues(1)), valid: tensor(Array(24).fill(1), [1, 1, 4, 6]) }
      expect(() => backbone.cut(views)).toThrow(
        'images: valid: expected [1, 2, 4, 6], got float32[1, 1, 4, 6]',
      )
    }))

  it('takes one frame with or without its dimension', () =>
    scope(() => {
      const plain = openBackbone(plainBackbone(tiny), 'cpu')
      const flat = numbers(plain.cut(viewOf(tinyImages(2))).patches[0]!)
      expect(numbers(plain.cut(viewOf(reshape(tinyImages(2), [2, 1, 3, 6, 10]))).patches[0]!)).toEqual(flat)
      expect(flat).toEqual(numbers(add(patchify(tinyImages(2), 2), 0)))
    }))
})

it.each<[string, Partial<BackboneShape>, RegExp]>([
  ['half a frame', { frames: 1.5 }, /model\.frames: expected an integer of at least 1, got 1\.5/],
  ['no frame', { frames: 0 }, /got 0/],
  ['overlapping groups', { groups: [[0], [0, 1]] }, /band 0 is in group 0 and in group 1/],
  [
    'a group that leaves nothing',
    { groupWidth: 16 },
    /Of a width of 24, model\.groupWidth 16 and 2 × model\.timeWidth 4 leave 0/,
  ],
  ['an odd width of time', { time: { fields: ['hour'], width: 3 } }, /model\.timeWidth 3/],
  ['learned positions of dates', { positions: 'learned' }, /model\.positions "learned": expected one frame/],
  ['what is no multiple of 4', { groupWidth: 6 }, /leave 10 for the place/],
])('refuses %s', (_, over, message) => {
  expect(() => checkBackbone({ ...series, ...over })).toThrow(message)
})

it.each<[string, Partial<DecoderDimensions>, RegExp]>([
  ['too much for the group', { groupWidth: 8 }, /Of a width of 16, decoder\.groupWidth 8/],
  [
    'no hidden unit',
    { width: 4, heads: 1 },
    /^model\.mlpRatio: .* leaves at least one hidden unit, got 0\.2$/,
  ],
  ['no depth', { depth: -1 }, /^decoder\.depth: expected an integer of at least 1, got -1$/],
  ['heads that do not divide it', { heads: 3 }, /^decoder\.width 16 is not divisible by decoder\.heads 3$/],
  ['a table that is too large', { width: 2 ** 24 }, /24 tokens of up to 16777216 numbers/],
])('refuses a decoder with %s', (_, over, message) => {
  const narrow = { ...series, dimensions: { ...series.dimensions, mlpRatio: over.heads === 1 ? 0.2 : 4 } }
  expect(() => checkDecoder(narrow, { ...tinyDecoder, ...over })).toThrow(message)
})

it('does not look at widths of what there is not', () => {
  expect(() => checkBackbone({ ...series, groups: null, groupWidth: 3 })).not.toThrow()
  expect(() => checkBackbone({ ...series, time: { fields: [], width: 3 } })).not.toThrow()
  const wide = { ...tinyDecoder, groupWidth: 99, timeWidth: 3 }
  expect(() => checkDecoder({ ...series, groups: null, time: null }, wide)).not.toThrow()
})
