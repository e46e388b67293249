import { describe, expect, it } from 'vitest'
import { backboneRows } from '../../../src/model/backbone.ts'
import { plainBackbone } from '../../../src/model/backbone-shape.ts'
import { headRows, predictAll, predictHidden } from '../../../src/model/decoder/heads.ts'
import { weightsOf } from '../../../src/model/parameters.ts'
import { bandGroups, embedGroups } from '../../../src/model/stem/patch-embedding.ts'
import { noGrad } from '../../../src/tensor/context.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { patchifyGroups } from '../../../src/token/patchify.ts'
import { routeByGroup } from '../../../src/token/spectral-groups.ts'
import { expectClose, numbers, wave } from '../../tolerance.ts'
import { stirredParameters, tinyDecoder } from '../tiny-model.ts'
import {
  at,
  seriesDimensions as d,
  groups,
  H,
  L,
  placeOf,
  seriesValues,
  T,
  tokens,
  W,
} from '../tiny-series.ts'

const made = bandGroups(groups, d.channels)
const widths = { 'decoder_pred.0': 8, 'decoder_pred.1': 4 }
const parameters = stirredParameters({
  rows: [
    ...backboneRows({ ...plainBackbone(d), groups, groupWidth: 4 }),
    ...headRows(widths, tinyDecoder.width),
  ],
})
const weights = weightsOf(parameters)
const floats = (name: string) => numbers(weights(name))
const int64 = (rows: readonly (readonly number[])[]) =>
  fromArray(BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length], 'int64')

describe('parameters', () => {
  it('have the names of plain images for one group of all channels, else the number of the group', () => {
    expect(bandGroups(null, 3)).toEqual([{ bands: [0, 1, 2], embed: 'patch_embed', head: 'decoder_pred' }])
    expect(bandGroups([[3, 0], [1]], 4)).toEqual([
      { bands: [3, 0], embed: 'patch_embed.0', head: 'decoder_pred.0' },
      { bands: [1], embed: 'patch_embed.1', head: 'decoder_pred.1' },
    ])
  })

  it('are as large as their bands, and one encoder for all', () => {
    const shapes = new Map([...parameters].map(([name, { shape }]) => [name, shape]))
    expect(shapes.get('patch_embed.0.proj.weight')).toEqual([24, 2, 2, 2])
    expect(shapes.get('patch_embed.1.proj.weight')).toEqual([24, 1, 2, 2])
    expect(shapes.get('decoder_pred.0.weight')).toEqual([8, 16])
    expect(shapes.get('decoder_pred.1.weight')).toEqual([4, 16])
    const names = [...shapes.keys()].filter((name) => name.startsWith('blocks.0.'))
    expect(names).toHaveLength(12) // two norms, qkv, proj and two of the MLP, weight and bias each
  })
})

describe('embedGroups', () => {
  const B = 2
  const pixels = seriesValues(B)
  const patches = () => patchifyGroups(tensor(pixels, [B, T, d.channels, H, W]), groups, 2)

  /** The embedding of a token in double precision, straight from the pixels. */
  const byHand = (b: number, token: number): number[] => {
    const { group, frame, row, column } = placeOf(token)
    const own = groups[group]!
    const kernel = floats(`patch_embed.${group}.proj.weight`) // [D, |g|, P, P]
    return floats(`patch_embed.${group}.proj.bias`).map((bias, unit) => {
      let sum = bias
      for (const [c, band] of own.entries())
        for (const y of [0, 1])
          for (const x of [0, 1])
            sum +=
              kernel[((unit * own.length + c) * 2 + y) * 2 + x]! *
              pixels[b * (pixels.length / B) + at(frame, band, 2 * row + y, 2 * column + x)]!
      return sum
    })
  }

  it('is the linear map of the group of each token, in the order of the tokens', () =>
    noGrad(() =>
      scope(() => {
        const kept = [
          [23, 0, 7, 12, 5],
          [1, 2, 3, 4, 11], // none of group 1
        ]
        const x = embedGroups(patches(), int64(kept), made, weights)
        expect(x.shape).toEqual([2, 5, 24])
        expectClose(
          x,
          kept.flatMap((row, b) => row.flatMap((token) => byHand(b, token))),
          1e-5,
        )
      }),
    ))

  it('of all tokens is group by group, frame by frame', () =>
    noGrad(() =>
      scope(() => {
        const all = Array.from({ length: tokens }, (_, token) => token)
        const x = embedGroups(patches(), null, made, weights)
        expectClose(
          x,
          [0, 1].flatMap((b) => all.flatMap((token) => byHand(b, token))),
          1e-5,
        )
        expectClose(embedGroups(patches(), int64([all, all]), made, weights), x, 1e-6)
      }),
    ))
})

describe('heads', () => {
  const features = (rows: number) => tensor(wave(rows * 16, 3), [1, rows, 16])
  const byHand = (x: Tensor, row: number, group: number): number[] => {
    const [matrix, values] = [floats(`decoder_pred.${group}.weight`), numbers(x)]
    return floats(`decoder_pred.${group}.bias`).map((bias, unit) =>
      Array.from({ length: 16 }, (_, e) => matrix[unit * 16 + e]! * values[row * 16 + e]!).reduce(
        (a, b) => a + b,
        bias,
      ),
    )
  }

  it('speak of the tokens of their group, and of no other', () =>
    noGrad(() =>
      scope(() => {
        const which = [13, 2, 23, 11]
        const x = features(which.length)
        const routes = routeByGroup(int64([which]), { groups: 2, places: T * L })
        const predictions = predictHidden(x, { routes: () => routes, isPadded: false }, widths, weights)
        expect(routes.map(({ places }) => numbers(places))).toEqual([
          [2, 11],
          [1, 11],
        ])
        expectClose(
          predictions[0]!,
          [1, 3].flatMap((row) => byHand(x, row, 0)),
          1e-5,
        )
        expectClose(
          predictions[1]!,
          [0, 2].flatMap((row) => byHand(x, row, 1)),
          1e-5,
        )
      }),
    ))

  it('speak of every place, each head of its own part of the sequence', () =>
    noGrad(() =>
      scope(() => {
        const x = features(tokens)
        const all = predictAll(x, widths, weights)
        expect(all.map(({ shape }) => shape)).toEqual([
          [1, T * L, 8],
          [1, T * L, 4],
        ])
        for (const g of [0, 1])
          expectClose(
            all[g]!,
            Array.from({ length: T * L }, (_, place) => byHand(x, g * T * L + place, g)).flat(),
            1e-5,
          )
      }),
    ))
})
