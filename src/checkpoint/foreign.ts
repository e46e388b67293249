/**
 * Weights that other programs wrote, as a file or a folder: `.safetensors`, or what `torch.save` wrote (`.pth`, `.pt`, `.bin`), whole or in
 * several files with an index; and the configurations beside them. What the names mean is told in `layouts.ts`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import type { WaitingArray } from './arrays.ts'
import { readArrays } from './safetensors.ts'
import { type Flattened, flatten, openTorchFile, waiting } from './torch-file.ts'

export interface ForeignWeights {
  /** The files, for messages. */
  readonly path: string
  readonly arrays: ReadonlyMap<string, WaitingArray>
  /** Numbers and texts that were saved beside them, such as `args.mask_ratio`. */
  readonly facts: Flattened['facts']
  /** `config.json` and `preprocessor_config.json` of the folder, as they are. */
  readonly config: Readonly<Record<string, unknown>> | null
  readonly preprocessor: Readonly<Record<string, unknown>> | null
  /** Of a safetensors file. */
  readonly metadata: Readonly<Record<string, string>>
  /** What was chosen and left out. */
  readonly notes: readonly string[]
  readonly close: () => Promise<void>
}

/** Where a training keeps the weights, the first that is there. */
const containers = ['model', 'state_dict', 'model_state_dict', 'model_state', 'net', 'model_ema', 'teacher']

type Opened = Pick<ForeignWeights, 'arrays' | 'facts' | 'metadata' | 'notes' | 'close'>

async function openTorch(path: string): Promise<Opened> {
  const file = await openTorchFile(path)
  try {
    const { value } = file
    const found = containers.filter((name) => value instanceof Map && value.get(name) instanceof Map)
    const chosen = found[0]
    const weights = chosen === undefined ? value : (value as Map<unknown, unknown>).get(chosen)
    const { tensors } = flatten(weights)
    const notes =
      found.length > 1 ? [`took the weights "${chosen}", not "${found.slice(1).join('", "')}"`] : []
    return {
      arrays: new Map([...tensors].map(([name, tensor]) => [name, waiting(file, tensor)])),
      facts: flatten(value instanceof Map ? new Map([['args', value.get('args')]]) : null).facts,
      ...{ metadata: {}, notes, close: file.close },
    }
  } catch (error) {
    await file.close()
    throw error instanceof SherdError ? new SherdError(error.code, `${path}: ${error.message}`) : error
  }
}

function openOne(path: string): Promise<Opened> | Opened {
  if (!path.endsWith('.safetensors')) return openTorch(path)
  const { metadata, tensors } = readArrays(path)
  const arrays = new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, read: async () => data }]),
  )
  return { arrays, metadata, facts: new Map(), notes: [], close: async () => {} }
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) })

/** The files that an index names, which must lie beside it. */
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
const endings = /\.(?:safetensors|bin|pth|pt)$/

/** The files of weights in a folder. */
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
        : `${folder} has no file of weights: expected model.safetensors, pytorch_model.bin or one .safetensors, .pth, .pt or .bin file`
      : `${folder} has several files of weights (${all.join(', ')}): name one of them`,
  )
}

/** Opens weights; close them when they were read. Throws `CHECKPOINT` naming the file and what is wrong with it. */
export async function openForeign(given: string): Promise<ForeignWeights> {
  const path = resolve(given)
  if (!existsSync(path))
    throw new SherdError(
      'CHECKPOINT',
      `${path} does not exist: expected a .safetensors, .pth, .pt or .bin file, or a folder of one.`,
    )
  const isFile = statSync(path).isFile()
  const files = isFile ? [path] : filesIn(path)
  const folder = isFile ? dirname(path) : path
  // Beside a file of another name there may be the configuration of something else.
  const hasConfig = !isFile || usualNames.includes(basename(path))
  const opened: Opened[] = []
  const close = async () => {
    for (const each of opened) await each.close()
  }
  try {
    for (const file of files) opened.push(await openOne(file))
    return {
      path,
      arrays: new Map(opened.flatMap(({ arrays }) => [...arrays])),
      facts: opened[0]!.facts,
      config: hasConfig ? recordOf(join(folder, 'config.json')) : null,
      preprocessor: hasConfig ? recordOf(join(folder, 'preprocessor_config.json')) : null,
      metadata: opened[0]!.metadata,
      notes: opened.flatMap(({ notes }) => notes),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
