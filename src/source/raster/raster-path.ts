/** Series, date and band from the path of a raster file, by the user's pattern or by common naming. */
import { messageOf, SherdError } from '../../errors.ts'
import { bandInName, withoutSpan } from './band-names.ts'
import { compilePattern, type Given, type PathPattern, patternKind } from './path-pattern.ts'
import { dateForms, datesIn, parseDate } from './raster-dates.ts'

export interface PathFacts {
  readonly file: string
  /** As in the path; null if absent. */
  readonly band: string | null
  /** Whether it is from the pattern. */
  readonly isBandGiven: boolean
  readonly time: number | null
  /** Keys of series and scene if the file holds one band, and if it holds several. */
  readonly single: Keys
  readonly several: Keys
}

export interface Keys {
  readonly series: string
  readonly scene: string
  /** The path without the band: the scene's name if it has several files. */
  readonly name: string
}

export type PathReader = (file: string) => PathFacts | null

const GROUPS = ['series', 'date', 'band'] as const

/** The reader returns null for files that do not match `pattern`. */
export function pathReader(pattern: string | null, wanted: readonly string[]): PathReader {
  const matched = pattern === null ? null : compile(pattern)
  return (file) => {
    const stem = file.replace(/\.[^./]*$/, '')
    const given = matched?.(file)
    if (given === null) return null
    const [series, date, band] = GROUPS.map((name) => given?.(name) ?? null) as Named
    const inName = band ? null : bandInName(stem, wanted)
    const withoutBand = band
      ? withoutSpan(stem, band.from, Math.min(stem.length, band.to))
      : (inName?.rest ?? stem)
    const time = date ? dateOf(file, date.text) : (datesIn(lastPart(stem))[0]?.time ?? null)
    const keys = (name: string): Keys => {
      const inSeries = series?.text ?? withoutDates(name, date?.text ?? null)
      // With a date, other differences between the names of a scene's files do not matter.
      return {
        name,
        series: inSeries,
        scene: time === null ? `${inSeries}\n${name}` : `${inSeries}\n${time}`,
      }
    }
    return {
      file,
      band: band?.text ?? inName?.band ?? null,
      isBandGiven: band !== null,
      time,
      single: keys(withoutBand),
      several: keys(band ? withoutBand : stem),
    }
  }
}

type Named = [series: Given | null, date: Given | null, band: Given | null]

function compile(pattern: string): PathPattern {
  try {
    return compilePattern(pattern)
  } catch (error) {
    throw new SherdError(
      'SOURCE',
      `The pattern ${JSON.stringify(pattern)} is no regular expression: ${messageOf(error)}. Expected ${patternKind}. It may have groups such as (?<series>…), (?<date>…) and (?<band>…).`,
      { cause: error },
    )
  }
}

const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

function dateOf(file: string, text: string): number {
  const time = parseDate(text)
  if (time === null)
    throw new SherdError(
      'SOURCE',
      `${file} has the date ${JSON.stringify(text)}, which cannot be read: ${dateForms} can. Change the pattern.`,
    )
  return time
}

/** Removes the pattern's date and all dates in the base name, since products also carry their processing date. */
function withoutDates(path: string, given: string | null): string {
  const at = given === null ? -1 : path.lastIndexOf(given)
  const rest = at < 0 ? path : withoutSpan(path, at, at + given!.length)
  const base = rest.lastIndexOf('/') + 1
  let name = rest.slice(base)
  for (const { from, to } of datesIn(name).toReversed()) name = withoutSpan(name, from, to)
  return rest.slice(0, base) + name
}
