/** Samples from `.npy` and `.npz` files with an axis of samples or dates. */
import { SherdError } from '../../errors.ts'
import type { Size } from '../box.ts'
import type { RasterContent, RasterFrame } from './raster-file.ts'
import type { ProbedFile } from './raster-probe.ts'
import { placesOf } from './raster-scenes.ts'

export interface ArraySample extends Size {
  readonly name: string
  readonly frames: readonly RasterFrame[]
}

/** Bounds what a small compressed file can claim. */
const MOST_SAMPLES = 1_000_000

export const isArray = ({ content, layers }: ProbedFile): boolean =>
  content !== null && (content.items !== null || layers.some(({ frames }) => frames !== null))

/** `frames`: with 1 each date is a sample. */
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
  const count = (content.items ?? 1) * (dates ?? 1)
  if (count > MOST_SAMPLES)
    throw new SherdError(
      'SOURCE',
      `${name} holds ${count} images of ${width} x ${height} pixels, and at most ${MOST_SAMPLES} of one file are read. Save them in several files.`,
    )
  const samples: ArraySample[] = []
  for (let item = 0; item < (content.items ?? 1); item++) {
    const all = Array.from(
      { length: dates ?? 1 },
      (_, frame): RasterFrame => ({
        time: content.timeOf(item, frame) ?? file.path.time,
        bands: places,
        ...(content.items === null ? {} : { item }),
        ...(dates === null ? {} : { frame }),
      }),
    )
    const ascending = inTime(all, name)
    const itemName = content.items === null ? name : `${name}#${item}`
    if (frames > 1) samples.push({ name: itemName, frames: ascending, width, height })
    else
      for (const frame of all)
        samples.push({
          name: dates === null ? itemName : `${itemName}#${frame.frame}`,
          frames: [frame],
          ...{ width, height },
        })
  }
  return samples
}

/** Sorts by date; frames without dates keep their order. */
function inTime(frames: readonly RasterFrame[], name: string): RasterFrame[] {
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
