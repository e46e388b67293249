/** Finds another program's parameter for each of ours, and says how each was taken. */
import type { ParameterRow } from '../model/parameters.ts'
import type { Grid } from '../token/grid.ts'
import type { ForeignModel } from './foreign-model.ts'
import { type ChannelChange, inflated } from './import-channels.ts'
import { type Layout, layouts } from './layouts.ts'
import { shapeText } from './translate-names.ts'

export type ImportStatus = 'loaded' | 'reshaped' | 'missing' | 'unexpected' | 'left out'

/** The outcome for a parameter of ours or theirs. */
export interface ImportRow {
  readonly name: string
  readonly status: ImportStatus
  /** Their names, if different. */
  readonly from: readonly string[]
  readonly why: string
}

export interface Fitted {
  readonly row: ParameterRow
  readonly read: (() => Promise<Float32Array>) | null
  readonly report: ImportRow
}

/** Learned positions, as they are stored. */
export function fitPositions(row: ParameterRow, { places, layout }: ForeignModel): Fitted {
  const { table, grid, cls } = places
  const from = layouts[layout].positions!.name
  const why = `${grid.h} × ${grid.w} places${cls ? '; the row of cls added to cls_token' : ''}`
  return {
    row,
    read: async () => table!,
    report: { name: row.name, status: 'loaded', why, from: from === row.name ? [] : [from] },
  }
}

export interface Matched {
  readonly fitted: Fitted
  /** Why the shapes differ. */
  readonly misshapen: string | null
}

export function matched(row: ParameterRow, model: ForeignModel, change: ChannelChange | null): Matched {
  const { name, shape } = row
  const found = model.parameters.get(name)
  const missing: Fitted = {
    ...{ row, read: null },
    report: { name, status: 'missing', from: model.theirNames(name), why: shapeText(shape) },
  }
  if (!found) return { fitted: missing, misshapen: null }
  const from = found.from.length === 1 && found.from[0] === name ? [] : found.from
  const made = change && inflated(row, found, change)
  if (made)
    return {
      fitted: { row, read: made.read, report: { name, status: 'reshaped', from, why: made.why } },
      misshapen: null,
    }
  const fitted = { row, read: found.read, report: { name, status: 'loaded' as const, from, why: '' } }
  if (found.shape.join() === shape.join()) return { fitted, misshapen: null }
  const other = found.from.length > 0 ? found.from.map((each) => model.prefix + each).join(', ') : name
  return {
    fitted,
    misshapen: `${other} ${found.from.length > 1 ? 'together ' : ''}${shapeText(found.shape)}, expected ${shapeText(shape)}`,
  }
}

/** Note for a computed table of another grid. */
export function recomputedNote({ layout, places }: ForeignModel, name: string, to: Grid): string {
  const { h, w } = places.grid
  const { positions: own, decoderPositions }: Layout = layouts[layout]
  const isComputed = name === decoderPositions || (name === own?.name && places.table === null)
  return isComputed && (h !== to.h || w !== to.w) ? `; recomputed for ${to.h} × ${to.w} places` : ''
}
