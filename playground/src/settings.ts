/** What a visitor has set, and the address that says so: `#design=random&ratio=75&seed=3`. The image is never part of it. */
import { isSeed } from '../../src/random/draws.ts'
import { type DesignName, designNames, isPainted } from './mask-designs.ts'

/** Of what a hidden patch's brightness and contrast come from, for models of normalised targets. */
export type Statistics = 'neighbours' | 'true'

export interface Settings {
  readonly design: DesignName
  /** Per cent of the patches, 0 to 95. */
  readonly percent: number
  readonly seed: number
  readonly statistics: Statistics
  /** Painted patches, ascending. */
  readonly marks: readonly number[]
}

export const MOST_PERCENT = 95

export const defaults: Settings = {
  ...{ design: 'random', percent: 75, seed: 0, statistics: 'neighbours', marks: [] },
}

/** Patches as hexadecimal digits of four bits, the first patch in the highest bit. */
function packMarks(marks: readonly number[]): string {
  const digits = new Uint8Array(Math.floor((marks.at(-1) ?? -1) / 4) + 1)
  for (const patch of marks) digits[patch >> 2]! |= 8 >> (patch & 3)
  return Array.from(digits, (digit) => digit.toString(16)).join('')
}

function unpackMarks(text: string): number[] {
  const bits = Array.from(text, (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, '0')).join('')
  return Array.from(bits.matchAll(/1/g), ({ index }) => index)
}

/** The part of an address behind `#`. What does not matter for the design is left out. */
export function formatSettings({ design, percent, seed, statistics, marks }: Settings): string {
  const parts = new URLSearchParams({ design })
  if (isPainted(design)) parts.set('marks', packMarks(marks))
  else {
    parts.set('ratio', String(percent))
    parts.set('seed', String(seed))
  }
  parts.set('statistics', statistics)
  return parts.toString()
}

export interface ParsedSettings {
  /** Only what the address says. */
  readonly settings: Partial<Settings>
  /** A sentence for each value that was not understood. */
  readonly refused: readonly string[]
}

/** Reads what `formatSettings` wrote. What it cannot read is named and left out. */
export function parseSettings(hash: string): ParsedSettings {
  const parts = new URLSearchParams(hash.replace(/^#/, ''))
  const settings: { -readonly [K in keyof Settings]?: Settings[K] } = {}
  const refused: string[] = []
  const read = (key: string, expected: string, take: (text: string) => boolean) => {
    const text = parts.get(key)
    if (text !== null && !take(text)) refused.push(`${key}: expected ${expected}, got "${text.slice(0, 40)}"`)
  }
  const whole = (text: string) => (/^\d{1,16}$/.test(text) ? Number(text) : Number.NaN)
  read('design', `one of ${designNames.join(', ')}`, (text) => {
    const design = designNames.find((name) => name === text)
    if (design) settings.design = design
    return design !== undefined
  })
  read('ratio', `a whole number from 0 to ${MOST_PERCENT}`, (text) => {
    const percent = whole(text)
    if (percent <= MOST_PERCENT) settings.percent = percent
    return percent <= MOST_PERCENT
  })
  read('seed', 'a whole number below 2^53', (text) => {
    if (isSeed(whole(text))) settings.seed = whole(text)
    return isSeed(whole(text))
  })
  read('statistics', 'neighbours or true', (text) => {
    const known = text === 'neighbours' || text === 'true'
    if (known) settings.statistics = text
    return known
  })
  read('marks', 'hexadecimal digits', (text) => {
    const known = /^[0-9a-f]{0,4096}$/.test(text)
    if (known) settings.marks = unpackMarks(text)
    return known
  })
  return { settings, refused }
}
