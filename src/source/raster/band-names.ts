/**
 * Names of bands: their canonical form, and the band in the name of a file, as in Sentinel-2 (`…_B02_10m.tif`), Landsat (`…_SR_B4.TIF`)
 * and Sentinel-1 (`…_VV.tif`) with one file per band.
 */

/** Lower case, no leading zeros, nothing after a comma. */
export function canonicalBand(name: string): string {
  return name
    .split(/[,;(]/, 1)[0]!
    .trim()
    .toLowerCase()
    .replaceAll(/(?<!\d)0+(?=\d)/g, '')
}

/** Red, green and blue in Sentinel-2's names. */
const rgbBands: readonly string[] = ['b4', 'b3', 'b2']

/** Canonical names of a model's channels: its bands, or red, green and blue. */
export function channelNames(bands: readonly string[] | null, channels: number): readonly string[] {
  if (bands) return bands.map(canonicalBand)
  return channels === rgbBands.length ? rgbBands : Array.from({ length: channels }, (_, c) => `channel ${c}`)
}

/** Bands that are recognised in file names without being requested. */
const KNOWN =
  /^(?:b\d{1,2}a?|vv|vh|hh|hv|scl|aot|wvp|tci|pvi|cld|snw|cldprb|snwprb|qa_pixel|qa_radsat|sr_qa_aerosol|[st]?_?qa)$/
/** Landsat's prefixes of surface reflectance and temperature. */
const LANDSAT = /^s[rt]_(?=b\d{1,2}$)/i
const RESOLUTION = /^\d{1,4}m$/i

export interface BandInName {
  readonly band: string
  /** The path without band and resolution, which all files of a scene share. */
  readonly rest: string
}

interface Token {
  readonly text: string
  readonly from: number
  readonly to: number
}

/** The last band in a path's base name, or null. `path` has no extension; `wanted` are names that count besides the usual ones. */
export function bandInName(path: string, wanted: readonly string[]): BandInName | null {
  const base = path.lastIndexOf('/') + 1
  const tokens: Token[] = [...path.slice(base).matchAll(/[^_\-. ]+/g)].map(({ 0: text, index }) => ({
    ...{ text, from: base + index, to: base + index + text.length },
  }))
  const names = new Set(wanted.map(canonicalBand))
  const longest = Math.max(3, ...wanted.map((name) => name.split(/[_\-. ]/).length))
  for (let last = tokens.length - 1; last >= 0; last--)
    for (let first = Math.max(0, last - longest + 1); first <= last; first++) {
      const [from, to] = [tokens[first]!.from, tokens[last]!.to]
      const whole = path.slice(from, to)
      const band = names.has(canonicalBand(whole)) ? whole : whole.replace(LANDSAT, '')
      const canonical = canonicalBand(band)
      if (!names.has(canonical) && !KNOWN.test(canonical)) continue
      const beside = tokens[last + 1]
      const end = beside && RESOLUTION.test(beside.text) ? beside.to : to
      // Sentinel-2 sorts its bands into R10m, R20m and R60m.
      const folder = path.slice(0, base).replace(/(^|\/)R\d0m\/$/, '$1')
      return { band, rest: folder + withoutSpan(path.slice(base), from - base, end - base) }
    }
  return null
}

/** Removes a span, and the separator that is then doubled or at an end. */
export function withoutSpan(text: string, from: number, to: number): string {
  const before = text.slice(0, from)
  const after = text.slice(to)
  if (/(?:^|[_\-. /])$/.test(before) && /^[_\-. ]/.test(after)) return before + after.slice(1)
  return after === '' ? before.replace(/[_\-. ]$/, '') : before + after
}
