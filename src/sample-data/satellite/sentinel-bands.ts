/** Sentinel-2's bands of the ground, without the three atmospheric ones. */

export interface Band {
  /** In band descriptions. */
  readonly name: string
  /** In file names. */
  readonly code: string
  /** Centre, in nanometres. */
  readonly wavelength: number
  /** Metres per pixel. */
  readonly metres: 10 | 20
}

/** In the order of the channels. */
export const bands = [
  { name: 'B2', code: 'B02', wavelength: 490, metres: 10 },
  { name: 'B3', code: 'B03', wavelength: 560, metres: 10 },
  { name: 'B4', code: 'B04', wavelength: 665, metres: 10 },
  { name: 'B5', code: 'B05', wavelength: 705, metres: 20 },
  { name: 'B6', code: 'B06', wavelength: 740, metres: 20 },
  { name: 'B7', code: 'B07', wavelength: 783, metres: 20 },
  { name: 'B8', code: 'B08', wavelength: 842, metres: 10 },
  { name: 'B8A', code: 'B8A', wavelength: 865, metres: 20 },
  { name: 'B11', code: 'B11', wavelength: 1610, metres: 20 },
  { name: 'B12', code: 'B12', wavelength: 2190, metres: 20 },
] as const satisfies readonly Band[]

/** A value for each of `bands`. */
export type Spectrum = Float64Array
