import { expect, it } from 'vitest'
import { heatColour } from '../../src/picture/painted.ts'
import { codeColour, predictedPlaces, type Scene, shownColumns } from '../../src/picture/shown-tiles.ts'
import type { Tile } from '../../src/picture/tile.ts'
import type { Shown } from '../../src/target/showing.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'

/** Two pixels for each of 1 × 3 patches, all of one grey. */
const image: Tile = { width: 6, height: 2, channels: 1, pixels: new Uint8Array(12).fill(100) }
const DIM = [35, 35, 35] // 0.35 · 100

/** Of two samples; patch 0 of the first and patches 1 and 2 of the second are predicted. */
const predicted = [1, 0, 0, 0, 1, 1]
function drawn(shown: (scene: Scene) => Exclude<Shown, { kind: 'pixels' }>) {
  return scope(() => {
    const scene: Scene = {
      ...{ grid: { h: 1, w: 3 }, channels: 1, frames: 1, isPredicted: predicted },
      predicted: tensor(predicted, [2, 3]),
    }
    const made = shownColumns(shown(scene), scene)
    return { made, tiles: [0, 1].map((date) => made.tiles(date, image)) }
  })
}
/** The colours of the middles of the three patches of a tile. */
const coloursOf = ({ width, height, channels, pixels }: Tile) =>
  [0, 1, 2].map((place) => {
    const x = Math.floor(((place + 0.5) * width) / 3)
    const at = (Math.floor(height / 2) * width + x) * channels
    return channels === 3 ? [...pixels.subarray(at, at + 3)] : Array(3).fill(pixels[at])
  })

it('errors: from dark blue to pale yellow where something is predicted, by the greatest of all samples', () => {
  const { made, tiles } = drawn(() => ({
    kind: 'errors',
    errors: tensor([2, 9, 9, 9, 0, 4], [2, 3]),
  }))
  expect(tiles.map(([tile]) => coloursOf(tile!))).toEqual([
    [heatColour(0.5), DIM, DIM],
    [DIM, [12, 12, 60], [255, 250, 190]],
  ])
  expect(made.errors).toEqual({ most: 4, mean: 2 })
  expect(made.legend!.map(({ name }) => name)).toEqual(['0', '1', '2', '3', '4'])
})

it('errors: of several groups of bands, a place has the mean of those that are predicted', () => {
  scope(() => {
    const scene: Scene = {
      ...{ grid: { h: 1, w: 3 }, channels: 2, frames: 1 },
      ...{ predicted: tensor([1, 0, 0, 1, 1, 0], [1, 6]), isPredicted: [1, 1, 0] },
    }
    const { tiles } = shownColumns({ kind: 'errors', errors: tensor([1, 9, 9, 3, 4, 9], [1, 6]) }, scene)
    expect(coloursOf(tiles(0, image)[0]!)).toEqual([heatColour(0.5), [255, 250, 190], DIM])
    expect([...predictedPlaces(scene.predicted, scene)]).toEqual([1, 1, 0])
  })
})

it('features: the components of the target, everywhere; the prediction in the same colours where there is one', () => {
  // On a line: red alone differs.
  const wanted = [0, 1, 2, 3, 4, 5].flatMap((x) => [3 * x, 4 * x])
  const said = wanted.map((x, i) => (i < 2 ? x : i < 10 ? wanted[i - 2]! : 100)) // the fifth says the fourth
  const { made, tiles } = drawn(() => ({
    kind: 'features',
    wanted: tensor(wanted, [2, 3, 2]),
    said: tensor(said, [2, 3, 2]),
  }))
  const [target, prediction] = [0, 1].map((c) => tiles.flatMap((each) => coloursOf(each[c]!))) as [
    number[][],
    number[][],
  ]
  expect(target.map(([, ...rest]) => rest)).toEqual(Array(6).fill([128, 128]))
  const reds = target.map(([red]) => red!)
  expect(reds).toEqual([...reds].sort((a, b) => a - b))
  expect([reds[0], reds[5]]).toEqual([0, 255])
  expect(prediction).toEqual([target[0], DIM, DIM, DIM, target[3], [255, 128, 128]])
  expect(made.columns.map(({ title }) => title)).toEqual(['target', 'prediction'])
  // (0, 0) has no direction; (12, 16) is told by (9, 12), and (15, 20) by (100, 100): 35 / (25 √2) = 0.98995.
  expect(made.columns[1]!.note).toBe(`cosine\u00a0${((0 + 1 + 35 / (25 * Math.SQRT2)) / 3).toPrecision(3)}`)
})

it('codes: a colour for each, the likeliest code of what is predicted, and how often it is right', () => {
  const int64 = (codes: number[]) => fromArray(BigInt64Array.from(codes, BigInt), [2, 3, 1], 'int64')
  const codes = [7, 7, 0, 1, 2, 3]
  const { made, tiles } = drawn(() => ({
    ...{ kind: 'codes', codes: 8, wanted: int64(codes), said: int64([7, 1, 1, 1, 2, 0]) },
  }))
  expect(tiles.flatMap((each) => coloursOf(each[0]!))).toEqual(codes.map((code) => [...codeColour(code)]))
  expect(tiles.flatMap((each) => coloursOf(each[1]!))).toEqual([
    ...[[...codeColour(7)], DIM, DIM],
    ...[DIM, [...codeColour(2)], [...codeColour(0)]],
  ])
  expect(made.columns.map(({ note }) => note)).toEqual([undefined, 'right\u00a067\u00a0%'])
  const colours = Array.from({ length: 64 }, (_, code) => codeColour(code).join())
  expect(new Set(colours).size).toBe(64)
  const alone = drawn(() => ({ kind: 'codes', codes: 8, wanted: int64(codes), said: null }))
  expect(alone.tiles[0]).toHaveLength(1)
})

it('gradients: strokes of the target everywhere, and of the prediction where there is one', () => {
  // One cell a patch, two directions: the first bin's strokes fall, the second's rise.
  const bins = (each: number[]) => tensor(each, [2, 3, 2])
  const { tiles } = drawn(() => ({
    ...{ kind: 'gradients', bins: 2, cells: [1, 1] },
    wanted: bins([1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0]),
    said: bins([0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0]),
  }))
  const [[target, prediction], [, second]] = tiles as [Tile[], Tile[]]
  expect([target!.width, target!.height, prediction!.width]).toEqual([27, 9, 27])
  expect(coloursOf(target!).map(([grey]) => grey)).toEqual([255, 255, 255])
  expect(coloursOf(prediction!)).toEqual([[255, 255, 255], DIM, DIM])
  expect(coloursOf(second!)).toEqual([DIM, [0, 0, 0], [255, 255, 255]])
  // Other directions: the corners of the first patch are lit the other way.
  const corner = (tile: Tile, x: number) => tile.pixels[(1 * tile.width + x) * tile.channels]!
  expect([corner(target!, 1) > 0, corner(target!, 7) > 0]).not.toEqual([
    corner(prediction!, 1) > 0,
    corner(prediction!, 7) > 0,
  ])
})
