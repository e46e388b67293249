/**
 * Adapters as PEFT keeps them: a folder with `adapter_config.json` and `adapter_model.safetensors`, which names its base. sherd's say
 * besides, in the metadata, what the base's weights were and which classifier was trained on them. Read with the base, they are one model.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { z } from 'zod'
import type { StoredArray } from '../checkpoint/arrays.ts'
import { expectFiniteArray, toFloat32 } from '../checkpoint/arrays.ts'
import { readArrays } from '../checkpoint/safetensors.ts'
import type { ClassifierFacts } from '../checkpoint/weights-metadata.ts'
import { preparationDifferences } from '../config/preparation.ts'
import { messageOf, SherdError } from '../errors.ts'
import { hubListener } from '../hub/listener.ts'
import { hubNameOf, isHubName } from '../hub/name.ts'
import { filled, type NameRow, rowOf } from '../import/layouts/layout.ts'
import { type Layout, layouts } from '../import/layouts.ts'
import { headNames } from '../model/classifier.ts'
import { type FoundWeights, sealOfWeights } from './found-weights.ts'
import { type Pair, withPair } from './merge-adapters.ts'

export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors' } as const

/** The folder of an adapter, or null: `path` is it, or its file of weights. */
export function adapterFolder(path: string): string | null {
  const dir = statSync(path).isDirectory()
    ? path
    : basename(path) === adapterFiles.weights
      ? dirname(path)
      : null
  return dir !== null && existsSync(join(dir, adapterFiles.config)) ? dir : null
}

/** The kinds that are read; PEFT knows no `BITFIT`. */
export const peftTypes = { lora: 'LORA', bitfit: 'BITFIT' } as const

const patterns = z.record(z.string(), z.number()).nullish()
/** What sherd reads of PEFT's configuration. */
const configSchema = z.object({
  peft_type: z.enum(peftTypes),
  base_model_name_or_path: z.string().nullish(),
  r: z.number().nullish(),
  lora_alpha: z.number().nullish(),
  /** Of the base on the hub. */
  revision: z.string().nullish(),
  lora_dropout: z.number().nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  alpha_pattern: patterns,
})
type PeftConfig = z.infer<typeof configSchema>

/** In the metadata of the weights, under this key. */
export const ADAPTER_KEY = 'sherd-adapter'
const factsSchema = z.object({
  /** SHA-256 of the base's weights. */
  base: z.string(),
  /** How images were prepared for a base of another program, whose weights do not say it. */
  preparation: z.record(z.string(), z.unknown()).optional(),
  classifier: z.object({ head: z.enum(headNames), classes: z.array(z.string()).min(1) }).optional(),
  protocol: z.string().optional(),
})
export type AdapterFacts = z.infer<typeof factsSchema>

const refuse = (dir: string, why: string): never => {
  throw new SherdError('CHECKPOINT', `${dir}: ${why}`)
}

export interface Adapter {
  readonly dir: string
  /** As it is written there. */
  readonly base: string | null
  /** Of the base on the hub, where it says one. */
  readonly revision: string | null
  /** Of all modules; null: as the rank. */
  readonly alpha: number | null
  /** What was dropped of its inputs while it was trained; 0: nothing. */
  readonly dropout: number
  readonly facts: AdapterFacts | null
  /** By the names of modules, as they are there. */
  readonly pairs: ReadonlyMap<string, Pair>
  /** Other parameters, such as those of a head, by their names there. */
  readonly others: ReadonlyMap<string, StoredArray>
}

function configOf(dir: string): PeftConfig {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(join(dir, adapterFiles.config), 'utf8'))
  } catch (error) {
    return refuse(dir, `${adapterFiles.config} cannot be read: ${messageOf(error)}`)
  }
  const parsed = configSchema.safeParse(json)
  if (!parsed.success)
    return refuse(
      dir,
      `${adapterFiles.config} is not of an adapter that sherd reads (low-rank ones, LORA): ${z.prettifyError(parsed.error)}`,
    )
  if (parsed.data.use_dora) refuse(dir, 'its weights are decomposed (use_dora), which sherd does not read')
  if (parsed.data.fan_in_fan_out)
    refuse(dir, 'its weights are transposed (fan_in_fan_out), which no encoder here has')
  return parsed.data
}

function factsOf(dir: string, metadata: Readonly<Record<string, string>>): AdapterFacts | null {
  const text = metadata[ADAPTER_KEY]
  if (text === undefined) return null
  try {
    return factsSchema.parse(JSON.parse(text))
  } catch (error) {
    return refuse(dir, `its metadata "${ADAPTER_KEY}" is not of this version of sherd: ${messageOf(error)}`)
  }
}

/** Of the module, where a pattern of PEFT ends its name; else the one of all. */
function alphaOf({ alpha_pattern, lora_alpha }: PeftConfig, module: string, rank: number): number {
  const own = Object.entries(alpha_pattern ?? {}).find(
    ([pattern]) => module === pattern || module.endsWith(`.${pattern}`),
  )
  return own?.[1] ?? lora_alpha ?? rank
}

/** Of every name in a file of PEFT. */
export const PREFIX = 'base_model.model.'
const PART = /^(.*)\.lora_([AB])(?:\.default)?\.weight$/

/** Throws `CHECKPOINT`. */
export function readAdapter(dir: string): Adapter {
  const config = configOf(dir)
  const file = join(dir, adapterFiles.weights)
  if (!existsSync(file)) refuse(dir, `it has no ${adapterFiles.weights}`)
  const { tensors, metadata } = readArrays(file)
  const parts = new Map<string, { a?: StoredArray; b?: StoredArray }>()
  const others = new Map<string, StoredArray>()
  for (const [full, { data, dtype, shape }] of tensors) {
    const name = full.startsWith(PREFIX) ? full.slice(PREFIX.length) : full
    const floats = { dtype: 'float32', shape, data: toFloat32(data, dtype) } as const
    expectFiniteArray(`${file}: ${full}`, floats.data)
    const found = name.match(PART)
    if (!found) others.set(name, floats)
    else parts.set(found[1]!, { ...parts.get(found[1]!), [found[2] === 'A' ? 'a' : 'b']: floats })
  }
  const pairs = new Map<string, Pair>()
  for (const [module, { a, b }] of parts) {
    if (!a || !b) return refuse(file, `${module} has only one of lora_A and lora_B`)
    const rank = a.shape[0]!
    if (a.shape.length !== 2 || b.shape.length !== 2 || b.shape[1] !== rank)
      refuse(file, `${module} has A [${a.shape.join(', ')}] and B [${b.shape.join(', ')}], which are no pair`)
    const alpha = alphaOf(config, module, rank)
    pairs.set(module, { a, b, scale: alpha / (config.use_rslora ? Math.sqrt(rank) : rank) })
  }
  if (pairs.size + others.size === 0) refuse(file, 'it holds no adapters')
  const { base_model_name_or_path: base = null, revision = null, lora_alpha: alpha = null } = config
  const dropout = config.lora_dropout ?? 0
  return { ...{ dir, base, revision, alpha, dropout, pairs, others }, facts: factsOf(dir, metadata) }
}

/** Where the base lies: as it is written, or from the folder of the adapter; else of the hub, as PEFT takes `owner/name`. Throws `USAGE`. */
export function baseOf({ dir, base, revision }: Pick<Adapter, 'dir' | 'base' | 'revision'>): string {
  if (base !== null && isHubName(base)) return base
  const places = base === null ? [] : isAbsolute(base) ? [base] : [join(dir, base), resolve(base)]
  const found = places.find((place) => existsSync(place))
  if (found !== undefined && adapterFolder(found) !== null)
    throw new SherdError(
      'USAGE',
      `${dir} is an adapter of ${found}, which is an adapter itself: make one model of that first, with "sherd export huggingface" or "timm".`,
    )
  if (found !== undefined) return found
  const ofHub = base === null ? null : hubNameOf(base, revision)
  if (ofHub !== null) {
    hubListener().note(
      `${dir}: its base "${base}" is no folder here, so that of the Hugging Face hub is taken: ${ofHub}`,
    )
    return ofHub
  }
  throw new SherdError(
    'USAGE',
    `${dir} is an adapter of ${base === null ? 'a model that it does not name' : `"${base}", which is not there`}: write the path of its model into base_model_name_or_path of ${join(dir, adapterFiles.config)}.`,
  )
}

/** Rows `part` of `parts` of a weight of ours. */
interface Place {
  readonly name: string
  readonly part: number
  readonly parts: number
}

/** Modules as transformers 5 names them, whatever the file of weights says: the weight of ours in a block, and its part. */
const modulesOf5: Readonly<Record<string, readonly [name: string, part: number, parts: number][]>> = {
  q_proj: [['attn.qkv', 0, 3]],
  k_proj: [['attn.qkv', 1, 3]],
  v_proj: [['attn.qkv', 2, 3]],
  o_proj: [['attn.proj', 0, 1]],
  out_proj: [['attn.proj', 0, 1]],
  fc1: [['mlp.fc1', 0, 1]],
  fc2: [['mlp.fc2', 0, 1]],
  up_proj: [
    ['mlp.w12', 1, 2],
    ['mlp.w2', 0, 1],
    ['mlp.fc1', 0, 1],
  ],
  gate_proj: [
    ['mlp.w12', 0, 2],
    ['mlp.w1', 0, 1],
  ],
  down_proj: [
    ['mlp.w3', 0, 1],
    ['mlp.fc2', 0, 1],
  ],
}

const ofText = /(?:^|\.)(?:text_model|text)\.|^transformer\.resblocks\./

/** All ends of a name: `a.b.c`, `b.c`, `c`. */
const endsOf = (name: string): string[] => name.split('.').map((_, i, parts) => parts.slice(i).join('.'))

/** Whether our weight holds the rows of theirs, all of one shape, one behind the other. */
export const isStack = ({ change, theirs }: NameRow): boolean =>
  change.shapes(theirs.map(() => [2, 3]))?.[0]?.join() === [2 * theirs.length, 3].join()

/** What a module of the adapter is here; null where the encoder has none. */
function placeOf(module: string, { stored, layout }: Pick<FoundWeights, 'stored' | 'layout'>): Place | null {
  const ends = endsOf(module)
  const own = ends.map((end) => `${end}.weight`).find((name) => stored.has(name))
  if (own !== undefined) return { name: own, part: 0, parts: 1 }
  if (layout) {
    for (const end of ends) {
      const found = rowOf(layouts[layout] as Layout, `${end}.weight`)
      if (found?.row.ours.length !== 1) continue
      const { row, block, part } = found
      const name = filled(row.ours[0]!, block)
      if (stored.has(name) && isStack(row)) return { name, part, parts: row.theirs.length }
    }
  }
  const of5 = module.match(/(?:^|\.)layers?\.(\d+)\.(?:.*\.)?(\w+)$/)
  for (const [name, part, parts] of modulesOf5[of5?.[2] ?? ''] ?? []) {
    const weight = `blocks.${of5![1]}.${name}.weight`
    if (stored.has(weight)) return { name: weight, part, parts }
  }
  return null
}

/** The part of a weight with its pair added. */
function withPart(base: StoredArray, { part, parts }: Place, pair: Pair): StoredArray {
  const { shape, data } = base
  const [rows, columns] = [shape[0]! / parts, shape.slice(1).reduce((a, b) => a * b, 1)]
  const [from, to] = [part * rows * columns, (part + 1) * rows * columns]
  const own = withPair(
    { dtype: 'float32', shape: [rows, columns], data: (data as Float32Array).slice(from, to) },
    pair,
  )
  const made = (data as Float32Array).slice()
  made.set(own.data as Float32Array, from)
  return { ...base, data: made }
}

interface Placed {
  readonly pairs: ReadonlyMap<string, readonly (readonly [Place, Pair])[]>
  readonly leftOut: readonly string[]
}

/** Throws `CHECKPOINT` for a pair that fits no weight of the encoder. */
function placed({ dir, pairs }: Adapter, found: FoundWeights): Placed {
  const made = new Map<string, (readonly [Place, Pair])[]>()
  const leftOut: string[] = []
  for (const [module, pair] of pairs) {
    const place = ofText.test(module) ? null : placeOf(module, found)
    if (!place) {
      leftOut.push(module)
      continue
    }
    const { shape } = found.stored.get(place.name)!
    const wanted = [shape[0]! / place.parts, pair.a.shape[0]!, shape.slice(1).reduce((a, b) => a * b, 1)]
    const got = [pair.b.shape[0]!, pair.a.shape[0]!, pair.a.shape[1]!]
    if (wanted.join() !== got.join())
      refuse(
        dir,
        `it is not of ${found.files[0]}: ${module} changes a weight of [${got[0]}, ${got[2]}], and there it is [${wanted[0]}, ${wanted[2]}]`,
      )
    made.set(place.name, [...(made.get(place.name) ?? []), [place, pair]])
  }
  if (pairs.size > 0 && made.size === 0)
    refuse(
      dir,
      `it is not of ${found.files[0]}, whose encoder has none of its modules: ${leftOut.slice(0, 3).join(', ')}${leftOut.length > 3 ? ', …' : ''}`,
    )
  return { pairs: made, leftOut }
}

const counted = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`

/** A base with its adapter. Throws `CHECKPOINT` for an adapter of other weights. */
export function withAdapter(base: FoundWeights, adapter: Adapter): FoundWeights {
  const { dir, facts, others } = adapter
  if (facts && facts.base !== sealOfWeights(base))
    refuse(
      dir,
      `it was trained on other weights than those of ${base.files[0]} (SHA-256 ${facts.base.slice(0, 12)}… there, ${sealOfWeights(base).slice(0, 12)}… here): with these it would say nothing of worth`,
    )
  const other =
    facts?.preparation && base.preparation ? preparationDifferences(facts.preparation, base.preparation) : []
  if (other.length > 0)
    refuse(
      dir,
      `it was trained on images that were prepared otherwise than ${base.files[0]} has them now:\n  ${other.join('\n  ')}\nRestore what says it, such as preprocessor_config.json beside the weights.`,
    )
  const { pairs, leftOut } = placed(adapter, base)
  const hasNorm = others.has('fc_norm.weight')
  const isOurs = (name: string) => base.stored.has(name) || facts !== null
  const own = new Map([...others].filter(([name]) => isOurs(name)))
  const ignored = [...leftOut, ...[...others.keys()].filter((name) => !own.has(name))]
  const stays = (name: string) => !own.has(name) && !(hasNorm && name.startsWith('norm.'))
  const classifier: ClassifierFacts | undefined = facts ? facts.classifier : base.classifier
  return {
    ...base,
    files: [...base.files, join(dir, adapterFiles.weights)],
    stored: new Map([...[...base.stored].filter(([name]) => stays(name)), ...own]),
    load: async (isWanted) => {
      const values = await base.load((name) => stays(name) && isWanted(name))
      return new Map<string, StoredArray>([
        ...[...values].map(([name, array]): [string, StoredArray] => [
          name,
          (pairs.get(name) ?? []).reduce((weight, [place, pair]) => withPart(weight, place, pair), array),
        ]),
        ...[...own].filter(([name]) => isWanted(name)),
      ])
    },
    adapterDropout: adapter.dropout,
    ...(classifier ? { classifier } : { classifier: undefined }),
    ...(facts?.protocol !== undefined && { protocol: facts.protocol }),
    notes: [
      ...(base.notes ?? []),
      `with the adapter ${dir}, added to ${counted(adapter.pairs.size - leftOut.length, 'linear map')}${facts ? '' : '; it does not say which weights it was trained on, so only their shapes were compared'}`,
      ...(ignored.length > 0
        ? [
            `left out of it, since the encoder has no such part: ${ignored.slice(0, 3).join(', ')}${ignored.length > 3 ? `, … (${ignored.length})` : ''}`,
          ]
        : []),
    ],
  }
}
