/** How pictures draw what is no image: columns of tiles by kind, patch by patch. Where nothing was predicted, the image is in dim grey. */
import type { Showing, ShownOf } from '../target/showing.ts'
import { call } from '../tensor/call.ts'
import { div, expand, max, mul, reshape, sum, toDevice, toDtype } from '../tensor/ops.ts'
import { item, type Tensor, toFloats } from '../tensor/tensor.ts'
import type { Grid } from '../token/grid.ts'
import { componentColours, inComponents, principalComponents } from './components.ts'
import { glyphTile, strokesOf } from './glyphs.ts'
import { heatColour, paintedPatches, scaled } from './painted.ts'
import type { Tile } from './tile.ts'
import type { Colour, Column, GridPicture } from './tile-grid-layout.ts'

/** The samples of a picture. */
export interface Scene {
  readonly grid: Grid
  readonly channels: number
  /** T */
  readonly frames: number
  /** [B, N] 1 for tokens that something is said of, on the CPU. */
  readonly predicted: Tensor
  /** [B · T · L] 1 for places that something is said of in a group of bands. */
  readonly isPredicted: ArrayLike<number>
}

/** Columns and what is said under all. */
export interface ShownColumns {
  readonly columns: readonly Column[]
  /** Of a date (b · T + t), whose image is given: a tile for each column. */
  readonly tiles: (date: number, image: Tile) => readonly Tile[]
  readonly legend?: NonNullable<GridPicture['legend']>
  readonly footer?: string
  /** Of predicted tokens, the greatest of a place, and the mean. */
  readonly errors?: { readonly most: number; readonly mean: number }
}

type Drawer<K extends Showing['kind']> = (shown: ShownOf<K>, scene: Scene) => ShownColumns

const onCpu = (x: Tensor) => toDevice(toDtype(x, 'float32'), 'cpu')
const significant = (value: number) => String(Number(value.toPrecision(3)))
const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u00a0%`
const placesOf = ({ grid }: Pick<Scene, 'grid'>) => grid.h * grid.w

/** Colours [B · T · L, 3] of places; null: of none that nothing is said of. */
const colouring =
  (colours: Uint8Array, scene: Scene, where: 'everywhere' | 'predicted') => (date: number, image: Tile) =>
    paintedPatches(image, scene.grid, (place) => {
      const at = date * placesOf(scene) + place
      return where === 'everywhere' || scene.isPredicted[at] === 1
        ? [...colours.subarray(3 * at, 3 * at + 3)]
        : null
    })

const errors: Drawer<'errors'> = ({ errors }, scene) => {
  const [B] = scene.predicted.shape as readonly [number, number]
  const byGroup = (x: Tensor) => reshape(x, [B, -1, scene.frames * placesOf(scene)])
  const mask = byGroup(scene.predicted)
  const wrong = mul(byGroup(onCpu(errors)), mask)
  const over = (x: Tensor) => call('sum.dim_IntList', x, [1], false, null)
  const ofPlaces = div(over(wrong), over(mask)) // NaN where nothing is said
  const values = toFloats(ofPlaces)
  const most = item(max(call('nan_to_num', ofPlaces, 0, null, null)))
  const mean = item(div(sum(wrong), sum(mask)))
  return {
    columns: [
      { title: 'error', subtitle: 'of what is\u00a0predicted', note: `mean\u00a0${significant(mean)}` },
    ],
    tiles: (date, image) => [
      paintedPatches(image, scene.grid, (place) => {
        const error = values[date * placesOf(scene) + place]!
        return Number.isNaN(error) ? null : heatColour(most > 0 ? error / most : 0)
      }),
    ],
    legend: [0, 0.25, 0.5, 0.75, 1].map((share) => ({
      name: significant(share * most),
      colour: heatColour(share) as Colour,
    })),
    errors: { most, mean },
  }
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

/** Mean cosine of the rows where something is said. */
function meanCosine(wanted: Float32Array, said: Float32Array, width: number, scene: Scene): number {
  let [total, count] = [0, 0]
  for (let row = 0; row * width < wanted.length; row++) {
    if (scene.isPredicted[row] !== 1) continue
    const [a, b] = [wanted, said].map((x) => x.subarray(row * width, (row + 1) * width)) as [
      Float32Array,
      Float32Array,
    ]
    total += dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1)
    count++
  }
  return total / count
}

const features: Drawer<'features'> = (shown, scene) => {
  const width = shown.wanted.shape[2]!
  const [wanted, said] = [toFloats(onCpu(shown.wanted)), toFloats(onCpu(shown.said))]
  const components = principalComponents(wanted, width)
  const target = colouring(componentColours(components), scene, 'everywhere')
  const prediction = colouring(
    componentColours(inComponents(said, components), components),
    scene,
    'predicted',
  )
  const all = components.explained.reduce((a, b) => a + b, 0)
  return {
    columns: [
      { title: 'target', subtitle: 'features as\u00a0colours' },
      {
        title: 'prediction',
        subtitle: 'in the same\u00a0colours',
        note: `cosine\u00a0${significant(meanCosine(wanted, said, width, scene))}`,
      },
    ],
    tiles: (date, image) => [target(date, image), prediction(date, image)],
    footer: `Red, green, blue: the first three principal components of the target's features in all images, which explain ${percent(all)} of their variance; the prediction is drawn in them.`,
  }
}

/** Side of a cell, so that strokes can be distinguished. */
const LEAST_CELL = 9

const gradients: Drawer<'gradients'> = ({ wanted, said, bins, cells }, scene) => {
  const { grid } = scene
  const each = wanted.shape[2]! * placesOf(scene)
  const shape = {
    ...{ grid: [grid.h, grid.w] as const, cells, bins },
    channels: wanted.shape[2]! / (bins * cells[0] * cells[1]),
  }
  const values = [wanted, said].map((x) => toFloats(onCpu(x)))
  const strokes = (which: 0 | 1, date: number, image: Tile) => {
    const own = strokesOf(values[which]!.subarray(date * each, (date + 1) * each), shape)
    const side = Math.max(LEAST_CELL, Math.ceil(image.height / (grid.h * cells[0])))
    return glyphTile(own, shape, side)
  }
  return {
    columns: [
      { title: 'target', subtitle: 'gradients as\u00a0strokes' },
      { title: 'prediction', subtitle: 'of hidden\u00a0patches' },
    ],
    tiles(date, image) {
      const [target, prediction] = [strokes(0, date, image), strokes(1, date, image)]
      const { width, height } = prediction
      const drawn = paintedPatches(scaled(image, width, height), grid, (place) =>
        scene.isPredicted[date * placesOf(scene) + place] === 1 ? [0, 0, 0] : null,
      )
      const pixels = drawn.pixels.map((value, i) => {
        const [y, x] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width]
        const place = Math.floor((y * grid.h) / height) * grid.w + Math.floor((x * grid.w) / width)
        const isSaid = scene.isPredicted[date * placesOf(scene) + place] === 1
        return isSaid ? prediction.pixels[Math.floor(i / 3)]! : value
      })
      return [target, { ...drawn, pixels }]
    },
    footer:
      'Strokes lie along edges; each cell is of length one, so that a faint edge looks as a strong one.',
  }
}

/** Far apart for codes that follow each other: steps of the golden ratio around the circle of hues. */
export function codeColour(code: number): Colour {
  const hue = (code * 0.618034) % 1
  const light = 0.45 + 0.15 * (Math.floor(code * 0.618034) % 3)
  const part = (turn: number) => {
    const k = (turn + hue * 12) % 12
    return Math.round(
      255 * (light - 0.7 * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1))),
    )
  }
  return [part(0), part(8), part(4)]
}

const codes: Drawer<'codes'> = ({ wanted, said }, scene) => {
  const heads = wanted.shape[2]!
  const first = (x: Tensor) => {
    const all = toFloats(onCpu(x))
    return Float32Array.from({ length: all.length / heads }, (_, at) => all[at * heads]!)
  }
  const named = first(wanted)
  const coloursOf = (of: Float32Array) => Uint8Array.from([...of].flatMap((code) => [...codeColour(code)]))
  const target = colouring(coloursOf(named), scene, 'everywhere')
  const used = new Set(named).size
  const targetColumn = { title: 'codes', subtitle: `a colour for each, ${used}\u00a0in use` }
  if (!said) return { columns: [targetColumn], tiles: (date, image) => [target(date, image)] }
  const guessed = first(said)
  const prediction = colouring(coloursOf(guessed), scene, 'predicted')
  const asked = [...guessed.keys()].filter((at) => scene.isPredicted[at] === 1)
  const right = asked.filter((at) => guessed[at] === named[at]).length / asked.length
  return {
    columns: [
      targetColumn,
      { title: 'prediction', subtitle: 'the likeliest\u00a0code', note: `right\u00a0${percent(right)}` },
    ],
    tiles: (date, image) => [target(date, image), prediction(date, image)],
  }
}

type Other = Exclude<Showing['kind'], 'pixels'>

const drawers: { readonly [K in Other]: Drawer<K> } = { features, gradients, codes, errors }

/** Called inside a scope. */
export const shownColumns = (shown: ShownOf<Other>, scene: Scene): ShownColumns =>
  (drawers[shown.kind] as Drawer<Other>)(shown, scene)

/** Places of all groups: 1 where one of them is said something of. */
export function predictedPlaces(
  predicted: Tensor,
  { grid, frames }: Pick<Scene, 'grid' | 'frames'>,
): Float32Array {
  const [B] = predicted.shape as readonly [number, number]
  const byGroup = reshape(predicted, [B, -1, frames * grid.h * grid.w])
  return toFloats(expand(call('amax', byGroup, [1], false), [B, frames * grid.h * grid.w]))
}
