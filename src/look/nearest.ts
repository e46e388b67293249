/** Patches that are like a chosen one, by the cosine of their features. */

/** Of each row of `features` [rows, width] with `row`; 0 for a vector of zeros. */
export function similarities(features: Float32Array, width: number, row: number): Float64Array {
  const dot = (a: number, b: number) => {
    let sum = 0
    for (let i = 0; i < width; i++) sum += features[a * width + i]! * features[b * width + i]!
    return sum
  }
  const own = Math.sqrt(dot(row, row))
  return Float64Array.from({ length: features.length / width }, (_, other) => {
    const length = own * Math.sqrt(dot(other, other))
    return length > 0 ? dot(row, other) / length : 0
  })
}

export interface NearPatch {
  readonly place: number
  readonly similarity: number
}

/** The `count` most similar, most similar first, of equal ones the first; without the place `except`. */
export const nearestPlaces = (similarity: Float64Array, count: number, except: number | null): NearPatch[] =>
  [...similarity]
    .map((similarity, place) => ({ place, similarity }))
    .filter(({ place }) => place !== except)
    .sort((a, b) => b.similarity - a.similarity || a.place - b.place)
    .slice(0, count)
