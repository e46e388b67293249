// Vectors of length 1 around a few centres, as features of classes lie.
import { draws } from '../../../src/random/draws.ts'
import { unitVectors, type Vectors } from '../../../src/search/vectors/unit-vectors.ts'

export function randomVectors(
  count: number,
  width: number,
  { centres = 10, spread = 0.5, seed = 1 } = {},
): Vectors & { readonly labels: Int32Array } {
  const random = draws({ seed, stream: 'test', epoch: 0, index: 0 })
  const middles = Float64Array.from({ length: centres * width }, () => random.normal())
  const labels = Int32Array.from({ length: count }, () => random.below(centres))
  const values = Float32Array.from(
    { length: count * width },
    (_, i) => middles[labels[Math.floor(i / width)]! * width + (i % width)]! + spread * random.normal(),
  )
  return { ...unitVectors({ count, width, values }), labels }
}

/** Vectors of two numbers at these angles, in degrees. */
export const circle = (...degrees: number[]): Vectors =>
  unitVectors({
    ...{ count: degrees.length, width: 2 },
    values: Float32Array.from(
      degrees.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
    ),
  })

export const cosine = (degrees: number): number => Math.cos((degrees * Math.PI) / 180)
