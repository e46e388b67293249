/** What a code looks like: the most used codes of a tokenizer, each with patches that map to it. */
import { drawContactSheet } from './contact-sheet.ts'
import type { Tile } from './tile.ts'

export interface CodeSheet {
  /** Of all patches that were read. */
  readonly codes: ArrayLike<number>
  /** K */
  readonly size: number
  /** By code; of codes without patches none. */
  readonly patches: ReadonlyMap<number, readonly Tile[]>
  /** Codes that are shown; default 24. */
  readonly most?: number
}

export interface CodeUse {
  readonly code: number
  readonly uses: number
  /** Of all patches. */
  readonly share: number
}

/** Codes that are used, the most used first, equal ones by their number. */
export function usesOfCodes(codes: ArrayLike<number>): CodeUse[] {
  const counts = new Map<number, number>()
  for (let i = 0; i < codes.length; i++) counts.set(codes[i]!, (counts.get(codes[i]!) ?? 0) + 1)
  return [...counts]
    .map(([code, uses]) => ({ code, uses, share: uses / codes.length }))
    .sort((a, b) => b.uses - a.uses || a.code - b.code)
}

/** exp of the entropy of the shares: the number of codes, were they all used alike. */
export const perplexityOf = (uses: readonly CodeUse[]): number =>
  Math.exp(-uses.reduce((sum, { share }) => sum + share * Math.log(share), 0))

const percent = (share: number) => `${(100 * share).toPrecision(2)} %`

/** A PNG. */
export function drawCodeSheet({ codes, size, patches, most = 24 }: CodeSheet): Promise<Buffer> {
  const uses = usesOfCodes(codes)
  const shown = uses.slice(0, most)
  const columns = Math.max(1, ...shown.map(({ code }) => patches.get(code)?.length ?? 0))
  return drawContactSheet({
    title: `The ${shown.length} most used codes`,
    subtitle: `${uses.length} of ${size} codes are used, perplexity ${perplexityOf(uses).toPrecision(3)}; each row: patches of one code`,
    rows: shown.map(({ code, share }) => ({
      caption: `code ${code}, ${percent(share)} of the patches`,
      cells: (patches.get(code) ?? []).map((tile) => ({ tile, name: '' })),
    })),
    columns,
    isDense: true,
  })
}
