/**
 * Relative positions of one side for another length as timm does (1.0.31, its `resize_rel_pos_bias_table` without SciPy; after BEiT, Bao et
 * al. 2022): the old offsets are spread over the new ones so that each lies further out by a growing step, near ones hardly moved, and
 * numbers are taken linearly between them.
 */

/** The least and largest growth of a step that are tried, and how near the search comes. */
const GROWTH = { least: 1.01, most: 1.5, within: 1e-6 } as const

/** Where the old offsets lie, −n … n steps of 1, q, q² …; `from` and `to` are numbers of offsets, which are odd. */
export function geometricOffsets(from: number, to: number): number[] {
  const [n, reach] = [Math.floor(from / 2), Math.floor(to / 2)]
  let { least: low, most: high }: { least: number; most: number } = GROWTH
  let growth = high
  while (high - low > GROWTH.within) {
    growth = (low + high) / 2
    const isFurther = (growth ** n - 1) / (growth - 1) > reach
    if (isFurther) high = growth
    else low = growth
  }
  let place = 0
  const out = Array.from({ length: n }, (_, i) => {
    place += growth ** i
    return place
  })
  return [...[...out].reverse().map((each) => -each), 0, ...out]
}

/** How much of each old offset is in each new one: [to, from], row by row. */
export function geometricWeights(from: number, to: number): Float64Array {
  const places = geometricOffsets(from, to)
  const weights = new Float64Array(to * from)
  const reach = Math.floor(to / 2)
  for (let i = 0; i < to; i++) {
    const at = Math.min(places.at(-1)!, Math.max(places[0]!, i - reach))
    const right = Math.max(
      1,
      places.findIndex((place) => place >= at),
    )
    if (from === 1) weights[i] = 1
    else {
      const [a, b] = [places[right - 1]!, places[right]!]
      weights[i * from + right] = (at - a) / (b - a)
      weights[i * from + right - 1] = (b - at) / (b - a)
    }
  }
  return weights
}
