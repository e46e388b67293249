/**
 * Opens weights of other programs, a file or a folder: `.safetensors` or `torch.save` (`.pth`, `.pt`, `.bin`), whole or sharded with an
 * index; and the configurations beside them. `layouts.ts` maps their names, `recognise.ts` finds the layout.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import type { WaitingArray } from '../checkpoint/arrays.ts'
import { readArrays } from '../checkpoint/safetensors.ts'
import { messageOf, SherdError } from '../errors.ts'
import { chooseWeights } from './choose-weights.ts'
import { type Flattened, flatten } from './flatten.ts'
import { isObject } from './pickle.ts'
import { openTorchFile, waiting } from './torch-file.ts'

export interface ForeignWeights {
  /** For messages. */
  readonly path: string
  readonly arrays: ReadonlyMap<string, WaitingArray>
  /** Values that are not tensors, by class name. */
  readonly objects: Flattened['objects']
  /** Saved numbers and strings, such as `args.mask_ratio`. */
  readonly facts: Flattened['facts']
  /** `config.json` and `preprocessor_config.json`, unparsed. */
  readonly config: Readonly<Record<string, unknown>> | null
  readonly preprocessor: Readonly<Record<string, unknown>> | null
  /** Of safetensors. */
  readonly metadata: Readonly<Record<string, string>>
  readonly notes: readonly string[]
  readonly close: () => Promise<void>
}

type Opened = Pick<ForeignWeights, 'arrays' | 'objects' | 'facts' | 'metadata' | 'notes' | 'close'>

export interface OpeningOptions {
  /** The key of the weights, such as `state_dict_ema`, if the file holds several. */
  readonly take?: string | null
}

const SHOWN = 4

/** The saved command-line arguments of a training, if any. */
function argumentsOf(value: unknown): Flattened['facts'] {
  const args = value instanceof Map ? value.get('args') : null
  const facts = new Map<string, number | string | boolean>()
  const fields = isObject(args) ? args.fields : args
  if (!(fields instanceof Map)) return facts
  for (const [key, each] of fields)
    if (typeof key === 'string' && key.length < 100 && ['number', 'string', 'boolean'].includes(typeof each))
      facts.set(`args.${key}`, each)
  return facts
}

async function openTorch(path: string, take: string | null): Promise<Opened> {
  const file = await openTorchFile(path)
  try {
    const { value, pickleBytes, unknown } = file
    const chosen = chooseWeights(value, take)
    const { tensors, objects } = flatten(chosen.value, pickleBytes)
    const names = `${unknown.slice(0, SHOWN).join(', ')}${unknown.length > SHOWN ? ', …' : ''}`
    if (tensors.size === 0)
      throw new SherdError(
        'CHECKPOINT',
        `it holds no weights${take === null ? '' : ` under "${take}"`}${unknown.length > 0 ? `; it asks for "${names}", of which nothing is called` : ''}`,
      )
    const beside =
      unknown.length > 0 ? [`left unread beside the weights, nothing of it called: ${names}`] : []
    return {
      ...{ arrays: new Map([...tensors].map(([name, tensor]) => [name, waiting(file, tensor)])), objects },
      facts: argumentsOf(value),
      ...{ metadata: {}, notes: [...chosen.notes, ...beside], close: file.close },
    }
  } catch (error) {
    await file.close()
    throw error instanceof SherdError ? new SherdError(error.code, `${path}: ${error.message}`) : error
  }
}

function openOne(path: string, take: string | null): Promise<Opened> | Opened {
  if (!path.endsWith('.safetensors')) return openTorch(path, take)
  if (take !== null)
    throw new SherdError('USAGE', `--take: a .safetensors file such as ${path} has no keys: leave it out.`)
  const { metadata, tensors } = readArrays(path)
  const arrays = new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, read: async () => data }]),
  )
  return { arrays, objects: new Map(), metadata, facts: new Map(), notes: [], close: async () => {} }
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) })

/** The shards of an index, which must lie beside it. */
function partsOf(index: string): string[] {
  const parsed = indexSchema.safeParse(readJson(index))
  if (!parsed.success) throw new SherdError('CHECKPOINT', `${index} is no index of weights: no "weight_map"`)
  const names = [...new Set(Object.values(parsed.data.weight_map))].sort()
  const outside = names.find((name) => name !== basename(name) || name === '..')
  if (outside !== undefined)
    throw new SherdError('CHECKPOINT', `${index} names a file outside its folder: ${outside}`)
  return names.map((name) => join(dirname(index), name))
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new SherdError('CHECKPOINT', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function recordOf(path: string): Readonly<Record<string, unknown>> | null {
  if (!existsSync(path)) return null
  const json = readJson(path)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new SherdError('CHECKPOINT', `${path}: expected a JSON object`)
  return json as Record<string, unknown>
}

const usualNames = ['model.safetensors', 'pytorch_model.bin']
const endings = /\.(?:safetensors|bin|pth|pt|ckpt)$/

function filesIn(folder: string): string[] {
  for (const name of usualNames) {
    if (existsSync(join(folder, name))) return [join(folder, name)]
    if (existsSync(join(folder, `${name}.index.json`))) return partsOf(join(folder, `${name}.index.json`))
  }
  const all = readdirSync(folder).filter((name) => endings.test(name))
  if (all.length === 1) return [join(folder, all[0]!)]
  throw new SherdError(
    'CHECKPOINT',
    all.length === 0
      ? existsSync(join(folder, 'run.json'))
        ? `${folder} is a run of sherd: every command takes it as it is`
        : `${folder} has no file of weights: expected model.safetensors, pytorch_model.bin or one .safetensors, .pth, .pt, .ckpt or .bin file`
      : `${folder} has several files of weights (${all.join(', ')}): name one of them`,
  )
}

/** The caller closes it. Throws `CHECKPOINT` with the file and the reason. */
export async function openForeign(
  given: string,
  { take = null }: OpeningOptions = {},
): Promise<ForeignWeights> {
  const path = resolve(given)
  if (!existsSync(path))
    throw new SherdError(
      'CHECKPOINT',
      `${path} does not exist: expected a .safetensors, .pth, .pt, .ckpt or .bin file, or a folder of one.`,
    )
  const isFile = statSync(path).isFile()
  const files = isFile ? [path] : filesIn(path)
  const folder = isFile ? dirname(path) : path
  // A configuration beside a file of another name may belong to another model.
  const hasConfig = !isFile || usualNames.includes(basename(path))
  const opened: Opened[] = []
  const close = async () => {
    for (const each of opened) await each.close()
  }
  try {
    for (const file of files) opened.push(await openOne(file, take))
    return {
      path,
      arrays: new Map(opened.flatMap(({ arrays }) => [...arrays])),
      objects: new Map(opened.flatMap(({ objects }) => [...objects])),
      facts: opened[0]!.facts,
      config: hasConfig ? recordOf(join(folder, 'config.json')) : null,
      preprocessor: hasConfig ? recordOf(join(folder, 'preprocessor_config.json')) : null,
      metadata: opened[0]!.metadata,
      notes: [...new Set(opened.flatMap(({ notes }) => notes))],
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
