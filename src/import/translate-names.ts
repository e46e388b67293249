/** Translates arrays from other programs' names to ours: renames, concatenates, separates tables and the rest. */

import type { WaitingArray } from '../checkpoint/arrays.ts'
import { SherdError } from '../errors.ts'
import { type ForeignParameter, floatsOf } from './foreign-parameter.ts'
import { type Layout, ourNameOf } from './layouts.ts'
import { probeHead } from './probe-head.ts'

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** Concatenates parts along the first dimension. */
function joined(parts: readonly (readonly [name: string, array: WaitingArray])[]): ForeignParameter {
  const [first, ...others] = parts.map(([, { shape }]) => shape)
  const differs = others.some((shape) => shape.join() !== first!.join())
  if (differs) refuse(`${parts.map(([name]) => name).join(', ')} have different shapes`)
  const shape = parts.length === 1 ? first! : [first![0]! * parts.length, ...first!.slice(1)]
  return {
    ...{ shape, from: parts.map(([name]) => name) },
    read: async () => {
      const arrays = []
      for (const [name, array] of parts) arrays.push((await floatsOf(name, array)).data)
      if (arrays.length === 1) return arrays[0]!
      const whole = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0))
      arrays.reduce((at, array) => {
        whole.set(array, at)
        return at + array.length
      }, 0)
      return whole
    },
  }
}

/** Their tensors that are unused here; `neck.` is the pretraining decoder of MMPretrain. */
const idle = /^(?:pooler\.dense\.|embeddings\.mask_token$|embeddings\.position_ids$|neck\.)/

export interface Named {
  readonly parameters: Map<string, ForeignParameter>
  /** Positions and other computed tables. */
  readonly tables: ReadonlyMap<string, WaitingArray>
  readonly unexpected: readonly string[]
  readonly idle: readonly string[]
}

export function translate(arrays: ReadonlyMap<string, WaitingArray>, layout: Layout, wrapper: string): Named {
  const parts = new Map<string, (readonly [string, WaitingArray] | undefined)[]>()
  const tables = new Map<string, WaitingArray>()
  const found = { unexpected: [] as string[], idle: [] as string[] }
  const head = probeHead(arrays)
  const known = [layout.positions, layout.decoderPositions, ...layout.tables]
  for (const [full, array] of arrays) {
    const name = full.startsWith(wrapper) ? full.slice(wrapper.length) : full
    const ours = ourNameOf(layout, name)
    if (head?.names.includes(full)) continue
    if (known.includes(name)) tables.set(name, array)
    else if (ours) {
      const list = parts.get(ours.name) ?? Array(ours.parts).fill(undefined)
      list[ours.part] = [full, array]
      parts.set(ours.name, list)
    } else found[idle.test(name) ? 'idle' : 'unexpected'].push(full)
  }
  const parameters = new Map<string, ForeignParameter>(head?.parameters)
  for (const [ours, list] of parts) {
    const whole = list.filter((part) => part !== undefined)
    if (whole.length === list.length) parameters.set(ours, joined(whole))
    else found.unexpected.push(...whole.map(([name]) => name))
  }
  return { parameters, tables, ...found }
}
