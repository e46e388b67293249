/** Translates arrays from other programs' names to ours: by the rows of their layout; separates tables and what is not used. */
import type { WaitingArray } from '../checkpoint/arrays.ts'
import { type ForeignParameter, floatsOf } from './foreign-parameter.ts'
import { filled, type Layout, type NameRow, rowOf } from './layouts/layout.ts'
import { probeHead } from './probe-head.ts'

/** A tensor that no part of sherd's model is made of. */
export interface UnusedTensor {
  readonly name: string
  readonly why: string
  readonly array: WaitingArray
}

export interface Named {
  readonly parameters: Map<string, ForeignParameter>
  /** Positions and other tables, by their names. */
  readonly tables: ReadonlyMap<string, WaitingArray>
  readonly unexpected: readonly string[]
  /** Theirs with their shapes that cannot be put together. */
  readonly misshapen: readonly string[]
  readonly unused: readonly UnusedTensor[]
  /** Their names for ours that are not whole. */
  readonly lacking: ReadonlyMap<string, readonly string[]>
}

interface Group {
  readonly row: NameRow
  readonly block: string
  readonly parts: (readonly [name: string, array: WaitingArray] | undefined)[]
}

export const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`

export function translate(arrays: ReadonlyMap<string, WaitingArray>, layout: Layout, wrapper: string): Named {
  const groups = new Map<string, Group>()
  const tables = new Map<string, WaitingArray>()
  const unexpected: string[] = []
  const unused: UnusedTensor[] = []
  const head = probeHead(arrays)
  const known = [layout.positions?.name, layout.decoderPositions, ...layout.tables]
  for (const [full, array] of arrays) {
    if (head?.names.includes(full)) continue
    if (array.shape.includes(0)) {
      unused.push({ name: full, why: 'it holds no numbers', array }) // registers of a DINOv3 without any
      continue
    }
    const isInside = full.startsWith(wrapper)
    const name = isInside ? full.slice(wrapper.length) : full
    const found = rowOf(layout, name)
    const belongs = found && (wrapper === '' || isInside !== (found.row.isOutside ?? false))
    if (known.includes(name)) tables.set(name, array)
    else if (belongs) {
      const { row, block, part } = found
      const key = filled(row.ours[0]!, block)
      const group = groups.get(key) ?? { row, block, parts: row.theirs.map(() => undefined) }
      if (group.parts[part]) unexpected.push(full)
      else group.parts[part] = [full, array]
      groups.set(key, group)
    } else {
      const why = layout.unused.find(([pattern]) => pattern.test(name))?.[1]
      if (why) unused.push({ name: full, why, array })
      else unexpected.push(full)
    }
  }
  const parameters = new Map<string, ForeignParameter>(head?.parameters)
  const lacking = new Map<string, readonly string[]>()
  const misshapen: string[] = []
  for (const { row, block, parts } of groups.values()) {
    const ours = row.ours.map((name) => filled(name, block))
    const whole = parts.filter((part) => part !== undefined)
    if (whole.length < parts.length) {
      const missing = row.theirs.filter((_, part) => !parts[part])
      const names = missing.map((name) => (row.isOutside ? '' : wrapper) + filled(name, block))
      for (const name of ours) lacking.set(name, names)
      const why = `of no use without ${names.join(' and ')}`
      unused.push(...whole.map(([name, array]) => ({ name, why, array })))
      continue
    }
    const from = whole.map(([name]) => name)
    const shapes = row.change.shapes(whole.map(([, { shape }]) => shape))
    if (!shapes) {
      misshapen.push(`${whole.map(([name, { shape }]) => `${name} ${shapeText(shape)}`).join(' with ')}`)
      for (const name of ours) lacking.set(name, [])
      continue
    }
    const read = async () => {
      const floats = []
      for (const [name, array] of whole) floats.push(await floatsOf(name, array))
      return row.change.read(floats)
    }
    for (const [part, name] of ours.entries())
      parameters.set(name, { shape: shapes[part]!, from, read: async () => (await read())[part]! })
  }
  return { parameters, tables, unexpected, misshapen, unused, lacking }
}
