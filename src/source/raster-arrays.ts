/** Files with an axis of samples or of dates → samples: `.npy` and `.npz` files that are whole by themselves. */
import { SherdError } from '../errors.ts'
import type { RasterContent, Size } from './raster-file.ts'
import type { RasterFrame } from './raster-folder.ts'
import type { ProbedFile } from './raster-probe.ts'
import { placesOf } from './raster-scenes.ts'

export interface ArraySample extends Size {
  readonly name: string
  readonly frames: readonly RasterFrame[]
}

/** Whether a file holds more than one scene. */
export const isArray = ({ content, layers }: ProbedFile): boolean =>
  content !== null && (content.items !== null || layers.some(({ frames }) => frames !== null))

/** `frames`: 1 makes a sample of each date. */
export function samplesOfArray(
  file: ProbedFile & { content: RasterContent },
  { bands, frames }: { bands: readonly string[]; frames: number },
): ArraySample[] {
  const name = file.path.file
  const { content } = file
  const { places, held } = placesOf([file], { name, bands })
  const one = held.reduce((best, each) => (each.layer.width > best.layer.width ? each : best))
  const { width, height, frames: dates } = one.layer
  for (const { layer } of held) {
    if (layer.frames !== dates)
      throw new SherdError(
        'SOURCE',
        `The bands of ${name} have different numbers of dates: ${one.layer.name} has ${dates ?? 'no axis of them'}, ${layer.name} has ${layer.frames ?? 'none'}.`,
      )
    if (width % layer.width !== 0 || height % layer.height !== 0)
      throw new SherdError(
        'SOURCE',
        `The bands of ${name} do not lie on each other: ${one.layer.name} has ${width} x ${height} pixels, no whole multiple of the ${layer.width} x ${layer.height} of ${layer.name}.`,
      )
  }
  const samples: ArraySample[] = []
  for (let item = 0; item < (content.items ?? 1); item++) {
    const all = Array.from({ length: dates ?? 1 }, (_, frame): RasterFrame & { frame: number } => ({
      frame,
      time: content.timeOf(item, frame) ?? file.path.time,
      bands: places.map((place) => ({
        ...place,
        ...(content.items === null ? {} : { item }),
        ...(dates === null ? {} : { frame }),
      })),
    }))
    const ascending = inTime(all, name)
    const itemName = content.items === null ? name : `${name}#${item}`
    const withoutNumber = ({ time, bands: there }: RasterFrame): RasterFrame => ({ time, bands: there })
    if (frames > 1) samples.push({ name: itemName, frames: ascending.map(withoutNumber), width, height })
    else
      for (const { frame, ...rest } of all)
        samples.push({
          name: dates === null ? itemName : `${itemName}#${frame}`,
          frames: [withoutNumber(rest)],
          ...{ width, height },
        })
  }
  return samples
}

/** Frames without dates stay in the order of their axis. */
function inTime<T extends RasterFrame & { frame: number }>(frames: readonly T[], name: string): T[] {
  const dated = frames.filter(({ time }) => time !== null)
  if (dated.length < frames.length || new Set(dated.map(({ time }) => time)).size === 1) return [...frames]
  const sorted = dated.toSorted((a, b) => a.time! - b.time!)
  const twice = sorted.findIndex(({ time }, i) => i > 0 && time === sorted[i - 1]!.time)
  if (twice > 0)
    throw new SherdError(
      'SOURCE',
      `${name} has the date ${new Date(sorted[twice]!.time!).toISOString()} twice: at ${sorted[twice - 1]!.frame} and at ${sorted[twice]!.frame} of its dates.`,
    )
  return sorted
}
