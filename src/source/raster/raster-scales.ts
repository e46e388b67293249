/** Checks that the files of a folder agree on the scale and offset of each band. */
import { canonicalBand } from './band-names.ts'
import type { ProbedFile } from './raster-probe.ts'

interface Seen {
  readonly file: string
  readonly text: string
}

/** A note for each band whose files differ. */
export function scaleNotes(
  files: readonly ProbedFile[],
  { bands, applyScale }: { readonly bands: readonly string[]; readonly applyScale: boolean },
): string[] {
  if (applyScale) return []
  const first = new Map<string, Seen>()
  const differing = new Map<string, readonly [Seen, Seen]>()
  for (const { layers, path } of files)
    for (const { name, scale = 1, offset = 0 } of layers) {
      const band = canonicalBand(name)
      const seen = { file: path.file, text: `scale ${scale} and offset ${offset}` }
      const before = first.get(band)
      if (!before) first.set(band, seen)
      else if (before.text !== seen.text && !differing.has(band)) differing.set(band, [before, seen])
    }
  const mixed = bands.filter((band) => differing.has(canonicalBand(band)))
  if (mixed.length === 0) return []
  const [one, other] = differing.get(canonicalBand(mixed[0]!))!
  return [
    `The files differ in what their values mean: ${mixed.join(', ')} ${mixed.length === 1 ? 'has' : 'have'} another scale or offset in some of them ` +
      `(${mixed[0]}: ${one.file} has ${one.text}, ${other.file} ${other.text}), and they are mixed as they are. Set data.applyScale=true to bring them to one unit.`,
  ]
}
