/**
 * The land of one place, constant over its dates: fields, woods, lakes, rivers and villages, their texture and the height of
 * the ground. Drawn at four points per pixel, so that pixels at borders are mixed. `observe` makes images of it.
 */
import { type Draws, draws } from '../../random/draws.ts'
import { fractalNoise, gradientNoise } from '../noise.ts'
import { between, scaleBetween } from '../range.ts'
import { type CoverName, coverNames, type TownPart } from './covers.ts'
import { drawPatches, type Patches } from './patches.ts'

/** Uniform ground apart from texture: a field, a wood, a kind of roof. */
export interface Surface {
  readonly kind: CoverName | TownPart
  readonly label: number
  /** Delay of its calendar in days. */
  readonly late: number
  /** Greenness relative to usual, −1 to 1. */
  readonly vigour: number
  /** Reflectance relative to usual. */
  readonly brightness: number
}

export interface Landscape {
  /** Pixels per side. There are `2 * size` points per side. */
  readonly size: number
  readonly surfaces: readonly Surface[]
  /** Index of the surface at each point. */
  readonly surface: Uint16Array
  /** Texture of each point: greenness, −1 to 1. */
  readonly greener: Float32Array
  /** Texture of each point: logarithm of brightness. */
  readonly brighter: Float32Array
  /** Height of the ground at each pixel, in pixels. */
  readonly height: Float32Array
  /** Its soil: 0 loam, 1 sand. */
  readonly sand: number
  /** Upper left corner: metres east and north in UTM zone 32. */
  readonly corner: readonly [number, number]
}

/** Strength of the textures. */
const textures = {
  'bare-soil': { green: 0.5, bright: 0.07 },
  conifer: { green: 0.6, bright: 0.2 },
  deciduous: { green: 0.5, bright: 0.17 },
  grassland: { green: 0.5, bright: 0.06 },
  maize: { green: 0.35, bright: 0.05 },
  town: { green: 0.5, bright: 0.22 },
  water: { green: 0.6, bright: 0.04 },
  'winter-cereal': { green: 0.35, bright: 0.05 },
} satisfies Record<CoverName, { green: number; bright: number }>

const clip = (value: number) => Math.min(1, Math.max(-1, value))

const drawSurface = (draws: Draws, { kind, label }: Pick<Surface, 'kind' | 'label'>): Surface => ({
  kind,
  label,
  late: 6 * draws.normal(),
  vigour: clip(0.4 * draws.normal()),
  brightness: Math.exp(0.13 * draws.normal()),
})

const BLOCKS = 1024

/** The part of a town (street, roof, garden) at (x, y), in pixels. */
function drawTown(draws: Draws): (x: number, y: number) => TownPart {
  const angle = between(draws, 0, Math.PI)
  const block = between(draws, 6, 9)
  const lot = between(draws, 1.2, 2)
  const gardens = between(draws, 0.2, 0.45)
  const reds = between(draws, 0.2, 0.8)
  const table = draws.fill(new Float32Array(BLOCKS))
  return (x, y) => {
    const u = Math.cos(angle) * x + Math.sin(angle) * y
    const v = Math.cos(angle) * y - Math.sin(angle) * x
    if (Math.min(u - block * Math.floor(u / block), v - block * Math.floor(v / block)) < 0.7) return 'asphalt'
    const chosen = table[(Math.floor(u / lot) * 57 + Math.floor(v / lot) * 131) & (BLOCKS - 1)]!
    if (chosen < gardens) return 'garden'
    const roof = (chosen - gardens) / (1 - gardens)
    return roof < 0.15 ? 'asphalt' : (roof - 0.15) / 0.85 < reds ? 'redRoof' : 'greyRoof'
  }
}

/** A surface for every parcel of a crop, every natural cover and every part of the town. */
function drawSurfaces(
  draws: Draws,
  { patches: { labels, parcels }, size }: { patches: Patches; size: number },
): Pick<Landscape, 'surface' | 'surfaces'> {
  const townPart = drawTown(draws)
  const side = 2 * size
  const numbers = new Map<string, number>()
  const surfaces: Surface[] = []
  const surface = new Uint16Array(labels.length)
  for (let at = 0; at < labels.length; at++) {
    const label = labels[at]!
    const cover = coverNames[label]!
    const kind = cover === 'town' ? townPart((at % side) / 2, Math.floor(at / side) / 2) : cover
    const whole = cover === 'water' || cover === 'town' || cover === 'conifer' || cover === 'deciduous'
    const key = whole ? kind : `${kind} ${parcels[at]}`
    let number = numbers.get(key)
    if (number === undefined) {
      number = surfaces.push(drawSurface(draws, { kind, label })) - 1
      numbers.set(key, number)
    }
    surface[at] = number
  }
  return { surface, surfaces }
}

/** Texture of every point; fields are separated by darker lines (ditches, hedges). */
function drawTexture(
  draws: Draws,
  { labels, side, surface }: { labels: Uint8Array; side: number; surface: Uint16Array },
): Pick<Landscape, 'greener' | 'brighter'> {
  const noise = gradientNoise(draws)
  const growth = fractalNoise((x, y) => noise(x / 9, y / 9), { octaves: 4, gain: 0.6 })
  const grain = fractalNoise((x, y) => noise(x / 2.2 + 80, y / 2.2), { octaves: 2, gain: 0.7 })
  const greener = new Float32Array(side * side)
  const brighter = new Float32Array(side * side)
  for (let j = 0; j < side; j++)
    for (let i = 0; i < side; i++) {
      const at = j * side + i
      const { green, bright } = textures[coverNames[labels[at]!]!]
      greener[at] = clip(green * growth(i / 2, j / 2))
      brighter[at] = bright * (grain(i / 2, j / 2) + 0.6 * growth(i / 2 + 60, j / 2))
      const right = i + 1 < side ? at + 1 : at
      const below = j + 1 < side ? at + side : at
      const isLine = surface[at] !== surface[right] || surface[at] !== surface[below]
      if (isLine && labels[at] === labels[right] && labels[at] === labels[below])
        brighter[at] = brighter[at]! - (coverNames[labels[at]!] === 'town' ? 0 : 0.2)
    }
  return { greener, brighter }
}

function drawHeight(draws: Draws, size: number): Float32Array {
  const noise = gradientNoise(draws)
  const extent = between(draws, 25, 70)
  const relief = 0.6 * extent * scaleBetween(draws, 0.01, 0.16)
  const hills = fractalNoise((x, y) => noise(x / extent, y / extent), { octaves: 3, gain: 0.4 })
  return Float32Array.from(
    { length: size * size },
    (_, at) => relief * hills(at % size, Math.floor(at / size)),
  )
}

/** `dominant`: class of the place; `index`: its index in the class. */
export interface Place {
  readonly dominant: CoverName
  readonly seed: number
  readonly index: number
  readonly size: number
}

/** Epoch 0 is for the land, 1 for its calendar, 2 + k for its date k. */
export const placeDraws = ({ dominant, seed, index }: Place, epoch: number): Draws =>
  draws({ seed, stream: `sample-data/satellite/${dominant}`, epoch, index })

/** A pure function of the place, including its size. */
export function drawLandscape(place: Place): Landscape {
  const { dominant, size } = place
  const drawn = placeDraws(place, 0)
  const sand = drawn.uniform()
  // Between the Alps and the North Sea, on the raster of 20 m.
  const corner = [399_960 + 20 * drawn.below(15_000), 5_400_000 + 20 * drawn.below(15_000)] as const
  const patches = drawPatches(drawn, { dominant, size })
  const height = drawHeight(drawn, size)
  const { surface, surfaces } = drawSurfaces(drawn, { patches, size })
  const texture = drawTexture(drawn, { labels: patches.labels, side: 2 * size, surface })
  return { size, surfaces, surface, ...texture, height, sand, corner }
}

/** The majority label of each pixel's points: [size, size]. */
export function coverMap({ size, surface, surfaces }: Landscape): Uint8Array {
  const map = new Uint8Array(size * size)
  const counts = new Uint8Array(coverNames.length)
  for (let at = 0; at < map.length; at++) {
    const corner = 4 * size * Math.floor(at / size) + 2 * (at % size)
    counts.fill(0)
    for (const point of [corner, corner + 1, corner + 2 * size, corner + 2 * size + 1]) {
      const { label } = surfaces[surface[point]!]!
      counts[label] = counts[label]! + 1
    }
    map[at] = counts.indexOf(Math.max(...counts))
  }
  return map
}
