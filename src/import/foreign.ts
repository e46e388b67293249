/**
 * Opens weights of other programs, a file or a folder: `.safetensors` or `torch.save` (`.pth`, `.pt`, `.bin`), whole or sharded with an
 * index; and the configurations beside them. `layouts.ts` maps their names, `recognise.ts` finds the layout.
 */
import { closeSync, existsSync, fstatSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { WaitingArray } from '../checkpoint/arrays.ts'
import { readArray, readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { brief, messageOf, SherdError } from '../errors.ts'
import { openGiven } from '../files/regular-file.ts'
import { chooseWeightFile, isPlainName, shardsOf, usualWeights } from '../files/weight-files.ts'
import { chooseWeights } from './choose-weights.ts'
import { type Flattened, flatten } from './flatten.ts'
import { isObject } from './pickle.ts'
import { openTorchFile, waiting } from './torch-file.ts'

export interface ForeignWeights {
  /** For messages. */
  readonly path: string
  /** Those that hold the weights. */
  readonly files: readonly string[]
  readonly arrays: ReadonlyMap<string, WaitingArray>
  /** Values that are not tensors, by class name. */
  readonly objects: Flattened['objects']
  /** Saved numbers and strings, such as `args.mask_ratio`. */
  readonly facts: Flattened['facts']
  /** What stands beside the weights in a training's file, such as `teacher` and `dino_loss`. */
  readonly keys: readonly string[]
  /** Whether it is a file of PyTorch, not of safetensors. */
  readonly isTorch: boolean
  /** `config.json`, `preprocessor_config.json` and `open_clip_config.json`, unparsed. */
  readonly config: Readonly<Record<string, unknown>> | null
  readonly preprocessor: Readonly<Record<string, unknown>> | null
  readonly openClip: Readonly<Record<string, unknown>> | null
  /** Of safetensors. */
  readonly metadata: Readonly<Record<string, string>>
  readonly notes: readonly string[]
  readonly close: () => Promise<void>
}

type Opened = Pick<
  ForeignWeights,
  'arrays' | 'objects' | 'facts' | 'keys' | 'isTorch' | 'metadata' | 'notes' | 'close'
>

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

const keysOf = (value: unknown): string[] =>
  value instanceof Map
    ? [...value.keys()].filter((key) => typeof key === 'string' && key.length < 100).slice(0, 1000)
    : []

async function openTorch(path: string, take: string | null): Promise<Opened> {
  const file = await openTorchFile(path)
  try {
    const { value, pickleBytes, unknown } = file
    const chosen = chooseWeights(value, take)
    const { tensors, objects } = flatten(chosen.value, pickleBytes)
    const names = `${unknown
      .slice(0, SHOWN)
      .map((name) => brief(name))
      .join(', ')}${unknown.length > SHOWN ? ', …' : ''}`
    if (tensors.size === 0)
      throw new SherdError(
        'CHECKPOINT',
        `it holds no weights${take === null ? '' : ` under "${take}"`}${unknown.length > 0 ? `; it asks for "${names}", of which nothing is called` : ''}`,
      )
    const beside =
      unknown.length > 0 ? [`left unread beside the weights, nothing of it called: ${names}`] : []
    return {
      ...{ arrays: new Map([...tensors].map(([name, tensor]) => [name, waiting(file, tensor)])), objects },
      ...{ facts: argumentsOf(value), keys: keysOf(value), isTorch: true },
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
  const header = readSafetensorsHeader(path)
  const arrays = new Map(
    [...header.entries].map(([name, entry]) => [
      name,
      { dtype: entry.dtype, shape: entry.shape, read: async () => readArray(path, header, entry) },
    ]),
  )
  const none = { objects: new Map(), facts: new Map(), keys: [], isTorch: false, notes: [] }
  return { arrays, metadata: header.metadata, ...none, close: async () => {} }
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** The shards of an index, which must lie beside it, by the tensors that it says they hold. */
function partsOf(index: string): Map<string, readonly string[]> {
  const tensors = shardsOf(readJson(index))
  if (!tensors) return refuse(`${index} is no index of weights: no "weight_map"`)
  const outside = [...tensors.keys()].find((name) => !isPlainName(name))
  if (outside !== undefined) refuse(`${index} names a file outside its folder: ${brief(outside)}`)
  const folder = dirname(index)
  const absent = [...tensors.keys()].filter((name) => !existsSync(join(folder, name)))
  if (absent.length > 0)
    refuse(
      `${index} names ${absent.length} of its ${tensors.size} files that are not there: ${absent
        .slice(0, SHOWN)
        .map((name) => brief(name))
        .join(', ')}${absent.length > SHOWN ? ', …' : ''}`,
    )
  return new Map(
    [...tensors].sort(([a], [b]) => (a < b ? -1 : 1)).map(([file, names]) => [join(folder, file), names]),
  )
}

/** Throws `CHECKPOINT` if a file lacks what its index says, or two hold the same tensor. */
function expectDivided(
  opened: readonly Opened[],
  files: ReadonlyMap<string, readonly string[] | null>,
): void {
  const holders = new Map<string, string>()
  for (const [i, [path, names]] of [...files].entries()) {
    const { arrays } = opened[i]!
    const lacking = names?.find((name) => !arrays.has(name))
    if (lacking !== undefined) refuse(`${path} lacks ${brief(lacking)}, which its index says it holds`)
    for (const name of arrays.keys()) {
      const other = holders.get(name)
      if (other !== undefined)
        refuse(`${brief(name)} is in two files: ${basename(other)} and ${basename(path)}`)
      holders.set(name, path)
    }
  }
}

/** A configuration, or an index of a few thousand names. */
const MAX_JSON_BYTES = 2 ** 25

const MAX_DEPTH = 64

/** What walks through a value calls itself for each level. */
const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1)))

function readJson(path: string): unknown {
  try {
    const fd = openGiven(path)
    try {
      const { size } = fstatSync(fd)
      if (size > MAX_JSON_BYTES)
        throw new Error(`it has ${size} bytes, and at most ${MAX_JSON_BYTES} are expected`)
      const json: unknown = JSON.parse(readFileSync(fd, 'utf8'))
      if (isDeeper(json, MAX_DEPTH)) throw new Error(`it nests deeper than ${MAX_DEPTH} levels`)
      return json
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw new SherdError('CHECKPOINT', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

const isLink = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false

/** Whether it is there. Throws `CHECKPOINT` for a link that leads nowhere, or to itself. */
function isThere(path: string): boolean {
  if (existsSync(path)) return true
  if (isLink(path)) refuse(`${path} is a link that leads to no file, or round in a circle`)
  return false
}

function recordOf(path: string): Readonly<Record<string, unknown>> | null {
  if (!isThere(path)) return null
  const json = readJson(path)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new SherdError('CHECKPOINT', `${path}: expected a JSON object`)
  return json as Record<string, unknown>
}

/** The files of weights in a folder, with the tensors that an index says they hold. */
function filesIn(folder: string): ReadonlyMap<string, readonly string[] | null> {
  const choice = chooseWeightFile(
    (name) => isThere(join(folder, name)),
    () => readdirSync(folder),
  )
  if (choice.file !== null) {
    const path = join(folder, choice.file)
    return choice.isIndex ? partsOf(path) : new Map([[path, null]])
  }
  const { all } = choice
  return refuse(
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
  if (!isThere(path))
    throw new SherdError(
      'CHECKPOINT',
      `${path} does not exist: expected a .safetensors, .pth, .pt, .ckpt or .bin file, or a folder of one.`,
    )
  const isFile = statSync(path).isFile()
  const files = isFile ? new Map([[path, null]]) : filesIn(path)
  const folder = isFile ? dirname(path) : path
  // A configuration beside a file of another name may belong to another model.
  const hasConfig = !isFile || usualWeights.includes(basename(path))
  const opened: Opened[] = []
  const close = async () => {
    for (const each of opened) await each.close()
  }
  try {
    for (const file of files.keys()) opened.push(await openOne(file, take))
    expectDivided(opened, files)
    return {
      path,
      files: [...files.keys()],
      arrays: new Map(opened.flatMap(({ arrays }) => [...arrays])),
      objects: new Map(opened.flatMap(({ objects }) => [...objects])),
      ...{ facts: opened[0]!.facts, keys: opened[0]!.keys, isTorch: opened[0]!.isTorch },
      config: hasConfig ? recordOf(join(folder, 'config.json')) : null,
      preprocessor: hasConfig ? recordOf(join(folder, 'preprocessor_config.json')) : null,
      openClip: hasConfig ? recordOf(join(folder, 'open_clip_config.json')) : null,
      metadata: opened[0]!.metadata,
      notes: [...new Set(opened.flatMap(({ notes }) => notes))],
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
