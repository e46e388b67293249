/**
 * Finds the weights in a saved value: training code stores them beside the optimizer under various keys, and sometimes several, such as raw
 * and averaged ones, or student and teacher.
 */
import { SherdError } from '../errors.ts'
import { isObject } from './pickle.ts'
import { modelsAmong } from './recognise.ts'
import { isTensor } from './torch-objects.ts'

export interface Chosen {
  readonly value: unknown
  /** Reports a choice among several, or of an unusual key. */
  readonly notes: readonly string[]
}

/** Usual keys, in order of preference. DINO's own evaluation uses the teacher. */
const usual = ['model', 'state_dict', 'model_state_dict', 'model_state', 'net', 'teacher', 'model_ema']
const averaged = /ema|swa|averag/i

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** Longer keys are not names of parameters, and make look-ups slow. */
const MAX_NAME = 500

const dictionaryOf = (value: unknown): ReadonlyMap<unknown, unknown> | null =>
  value instanceof Map ? value : isObject(value) ? value.fields : null

const namesIn = (dictionary: ReadonlyMap<unknown, unknown>): Set<string> => {
  const names = new Set<string>()
  for (const [key, value] of dictionary)
    if (typeof key === 'string' && key.length <= MAX_NAME && isTensor(value)) names.add(key)
  return names
}

interface Place {
  readonly path: string
  readonly value: ReadonlyMap<unknown, unknown>
  readonly names: ReadonlySet<string>
}

const MAX_KEY = 100

/** Dictionaries of tensors, up to two levels below the saved value. Each once, even if it is referenced several times. */
function placesIn(root: ReadonlyMap<unknown, unknown>): Place[] {
  const places: Place[] = []
  const seen = new Set<unknown>()
  const look = (value: ReadonlyMap<unknown, unknown>, path: string, depth: number) => {
    if (seen.has(value)) return
    seen.add(value)
    const names = namesIn(value)
    if (names.size > 0) places.push({ path, value, names })
    if (depth === 2) return
    for (const [key, each] of value) {
      const inner = dictionaryOf(each)
      if (inner && typeof key === 'string' && key.length <= MAX_KEY)
        look(inner, path === '' ? key : `${path}.${key}`, depth + 1)
    }
  }
  look(root, '', 0)
  return places
}

const shown = (places: readonly Place[]) =>
  places
    .filter(({ path }) => path !== '')
    .slice(0, 8)
    .map(({ path }) => path)
    .join(', ') || 'none'

/** The value under a key such as `state_dict_ema` or `models.teacher`. */
function taken(root: ReadonlyMap<unknown, unknown>, take: string): unknown {
  if (root.has(take)) return root.get(take)
  const found = take.split('.').reduce<unknown>((at, key) => dictionaryOf(at)?.get(key), root)
  if (found !== undefined) return found
  throw new SherdError(
    'USAGE',
    `--take: there is nothing under "${take}". Dictionaries of tensors are under: ${shown(placesIn(root))}.`,
  )
}

/** Throws `USAGE` if nothing is under `take`, `CHECKPOINT` if the choice is ambiguous. */
export function chooseWeights(root: unknown, take: string | null): Chosen {
  const dictionary = dictionaryOf(root)
  if (!dictionary) {
    if (take !== null) throw new SherdError('USAGE', '--take: the file holds no dictionary.')
    return { value: root, notes: [] }
  }
  if (take !== null) return { value: taken(dictionary, take), notes: [] }
  const places = placesIn(dictionary)
  const fitting = places.filter(({ names }) => modelsAmong(names).length > 0)
  const rank = ({ path }: Place) => (path === '' ? -1 : usual.indexOf(path))
  const known = fitting.filter(({ path }) => path === '' || usual.includes(path))
  const first = known.sort((a, b) => rank(a) - rank(b))[0] ?? (fitting.length === 1 ? fitting[0]! : null)
  if (!first && fitting.length > 1)
    return refuse(`it holds several sets of weights: say which with --take (${shown(fitting)})`)
  if (!first) {
    // Of nested dictionaries the inner one is meant.
    const likely = usual.map((path) => places.find((place) => place.path === path)).find(Boolean)
    return { value: likely?.value ?? root, notes: [] }
  }
  const rest = fitting.filter((place) => place !== first)
  const described = ({ path }: Place) => `"${path}"${averaged.test(path) ? ' (averaged weights)' : ''}`
  const own = first.path === '' ? 'those that are not in a dictionary of their own' : described(first)
  if (rest.length > 0)
    return {
      value: first.value,
      notes: [
        `took the weights ${own}, not ${rest.map(described).join(', ')}: --take ${rest[0]!.path} takes ${rest.length > 1 ? 'the first of those' : 'those'}`,
      ],
    }
  const isUsual = first.path === '' || usual.includes(first.path)
  return { value: first.value, notes: isUsual ? [] : [`took the weights "${first.path}"`] }
}
