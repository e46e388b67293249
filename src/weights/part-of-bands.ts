/** The part of a model with groups of bands that some of its bands can use. */
import { bandGroupsOf, bandsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { canonicalBand } from '../source/raster/band-names.ts'

export interface Part {
  /** Complete groups. */
  readonly groups: readonly number[]
  /** Their bands, and the channels of these. */
  readonly bands: readonly string[]
  readonly channels: readonly number[]
}

/** Throws `USAGE` if there is none, or for an unknown band. */
export function partOf(config: Config, bands: readonly string[]): Part {
  const known = bandsOf(config) ?? []
  const groups = bandGroupsOf(config)
  const there = new Set(bands.map(canonicalBand))
  const unknown = bands.find((band) => !known.some((each) => canonicalBand(each) === canonicalBand(band)))
  if (unknown !== undefined || !groups)
    throw new SherdError(
      'USAGE',
      groups
        ? `The model knows no band "${unknown}": it has ${known.join(', ')}.`
        : 'Only a model with groups of bands can do with some of them; this one needs all of its channels.',
    )
  const whole = groups.flatMap((group, g) =>
    group.every((band) => there.has(canonicalBand(band))) ? [g] : [],
  )
  if (whole.length === 0)
    throw new SherdError(
      'USAGE',
      `No group of the model has all of its bands among ${bands.join(', ')}: its groups are ${groups.map((group) => group.join('+')).join(', ')}.`,
    )
  const channels = whole
    .flatMap((g) => groups[g]!)
    .map((band) => known.findIndex((each) => canonicalBand(each) === canonicalBand(band)))
  return { groups: whole, channels, bands: channels.map((channel) => known[channel]!) }
}
