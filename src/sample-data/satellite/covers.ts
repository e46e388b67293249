/**
 * Land covers and their reflectance on a day of the year: materials mixed by greenness. The reflectances are rounded typical
 * values, consistent to about ± 20 % with the USGS Spectral Library v7 (Kokaly et al. 2017), the ECOSTRESS library (Meerdink
 * et al. 2019) and the literature on Sentinel-2; no spectrum is copied. The calendars are roughly those of Central Europe.
 */
import { bands, type Spectrum } from './sentinel-bands.ts'

/** Reflectances; B2 B3 B4 B5 B6 B7 B8 B8A B11 B12. */
const materials = {
  wheat: [0.027, 0.062, 0.03, 0.088, 0.33, 0.445, 0.475, 0.49, 0.175, 0.08],
  maize: [0.03, 0.068, 0.034, 0.097, 0.295, 0.385, 0.415, 0.43, 0.205, 0.097],
  grass: [0.034, 0.073, 0.04, 0.11, 0.28, 0.35, 0.375, 0.39, 0.225, 0.12],
  needles: [0.018, 0.032, 0.021, 0.05, 0.145, 0.185, 0.205, 0.215, 0.095, 0.045],
  leaves: [0.021, 0.044, 0.024, 0.08, 0.285, 0.38, 0.405, 0.42, 0.185, 0.083],
  straw: [0.08, 0.115, 0.155, 0.185, 0.215, 0.24, 0.265, 0.28, 0.34, 0.235],
  bark: [0.038, 0.054, 0.066, 0.086, 0.12, 0.148, 0.17, 0.185, 0.205, 0.145],
  loam: [0.06, 0.085, 0.115, 0.135, 0.15, 0.165, 0.18, 0.195, 0.265, 0.235],
  sand: [0.1, 0.145, 0.19, 0.215, 0.235, 0.255, 0.275, 0.29, 0.375, 0.335],
  clearWater: [0.042, 0.034, 0.018, 0.014, 0.009, 0.008, 0.006, 0.005, 0.003, 0.002],
  muddyWater: [0.058, 0.078, 0.06, 0.05, 0.024, 0.024, 0.018, 0.016, 0.005, 0.003],
  redRoof: [0.06, 0.082, 0.15, 0.18, 0.2, 0.212, 0.222, 0.23, 0.275, 0.235],
  greyRoof: [0.125, 0.14, 0.152, 0.16, 0.166, 0.17, 0.176, 0.18, 0.2, 0.19],
  asphalt: [0.085, 0.095, 0.105, 0.112, 0.117, 0.121, 0.128, 0.131, 0.155, 0.15],
} as const satisfies Record<string, readonly number[]>

/** Shares of materials, clamped at 0 and normalised to sum to 1. `soil` is a mix of loam and sand. */
type Mix = Partial<Record<keyof typeof materials | 'soil', number>>

/** Logistic from 0 to 1 around the day `around`; `pace` in days. */
const rise = (day: number, around: number, pace: number) => 1 / (1 + Math.exp((around - day) / pace))
const fall = (day: number, around: number, pace: number) => 1 - rise(day, around, pace)

/** Greenness of crops and trees by day of the year, 0 to 1. */
const greenness = {
  // Tillers through the winter, shoots in April, ripens from the end of June; the next one is sown in October.
  cereal: (day: number) =>
    (0.26 + 0.66 * rise(day, 96, 8)) * fall(day, 176, 6) +
    0.1 * rise(day, 226, 8) * fall(day, 262, 6) +
    0.28 * rise(day, 312, 7),
  // Sown at the end of April, closed in July, harvested in September.
  maize: (day: number) => 0.04 + 0.9 * rise(day, 170, 7) * fall(day, 260, 5),
  // Cut in June, thin in a dry summer.
  grass: (day: number) =>
    0.48 +
    0.4 * rise(day, 98, 9) -
    0.3 * (day < 158 ? 0 : Math.exp((158 - day) / 16)) -
    0.12 * Math.exp(-(((day - 218) / 24) ** 2)) -
    0.3 * rise(day, 305, 12),
  leaves: (day: number) => rise(day, 118, 5) * fall(day, 296, 6),
}

interface State {
  readonly day: number
  /** Greenness relative to usual, −1 to 1; turbidity for water. */
  readonly vigour: number
}

const greener = (green: number, vigour: number) => Math.min(1, Math.max(0, green * (1 + 0.3 * vigour)))

const garden = ({ day, vigour }: State): Mix => {
  const green = greener(greenness.grass(day), vigour)
  const leaves = greener(greenness.leaves(day), vigour)
  return {
    grass: 0.6 * green,
    soil: 0.4 * (1 - green),
    straw: 0.2 * (1 - green),
    leaves: 0.4 * leaves,
    bark: 0.4 * (1 - leaves),
  }
}

const covers = {
  'bare-soil': ({ vigour }: State): Mix => ({ soil: 0.95, grass: 0.04 * (1 + vigour) }),
  conifer: ({ vigour }: State): Mix => ({
    needles: 0.92 * (1 + 0.05 * vigour),
    bark: 0.05,
    grass: 0.03 * (1 + vigour),
  }),
  deciduous: ({ day, vigour }: State): Mix => {
    const green = 0.95 * greener(greenness.leaves(day), 0.4 * vigour)
    const turning = 0.35 * Math.exp(-(((day - 288) / 9) ** 2)) // autumn leaves
    return {
      leaves: green * (1 - turning),
      straw: green * turning,
      bark: 0.9 * (1 - green),
      grass: 0.1 * (1 - green),
    }
  },
  grassland: ({ day, vigour }: State): Mix => {
    const green = greener(greenness.grass(day), vigour)
    return { grass: green, straw: 0.55 * (1 - green), soil: 0.45 * (1 - green) }
  },
  maize: ({ day, vigour }: State): Mix => {
    const green = greener(greenness.maize(day), vigour)
    const stubble = 0.3 * fall(day, 106, 5) + 0.65 * rise(day, 256, 4) * (1 - 0.55 * rise(day, 272, 4))
    return { maize: green, straw: stubble * (1 - green), soil: (1 - stubble) * (1 - green) }
  },
  town: (state: State): Mix => ({ ...garden(state), redRoof: 0.9, greyRoof: 0.9, asphalt: 1.1 }),
  water: ({ vigour }: State): Mix => ({ clearWater: 0.65 - 0.3 * vigour, muddyWater: 0.35 + 0.3 * vigour }),
  'winter-cereal': ({ day, vigour }: State): Mix => {
    const green = greener(greenness.cereal(day), vigour)
    // Ripe from the end of June, half of it left as stubble after the harvest, ploughed in September.
    const dry = 0.95 * rise(day, 176, 6) * (1 - 0.5 * rise(day, 206, 4)) * fall(day, 262, 6)
    return { wheat: green, straw: dry * (1 - green), soil: (1 - dry) * (1 - green) }
  },
} satisfies Record<string, (state: State) => Mix>

const townParts = {
  redRoof: (): Mix => ({ redRoof: 1 }),
  greyRoof: (): Mix => ({ greyRoof: 1 }),
  asphalt: (): Mix => ({ asphalt: 1 }),
  garden,
} satisfies Record<string, (state: State) => Mix>

export type CoverName = keyof typeof covers
export type TownPart = keyof typeof townParts

/** The classes, in the order of their labels and of the values in masks. */
export const coverNames = Object.keys(covers) as CoverName[]

const mixes: Record<CoverName | TownPart, (state: State) => Mix> = { ...covers, ...townParts }

export interface Moment {
  /** Day of the year, from 1. */
  readonly day: number
  readonly vigour?: number
  /** Soil: 0 dry, 1 wet (darker, most in the short-wave infrared). */
  readonly wetness?: number
  /** Soil: 0 loam, 1 sand. */
  readonly sand?: number
}

/** The reflectance of pure cover on a day, before shade, atmosphere and noise. */
export function reflectanceOf(
  cover: CoverName | TownPart,
  { day, vigour = 0, wetness = 0, sand = 0.5 }: Moment,
): Spectrum {
  const mix = Object.entries(mixes[cover]({ day, vigour })) as [keyof Mix, number][]
  const whole = mix.reduce((sum, [, share]) => sum + Math.max(0, share), 0)
  const spectrum = new Float64Array(bands.length)
  for (const [material, share] of mix) {
    const part = Math.max(0, share) / whole
    for (let b = 0; b < bands.length; b++) {
      const dry =
        material === 'soil'
          ? materials.loam[b]! + sand * (materials.sand[b]! - materials.loam[b]!)
          : materials[material][b]!
      const dark = material === 'soil' ? wetness * (bands[b]!.wavelength > 1000 ? 0.45 : 0.32) : 0
      spectrum[b] = spectrum[b]! + part * dry * (1 - dark)
    }
  }
  return spectrum
}
