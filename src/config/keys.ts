/** Describes the keys of the configuration, and explains unknown and unread ones. */
import { z } from 'zod'
import { didYouMean, SherdError } from '../errors.ts'
import { allowedValues } from './allowed-values.ts'
import { knownElsewhere } from './common-names.ts'
import { newNameOf } from './migrations.ts'
import { type Chooser, type Chosen, missed, type Part, parts, rootKeys, takes } from './parts.ts'
import { choosers, type KindName, kinds, type ObjectiveName, usualChoices } from './tables.ts'

export interface KeyDescription {
  /** A path such as `optim.baseLearningRate`. */
  readonly key: string
  /** The default as JSON. */
  readonly initial: string
  readonly meaning: string
  /** In words, such as `whole number ≥ 1`. */
  readonly allowed: string
  /** Allowed values, if they are names. */
  readonly values?: readonly string[]
  /** The key is read only with one of these values of each of these other keys. */
  readonly when: Readonly<Partial<Record<Chooser, readonly string[]>>>
}

function describe(key: string, type: z.ZodType, when: KeyDescription['when']): KeyDescription {
  let inner = type
  let initial: unknown
  let values: readonly string[] | undefined
  while (!values) {
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) initial = inner.def.defaultValue
    if (inner instanceof z.ZodEnum) values = inner.options.map(String)
    if (!('unwrap' in inner) || inner instanceof z.ZodArray) break
    inner = (inner as z.ZodOptional<z.ZodType>).unwrap()
  }
  const isRequired = !type.safeParse(undefined).success
  return {
    ...{ key, initial: JSON.stringify(initial) ?? (isRequired ? 'required' : 'derived') },
    ...{ meaning: type.description ?? '', allowed: allowedValues(type), ...(values && { values }), when },
  }
}

/** Merges the conditions of parts, without those that were given, and those that name every value. */
function conditionsOf(whens: readonly Part['when'][], asked: Partial<Chosen>): KeyDescription['when'] {
  const valuesOf = (key: Chooser) => [...new Set(whens.flatMap((when) => when[key] ?? []))]
  const open = (Object.keys(choosers) as Chooser[]).filter((key) => asked[key] === undefined)
  return Object.fromEntries(
    open
      .map((key) => [key, valuesOf(key)] as const)
      .filter(([key, values]) => values.length > 0 && values.length < choosers[key].length),
  )
}

/** Every key, or those that are read with the given values. A key with several meanings is listed for each. */
export function describeKeys(chosen: Partial<Chosen> = {}): KeyDescription[] {
  const groups = new Map<string, { key: string; type: z.ZodType; whens: Part['when'][] }[]>()
  const isTaken = ({ when }: Part) =>
    chosen.objective === undefined || !when['data.kind'] || takes(chosen.objective, when['data.kind'])
  for (const { when, keys } of parts.filter((part) => missed(part, chosen).length === 0 && isTaken(part)))
    for (const [group, of] of Object.entries(keys)) {
      const rows = groups.get(group) ?? []
      groups.set(group, rows)
      for (const [name, type] of Object.entries(of) as [string, z.ZodType][]) {
        const key = `${group}.${name}`
        const same = rows.find((row) => row.key === key && row.type === type)
        if (same) same.whens.push(when)
        else rows.push({ key, type, whens: [when] })
      }
    }
  return [
    ...Object.entries(rootKeys).map(([key, type]) => describe(key, type, {})),
    ...[...groups.values()]
      .flat()
      .map(({ key, type, whens }) => describe(key, type, conditionsOf(whens, chosen))),
  ]
}

/** Paths such as `optim.baseLearningRate`. */
export const configKeys = (): string[] => [...new Set(describeKeys().map(({ key }) => key))]

/** The error for an unknown key: states its new name, the group's keys, or a similar key. */
export function unknownKey(path: string): SherdError {
  const keys = configKeys()
  const renamed = newNameOf(path)
  const inGroup = keys.filter((key) => key.startsWith(`${path}.`))
  const groups = new Set(keys.flatMap((key) => key.split('.').slice(0, -1)))
  // "nodata" is far from "data.nodata" by its letters.
  const withoutGroup = keys.filter((key) => key.split('.')[1] === path)
  const similar =
    withoutGroup.length > 0
      ? ` Did you mean "${withoutGroup.join('" or "')}"?`
      : didYouMean(path, [...keys, ...groups])
  const hint = inGroup.length
    ? ` It is a group: ${inGroup.join(', ')}.`
    : renamed
      ? ` It is ${renamed} now.`
      : (knownElsewhere(path) ?? similar)
  return new SherdError(
    'CONFIG',
    `There is no configuration key "${path}".${hint} "sherd presets --keys" lists all.`,
  )
}

/** The values of other keys with which a key is read; null if it never is. */
function readerOf(path: string, chosen: Chosen): string | null {
  const [group, name] = path.split('.') as [string, string | undefined]
  const readers = parts.filter(
    ({ keys }) => name !== undefined && Object.hasOwn(keys, group) && Object.hasOwn(keys[group]!, name),
  )
  // Report the part with the fewest unmet conditions.
  const nearest = readers.toSorted((a, b) => missed(a, chosen).length - missed(b, chosen).length)[0]
  if (!nearest) return null
  const [chooser] = missed(nearest, chosen) as [Chooser]
  const named = [...new Set(readers.flatMap(({ when }) => when[chooser] ?? []))]
  const isBands = path === 'data.bands' // needs no further hint
  const how =
    chooser !== 'data.kind' ? '' : `: ${isBands ? 'set data.kind=rasters' : kinds[named[0] as KindName].how}`
  return `only with ${chooser}=${named.join(' or ')}, and ${chooser} is ${chosen[chooser]}${how}.`
}

/** Explains keys that the chosen objective, kind of data or optimizer does not read: a line for each reason. */
export function whyNotRead(paths: readonly string[], chosen: Chosen): string[] {
  const reasons = paths.map((path) => readerOf(path, chosen))
  return [...new Set(reasons)].flatMap((reason) => {
    const of = paths.filter((_, i) => reasons[i] === reason)
    if (reason === null) return of.map((path) => unknownKey(path).message)
    return [`${of.join(', ')} ${of.length === 1 ? 'is' : 'are'} read ${reason}`]
  })
}

type Tree = Readonly<Record<string, unknown>>
export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Checks the value of a chooser. Throws `CONFIG` for an unknown one. */
export function expectChoice(key: Chooser, value: unknown): string {
  const names: readonly string[] = choosers[key]
  if (typeof value === 'string' && names.includes(value)) return value
  throw new SherdError(
    'CONFIG',
    `${key}: expected ${names.join(' or ')}, got ${(JSON.stringify(value) ?? typeof value).slice(0, 80)}.${typeof value === 'string' ? didYouMean(value, names) : ''}`,
  )
}

const objectiveOf = (input: unknown) =>
  expectChoice(
    'objective',
    (isTree(input) ? input.objective : undefined) ?? choosers.objective[0],
  ) as ObjectiveName

/** The choosers' values of an input: given, or inferred from other keys. Throws `CONFIG` for unknown names. */
export function chosenBy(input: unknown): Chosen {
  const data = isTree(input) && isTree(input.data) ? input.data : {}
  const implied: { readonly [C in Chooser]?: string } =
    (data.bands ?? null) === null ? {} : { 'data.kind': 'rasters' }
  const usual = usualChoices(objectiveOf(input))
  const chosen = Object.fromEntries(
    (Object.keys(choosers) as Chooser[]).map((key) => {
      const said = key.split('.').reduce<unknown>((at, part) => (isTree(at) ? at[part] : undefined), input)
      return [key, expectChoice(key, said ?? implied[key] ?? usual[key] ?? choosers[key][0])]
    }),
  ) as Record<Chooser, string>
  const { objective, 'data.kind': kind } = chosen
  if (takes(objective, kind)) return chosen
  const taken = choosers['data.kind'].filter((each) => takes(objective, each))
  throw new SherdError(
    'CONFIG',
    `objective ${objective} learns from ${taken.join(' or ')}, and data.kind is ${kind}: ${kinds[taken[0]!].how}.`,
  )
}
