/** Patches that are like a chosen one, by the cosine of their features. Runs in browsers. */

/** Of each row of `features` [rows, D] with a vector [D]; 0 for a vector of zeros. */
export function similarities(features: Float32Array, vector: Float32Array): Float64Array {
  const width = vector.length
  let own = 0
  for (const value of vector) own += value * value
  const made = new Float64Array(features.length / width)
  for (let row = 0, at = 0; row < made.length; row++) {
    let [product, square] = [0, 0]
    for (let i = 0; i < width; i++, at++) {
      const value = features[at]!
      product += value * vector[i]!
      square += value * value
    }
    const length = Math.sqrt(own) * Math.sqrt(square)
    made[row] = length > 0 ? product / length : 0
  }
  return made
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
