/**
 * A published layout: the names that a program gives the parameters of a ViT, as rows for import and export, and what its files leave to
 * the program's code. Position tables are separate, since fixed ones are not parameters of ours.
 */
import type { FloatArray } from '../../checkpoint/arrays.ts'
import type { Shape } from '../../tensor/tensor.ts'
import { type Change, renamed, stacked } from './changes.ts'
import type { Facts, Source } from './facts.ts'

/** `{i}` is the number of a block, the same on both sides. */
export interface NameRow {
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  readonly change: Change
  /** Beside the encoder, where that has a prefix: decoder, head, projection. */
  readonly isOutside?: boolean
}

/** Names with `{i}` for their first number. */
export interface Templates {
  readonly has: (template: string) => boolean
  readonly any: (...templates: readonly string[]) => boolean
}

export interface Layout {
  readonly title: string
  /** Prefixes of the encoder in models with more than an encoder; the first that fits, '' last where it may be bare. */
  readonly wrappers: readonly string[]
  /** What stands in front of the number of a block. */
  readonly blocks: string
  readonly isOf: (names: Templates) => boolean
  readonly rows: readonly NameRow[]
  readonly positions: PositionTable | null
  /** Of the decoder. */
  readonly decoderPositions: string | null
  /** Other tables that are computed here. */
  readonly tables: readonly string[]
  /** Their tensors that no encoder computes with, and what they are. */
  readonly unused: readonly (readonly [names: RegExp, why: string])[]
  readonly facts: (source: Source) => Facts
  /** The layout of the same names that shapes show, or null. A name with `/` in front of it stands beside the encoder. */
  readonly variantBy?: (shapeOf: (template: string) => Shape | null) => string | null
}

/** A table [1, rows, D], or [rows, D], of learned or computed positions. */
export interface PositionTable {
  readonly name: string
  readonly isBare?: boolean
}

const kinds = ['weight', 'bias'] as const

/** A parameter of one name here and there. */
export const token = (ours: string, theirs = ours, change: Change = renamed): NameRow => ({
  ...{ ours: [ours], theirs: [theirs], change },
})

/** Weight and bias of a module. */
export const module = (ours: string, theirs = ours): NameRow[] =>
  kinds.map((kind) => token(`${ours}.${kind}`, `${theirs}.${kind}`))

export const modules = (...names: readonly string[]): NameRow[] => names.flatMap((name) => module(name))

/** A module of ours whose rows are those of several of theirs. */
export const joined = (ours: string, theirs: readonly string[]): NameRow[] =>
  kinds.map((kind) => ({
    ours: [`${ours}.${kind}`],
    theirs: theirs.map((name) => `${name}.${kind}`),
    change: stacked(
      [1],
      theirs.map(() => 1),
    ),
  }))

export const outside = (rows: readonly NameRow[]): NameRow[] =>
  rows.map((row) => ({ ...row, isOutside: true }))

const number = /(?<=^|\.)\d+(?=\.|$)/
/** Chunks of blocks of FSDP trainings, `blocks.0.3.`: block numbers run on across chunks. */
const chunk = /(?<=(?:^|\.)blocks\.)\d+\.(?=\d+\.)/

/** `blocks.3.norm1.bias` → `blocks.{i}.norm1.bias` and 3. */
export function templateOf(name: string): { readonly template: string; readonly number: string } {
  const whole = name.replace(chunk, '')
  return { template: whole.replace(number, '{i}'), number: whole.match(number)?.[0] ?? '' }
}

export const filled = (template: string, block: string): string => template.replace('{i}', block)

interface Place {
  readonly row: NameRow
  readonly part: number
}

/** Rows by names, made once. */
const places = new WeakMap<Layout, Record<'ours' | 'theirs', ReadonlyMap<string, Place>>>()

function placesOf(layout: Layout) {
  const known = places.get(layout)
  if (known) return known
  const by = (side: 'ours' | 'theirs') =>
    new Map(layout.rows.flatMap((row) => row[side].map((name, part) => [name, { row, part }] as const)))
  const made = { ours: by('ours'), theirs: by('theirs') }
  places.set(layout, made)
  return made
}

/** The row of one of their names (without the wrapper), which is number `part` of it; or null. */
export function rowOf(layout: Layout, theirs: string): (Place & { readonly block: string }) | null {
  const { template, number } = templateOf(theirs)
  const found = placesOf(layout).theirs.get(template)
  return found ? { ...found, block: number } : null
}

/** The row of one of our names, or null. */
export function rowOfOurs(layout: Layout, ours: string): (Place & { readonly block: string }) | null {
  const { template, number } = templateOf(ours)
  const found = placesOf(layout).ours.get(template)
  return found ? { ...found, block: number } : null
}

/** Their names (without the wrapper) for one of ours, or null. */
export function theirNamesOf(layout: Layout, ours: string): readonly string[] | null {
  const found = rowOfOurs(layout, ours)
  return found?.row.theirs.map((name) => filled(name, found.block)) ?? null
}

/** Arrays under their names, without position tables, and our names that the layout has not. */
export function inTheirNames(
  layout: Layout,
  arrays: ReadonlyMap<string, FloatArray>,
  wrapper = '',
): { readonly arrays: Map<string, FloatArray>; readonly lacking: readonly string[] } {
  const made = new Map<string, FloatArray>()
  const lacking: string[] = []
  for (const ours of arrays.keys()) {
    const found = rowOfOurs(layout, ours)
    const parts = found?.row.ours.map((name) => arrays.get(filled(name, found.block)))
    if (!found?.row.change.write || !parts?.every((part) => part !== undefined)) lacking.push(ours)
    else if (found.part === 0) {
      const { row, block } = found
      for (const [part, array] of row.change.write!(parts).entries())
        made.set((row.isOutside ? '' : wrapper) + filled(row.theirs[part]!, block), array)
    }
  }
  return { arrays: made, lacking }
}
