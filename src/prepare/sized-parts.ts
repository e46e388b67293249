/** A batch apart by the size of its images, since a tensor holds images of one size alone. */
import type { Field, Fields } from './fields.ts'
import { type ImagePixels, type Pixels, pickSamples } from './pixels.ts'
import { pixelsOf } from './upload.ts'
import { extentOf } from './view-spec.ts'

/** The images of one size. */
export interface SizedPart {
  /** Their places in the batch, ascending. */
  readonly rows: readonly number[]
  readonly samples: Pixels
}

/** Some rows of a batch, which are rows 0, 1, 2 … of the parts: one part, unless images have sizes of their own. All rows are not copied. */
export function partsOf(fields: Fields, rows: readonly number[], view = 'image'): SizedPart[] {
  const extents = fields[extentOf(view)]
  if (extents) return partsBySize(fields[view]!, extents, rows)
  const samples = pixelsOf(fields, view)
  const isWhole = rows.length === samples.shape[0]
  return [{ rows: [...rows.keys()], samples: isWhole ? samples : pickSamples(samples, rows) }]
}

/** In the order of the first image of each size. */
function partsBySize({ data, shape }: Field, extents: Field, rows: readonly number[]): SizedPart[] {
  const [, , most, C] = shape as readonly [number, number, number, number]
  const pixels = data as ImagePixels['pixels']
  const bySize = new Map<string, number[]>()
  const sizeOf = (row: number) => [...extents.data.subarray(2 * row, 2 * row + 2)] as [number, number]
  for (const [place, row] of rows.entries()) {
    const size = sizeOf(row).join()
    bySize.set(size, [...(bySize.get(size) ?? []), place])
  }
  return [...bySize.values()].map((places) => {
    const [H, W] = sizeOf(rows[places[0]!]!)
    const each = H * W * C
    const own = new (pixels.constructor as new (length: number) => typeof pixels)(places.length * each)
    for (const [to, place] of places.entries()) {
      const from = rows[place]! * most * C
      own.set(pixels.subarray(from, from + each), to * each)
    }
    return { rows: places, samples: { pixels: own, shape: [places.length, H, W, C] } }
  })
}

/** Arrays of numbers of each image, [rows, …], from those of each part. */
export async function joinedParts(
  parts: readonly SizedPart[],
  compute: (samples: Pixels) => readonly Float32Array[] | Promise<readonly Float32Array[]>,
): Promise<readonly Float32Array[]> {
  const [only] = parts
  if (parts.length === 1) return compute(only!.samples)
  const count = parts.reduce((sum, { rows }) => sum + rows.length, 0)
  const joined: Float32Array[] = []
  for (const { rows, samples } of parts)
    for (const [i, values] of (await compute(samples)).entries()) {
      const each = values.length / rows.length
      joined[i] ??= new Float32Array(count * each)
      for (const [from, to] of rows.entries())
        joined[i].set(values.subarray(from * each, (from + 1) * each), to * each)
    }
  return joined
}
