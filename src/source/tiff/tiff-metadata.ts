/** Metadata of bands in the tag GDAL_METADATA, XML with `<Item name= sample= role=>` elements. */

export interface BandMetadata {
  /** By band, from 0. */
  readonly descriptions: ReadonlyMap<number, string>
  /** Lower case; without undefined ones. */
  readonly colours: ReadonlyMap<number, string>
  /** To physical units: value · scale + offset. */
  readonly scales: ReadonlyMap<number, number>
  readonly offsets: ReadonlyMap<number, number>
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
/** Descriptions without information. */
const NUMBERED = /^(?:band|layer|channel)?[ _]?\d*$/i
const COLOURLESS = new Set(['undefined', 'gray', 'grey', 'alpha', 'palette'])

const plain = (text: string): string =>
  text.replaceAll(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => ENTITIES[name]!).trim()

export function bandMetadata(xml: string): BandMetadata {
  const descriptions = new Map<number, string>()
  const colours = new Map<number, string>()
  const numbers = { scale: new Map<number, number>(), offset: new Map<number, number>() }
  for (const [, attributes, inner] of xml.matchAll(/<Item\b([^<>]{0,300})>([^<]{0,300})<\/Item>/g)) {
    const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes!)?.[1]
    const sample = Number(attribute('sample') ?? Number.NaN)
    const text = plain(inner!)
    if (!Number.isSafeInteger(sample)) continue
    const role = attribute('role')
    if ((role === 'scale' || role === 'offset') && Number.isFinite(Number.parseFloat(text)))
      numbers[role].set(sample, Number.parseFloat(text))
    if (role === 'description' && !NUMBERED.test(text)) descriptions.set(sample, text)
    if (role === 'colorinterp' && !COLOURLESS.has(text.toLowerCase())) colours.set(sample, text.toLowerCase())
  }
  return { descriptions, colours, scales: numbers.scale, offsets: numbers.offset }
}
