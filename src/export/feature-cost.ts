/** What an export keeps of the features of images: their direction, and which images are near. */

/** [count, width] by an exported file and by the model, in parts. */
export interface VectorPairs {
  readonly width: number
  readonly made: readonly Float32Array[]
  readonly right: readonly Float32Array[]
}

export interface FeatureCost {
  /** Between an image's two vectors. */
  readonly meanCosine: number
  readonly leastCosine: number
  /** The share of the ten images nearest to one that stay, in the mean; null if there are too few to choose from. */
  readonly overlap: number | null
}

export const NEIGHBOURS = 10

const joined = (parts: readonly Float32Array[]): Float32Array => {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Of corresponding rows. */
function cosines(a: Float32Array, b: Float32Array, width: number): number[] {
  const made: number[] = []
  for (let row = 0; row < a.length; row += width) {
    let [ab, aa, bb] = [0, 0, 0]
    for (let i = row; i < row + width; i++) {
      ab += a[i]! * b[i]!
      aa += a[i]! ** 2
      bb += b[i]! ** 2
    }
    made.push(ab / Math.sqrt(aa * bb))
  }
  return made
}

/** Smallest cosine between corresponding rows; NaN if one is. */
export const smallestCosine = (a: Float32Array, b: Float32Array, width: number): number =>
  cosines(a, b, width).reduce((least, x) => Math.min(least, x), 1)

/** The indices of the rows with the largest cosine to each, itself excluded; of equal ones the first. */
function nearest(x: Float32Array, width: number): Set<number>[] {
  const rows = Array.from({ length: x.length / width }, (_, n) => x.subarray(n * width, (n + 1) * width))
  return rows.map((row, n) => {
    const ranked = rows
      .map((other, m) => ({ m, cosine: m === n ? Number.NEGATIVE_INFINITY : cosines(row, other, width)[0]! }))
      .sort((a, b) => b.cosine - a.cosine || a.m - b.m)
    return new Set(ranked.slice(0, NEIGHBOURS).map(({ m }) => m))
  })
}

export function featureCost({ width, made: a, right: b }: VectorPairs): FeatureCost {
  const [made, right] = [joined(a), joined(b)]
  const own = cosines(made, right, width)
  const isEnough = own.length > 2 * NEIGHBOURS
  const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length
  const [before, after] = isEnough ? [nearest(right, width), nearest(made, width)] : [[], []]
  return {
    meanCosine: mean(own),
    leastCosine: own.reduce((least, x) => Math.min(least, x), 1),
    overlap: isEnough
      ? mean(before.map((near, n) => [...near].filter((m) => after[n]!.has(m)).length / NEIGHBOURS))
      : null,
  }
}
