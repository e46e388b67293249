/**
 * Reads Python's pickle format (protocols 0 to 5) without executing it. A pickle is a program for a stack machine that may call anything
 * Python can import; here only the functions of the caller's table. Calling any other name gives an object with its name, attributes and
 * items. Memory and work are bounded by the length of the pickle: an opcode makes at most one value, and copied elements are counted.
 */
import { messageOf, SherdError } from '../errors.ts'

/** An object of a class that is not in the table. */
export interface PickledObject {
  readonly kind: 'object'
  readonly of: string
  readonly fields: Map<unknown, unknown>
}

export const opaque = (of: string): PickledObject => ({ kind: 'object', of, fields: new Map() })

/** Counts copied elements. */
export type Spend = (elements: number) => void

/** Implements `module.name`. */
export type PickleGlobal = (args: readonly unknown[], spend: Spend) => unknown

export interface PickleRules {
  readonly globals: Readonly<Record<string, PickleGlobal>>
  /** Resolves a persistent id. */
  readonly persistent: (id: unknown) => unknown
}

interface Reference {
  readonly kind: 'global'
  readonly name: string
  /** Null for names outside the table. */
  readonly meaning: PickleGlobal | null
}

export const isReference = (value: unknown): value is Reference =>
  (value as Reference | null)?.kind === 'global'
export const isObject = (value: unknown): value is PickledObject =>
  (value as PickledObject | null)?.kind === 'object'

const MAX_VALUES = 4e6
/** An empty dictionary takes about 200 bytes of memory but one byte of the file. */
const MAX_DICTIONARIES = 4e5
const MAX_INTEGER_BYTES = 64
const MAX_NAME = 500
/** Copied elements per byte of the pickle: a list that becomes a dictionary is copied once. */
const MAX_COPIES = 4
/** Large integer and numeric string keys, which can be chosen to collide in a hash table. */
const MAX_LARGE_KEYS = 1e4
const LARGE = 1e6

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** Little-endian two's complement; a bigint beyond 2⁵³. */
function integerOf(bytes: Uint8Array): number | bigint {
  if (bytes.length > MAX_INTEGER_BYTES) refuse(`a number of ${bytes.length} bytes`)
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!)
  const signed = BigInt.asIntN(bytes.length * 8, value)
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
}

/** The stack machine: input, stack, stacks below its marks, memo. */
interface Machine {
  readonly take: (count: number) => Buffer
  readonly number: (bytes: 1 | 2 | 4 | 8) => number
  readonly line: () => string
  readonly push: (value: unknown) => void
  readonly pop: () => unknown
  readonly top: () => unknown
  readonly mark: () => void
  /** Pops everything above the last mark. */
  readonly sinceMark: () => unknown[]
  readonly remember: (key: number) => void
  readonly remembered: (key: number) => unknown
  /** Throws for too many keys that may collide. */
  readonly expectKey: (key: unknown) => void
  readonly spend: Spend
  readonly rules: PickleRules
  /** Names outside the table. */
  readonly unknown: Set<string>
}

const asDict = (value: unknown): Map<unknown, unknown> =>
  value instanceof Map
    ? value
    : isObject(value)
      ? value.fields
      : refuse('a key is set of what is no dictionary')

function setPairs(m: Machine, dict: unknown, pairs: readonly unknown[]): void {
  const map = asDict(dict)
  if (pairs.length % 2 !== 0) refuse('a key has no value')
  for (let i = 0; i < pairs.length; i += 2) {
    m.expectKey(pairs[i])
    map.set(pairs[i], pairs[i + 1])
  }
}

function lookUp(module: unknown, name: unknown, { rules, unknown }: Machine): Reference {
  if (typeof module !== 'string' || typeof name !== 'string') return refuse('it asks for what is no name')
  if (module.length + name.length > MAX_NAME)
    refuse(`it asks for a name of ${module.length + name.length} characters`)
  const full = `${module}.${name}`
  const meaning = Object.hasOwn(rules.globals, full) ? rules.globals[full]! : null
  if (!meaning) unknown.add(full)
  return { kind: 'global', name: full, meaning }
}

/** Pushes the result of a call. Only functions of the table are executed. */
function callGlobal(m: Machine, called: unknown, args: unknown): void {
  if (isReference(called) && called.meaning && Array.isArray(args)) m.push(called.meaning(args, m.spend))
  else if (isReference(called)) m.push(opaque(called.name))
  else if (isObject(called)) m.push(opaque(called.of))
  else refuse('it calls what is no function')
}

/** Sets attributes of an object. Those of a dictionary, such as `_metadata` of a state dict, are ignored. */
function build(m: Machine): void {
  const state = m.pop()
  const target = m.top()
  if (!isObject(target) || !(state instanceof Map)) return
  m.spend(state.size)
  for (const [name, value] of state) target.fields.set(name, value)
}

function wholeNumber(text: string): number | bigint | boolean {
  if (text === '00' || text === '01') return text === '01'
  if (!/^-?\d{1,150}L?$/.test(text)) return refuse(`"${text.slice(0, 40)}" is no whole number`)
  const value = BigInt(text.replace('L', ''))
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** A copy that outlives the pickle's buffer. */
const copyOf = (bytes: Buffer): Uint8Array => Uint8Array.from(bytes)

type Step = (m: Machine) => unknown
const steps: Readonly<Record<number, readonly [name: string, step: Step]>> = {
  40: ['MARK', (m) => m.mark()],
  48: ['POP', (m) => m.pop()],
  49: ['POP_MARK', (m) => m.sinceMark()],
  50: ['DUP', (m) => m.push(m.top())],
  128: ['PROTO', (m) => m.number(1) > 5 && refuse('its protocol is newer than 5')],
  149: ['FRAME', (m) => m.take(8)],
  // constants
  78: ['NONE', (m) => m.push(null)],
  136: ['NEWTRUE', (m) => m.push(true)],
  137: ['NEWFALSE', (m) => m.push(false)],
  73: ['INT', (m) => m.push(wholeNumber(m.line()))],
  76: ['LONG', (m) => m.push(wholeNumber(m.line()))],
  74: ['BININT', (m) => m.push(m.take(4).readInt32LE())],
  75: ['BININT1', (m) => m.push(m.number(1))],
  77: ['BININT2', (m) => m.push(m.number(2))],
  138: ['LONG1', (m) => m.push(integerOf(m.take(m.number(1))))],
  139: ['LONG4', (m) => m.push(integerOf(m.take(m.number(4))))],
  70: ['FLOAT', (m) => m.push(Number(m.line()))],
  71: ['BINFLOAT', (m) => m.push(m.take(8).readDoubleBE())],
  88: ['BINUNICODE', (m) => m.push(m.take(m.number(4)).toString('utf8'))],
  140: ['SHORT_BINUNICODE', (m) => m.push(m.take(m.number(1)).toString('utf8'))],
  141: ['BINUNICODE8', (m) => m.push(m.take(m.number(8)).toString('utf8'))],
  84: ['BINSTRING', (m) => m.push(m.take(m.number(4)).toString('latin1'))],
  85: ['SHORT_BINSTRING', (m) => m.push(m.take(m.number(1)).toString('latin1'))],
  66: ['BINBYTES', (m) => m.push(copyOf(m.take(m.number(4))))],
  67: ['SHORT_BINBYTES', (m) => m.push(copyOf(m.take(m.number(1))))],
  142: ['BINBYTES8', (m) => m.push(copyOf(m.take(m.number(8))))],
  150: ['BYTEARRAY8', (m) => m.push(copyOf(m.take(m.number(8))))],
  86: ['UNICODE', (m) => m.push(m.line())],
  83: ['STRING', (m) => m.push(m.line())], // keeps its quotes: parameter names are not written so
  // containers
  93: ['EMPTY_LIST', (m) => m.push([])],
  108: ['LIST', (m) => m.push(m.sinceMark())],
  97: ['APPEND', (m) => appendTop(m, [m.pop()])],
  101: ['APPENDS', (m) => appendTop(m, m.sinceMark())],
  41: ['EMPTY_TUPLE', (m) => m.push([])],
  116: ['TUPLE', (m) => m.push(m.sinceMark())],
  133: ['TUPLE1', (m) => m.push([m.pop()])],
  134: ['TUPLE2', (m) => m.push([m.pop(), m.pop()].reverse())],
  135: ['TUPLE3', (m) => m.push([m.pop(), m.pop(), m.pop()].reverse())],
  125: ['EMPTY_DICT', (m) => m.push(new Map())],
  100: ['DICT', (m) => pushDict(m, m.sinceMark())],
  115: ['SETITEM', (m) => setTop(m, [m.pop(), m.pop()].reverse())],
  117: ['SETITEMS', (m) => setTop(m, m.sinceMark())],
  143: ['EMPTY_SET', (m) => m.push(opaque('set'))],
  144: ['ADDITEMS', (m) => m.sinceMark()],
  145: ['FROZENSET', (m) => m.sinceMark() && m.push(opaque('frozenset'))],
  // memo
  112: ['PUT', (m) => m.remember(Number(wholeNumber(m.line())))],
  113: ['BINPUT', (m) => m.remember(m.number(1))],
  114: ['LONG_BINPUT', (m) => m.remember(m.number(4))],
  148: ['MEMOIZE', (m) => m.remember(-1)],
  103: ['GET', (m) => m.push(m.remembered(Number(wholeNumber(m.line()))))],
  104: ['BINGET', (m) => m.push(m.remembered(m.number(1)))],
  106: ['LONG_BINGET', (m) => m.push(m.remembered(m.number(4)))],
  // globals and calls
  99: ['GLOBAL', (m) => m.push(lookUp(m.line(), m.line(), m))],
  147: ['STACK_GLOBAL', (m) => pushGlobal(m, [m.pop(), m.pop()])],
  82: ['REDUCE', (m) => pushCall(m, [m.pop(), m.pop()])],
  129: ['NEWOBJ', (m) => pushCall(m, [m.pop(), m.pop()])],
  146: ['NEWOBJ_EX', (m) => pushCall(m, [m.pop(), m.pop(), m.pop()].slice(1))], // ignores keyword arguments
  105: ['INST', (m) => callGlobal(m, lookUp(m.line(), m.line(), m), m.sinceMark())],
  111: ['OBJ', (m) => pushObject(m, m.sinceMark())],
  98: ['BUILD', build],
  81: ['BINPERSID', (m) => m.push(m.rules.persistent(m.pop()))],
}

function appendTop(m: Machine, values: readonly unknown[]): void {
  const list = m.top()
  if (Array.isArray(list)) for (const value of values) list.push(value)
  else if (!isObject(list)) refuse('something is appended to a value that is not a list') // objects may be subclasses of list
}
const setTop = (m: Machine, pairs: readonly unknown[]) => setPairs(m, m.top(), pairs)
function pushDict(m: Machine, pairs: readonly unknown[]): void {
  const dict = new Map()
  setPairs(m, dict, pairs)
  m.push(dict)
}
const pushGlobal = (m: Machine, [name, module]: readonly unknown[]) => m.push(lookUp(module, name, m))
const pushCall = (m: Machine, [args, called]: readonly unknown[]) => callGlobal(m, called, args)
const pushObject = (m: Machine, [called, ...args]: readonly unknown[]) => callGlobal(m, called, args)

const STOP = 0x2e

export interface Unpickled {
  /** Dictionaries are Maps, lists and tuples arrays; values may be shared and cyclic. */
  readonly value: unknown
  /** Offset of the end of the pickle. */
  readonly end: number
  /** Its names outside the table. */
  readonly unknown: ReadonlySet<string>
}

/** Reads the pickle at byte `from`. Throws `CHECKPOINT` with the byte and the reason. */
export function readPickle(bytes: Buffer, rules: PickleRules, from = 0): Unpickled {
  let at = from
  const counted = { values: 0, dictionaries: 0, copies: 0, largeKeys: 0 }
  const mostCopies = MAX_COPIES * bytes.length
  const memory = new Map<number, unknown>()
  let stack: unknown[] = []
  const below: unknown[][] = []
  const take = (count: number) => {
    if (at + count > bytes.length) refuse('it ends in the middle')
    at += count
    return bytes.subarray(at - count, at)
  }
  const count = () => {
    if (++counted.values > MAX_VALUES) refuse(`it has more than ${MAX_VALUES} values`)
  }
  const top = () => (stack.length > 0 ? stack[stack.length - 1] : refuse('it looks at an empty stack'))
  const machine: Machine = {
    ...{ take, top, rules, unknown: new Set<string>() },
    number: (length) => {
      const from = take(length)
      return length === 8 ? Number(from.readBigUInt64LE()) : from.readUIntLE(0, length)
    },
    line: () => {
      const end = bytes.indexOf(0x0a, at)
      if (end < 0) refuse('it ends in the middle')
      return take(end + 1 - at)
        .toString('utf8')
        .slice(0, -1)
    },
    push: (value) => {
      count()
      if ((value instanceof Map || isObject(value)) && ++counted.dictionaries > MAX_DICTIONARIES)
        refuse(`it has more than ${MAX_DICTIONARIES} dictionaries`)
      stack.push(value)
    },
    pop: () => (stack.length > 0 ? stack.pop() : refuse('it takes from an empty stack')),
    mark: () => {
      count()
      below.push(stack)
      stack = []
    },
    sinceMark: () => {
      const above = stack
      stack = below.pop() ?? refuse('it looks for a mark that is not there')
      return above
    },
    remember: (given) => {
      const key = given < 0 ? memory.size : given
      // Python numbers memo entries consecutively; other keys could be chosen to collide.
      if (!(key <= bytes.length)) refuse(`it remembers something under ${key}`)
      memory.set(key, top())
    },
    remembered: (key) => (memory.has(key) ? memory.get(key) : refuse(`it remembers nothing under ${key}`)),
    expectKey: (key) => {
      const isLarge =
        typeof key === 'string'
          ? key.length < 16 && /^\d{7,}$/.test(key)
          : typeof key === 'bigint' ||
            (typeof key === 'number' && !(Number.isInteger(key) && Math.abs(key) < LARGE))
      if (isLarge && ++counted.largeKeys > MAX_LARGE_KEYS)
        refuse(`it has more than ${MAX_LARGE_KEYS} keys that are large numbers`)
    },
    spend: (elements) => {
      counted.copies += elements
      if (counted.copies > mostCopies) refuse('it takes one list or dictionary apart again and again')
    },
  }
  for (;;) {
    const start = at
    let name = 'its end'
    try {
      const code = take(1)[0]!
      name = `opcode 0x${code.toString(16).padStart(2, '0')}`
      if (code === STOP) return { value: machine.pop(), end: at, unknown: machine.unknown }
      const known = steps[code] ?? refuse('weights do not use it')
      name = known[0]
      known[1](machine)
    } catch (error) {
      if (!(error instanceof SherdError)) throw error
      throw new SherdError('CHECKPOINT', `its pickle, byte ${start} (${name}): ${messageOf(error)}`, {
        cause: error,
      })
    }
  }
}
