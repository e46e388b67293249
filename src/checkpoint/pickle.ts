/**
 * Python's pickle format (protocols 0 to 5) read as data. A pickle is a program for a stack machine that may call whatever Python can
 * import; here it may call what the caller's table names, and nothing else exists. Another global, opcode or use of one is refused
 * with its place. Memory is bounded by the length of the pickle: an opcode makes at most one value.
 */
import { messageOf, SherdError } from '../errors.ts'

/** An instance of a class that is only data: its attributes. */
export interface PickledObject {
  readonly kind: 'object'
  readonly of: string
  readonly fields: Map<unknown, unknown>
}

/** What `module.name` means: what it makes of its arguments, or a name that stands for itself. */
export type PickleGlobal = ((args: readonly unknown[]) => unknown) | 'name'

export interface PickleRules {
  readonly globals: Readonly<Record<string, PickleGlobal>>
  /** What a persistent id refers to. */
  readonly persistent: (id: unknown) => unknown
}

interface Reference {
  readonly kind: 'global'
  readonly name: string
  readonly meaning: PickleGlobal
}

export const isReference = (value: unknown): value is Reference =>
  (value as Reference | null)?.kind === 'global'
export const isObject = (value: unknown): value is PickledObject =>
  (value as PickledObject | null)?.kind === 'object'

const MAX_VALUES = 4e6
const MAX_INTEGER_BYTES = 64

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** A little-endian two's complement number; beyond 2⁵³ a bigint. */
function integerOf(bytes: Uint8Array): number | bigint {
  if (bytes.length > MAX_INTEGER_BYTES) refuse(`a number of ${bytes.length} bytes`)
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!)
  const signed = BigInt.asIntN(bytes.length * 8, value)
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
}

/** The machine: bytes that are read in order, a stack, the stacks below its marks, a memory. */
interface Machine {
  readonly take: (count: number) => Buffer
  readonly number: (bytes: 1 | 2 | 4 | 8) => number
  readonly line: () => string
  readonly push: (value: unknown) => void
  readonly pop: () => unknown
  readonly top: () => unknown
  readonly mark: () => void
  /** All above the last mark, which is taken off. */
  readonly sinceMark: () => unknown[]
  readonly memory: Map<number, unknown>
  readonly rules: PickleRules
}

const asList = (value: unknown): unknown[] =>
  Array.isArray(value) ? value : refuse('something is appended to what is no list')
const asDict = (value: unknown): Map<unknown, unknown> =>
  value instanceof Map ? value : refuse('a key is set of what is no dictionary')

function setPairs(dict: unknown, pairs: readonly unknown[]): void {
  const map = asDict(dict)
  if (pairs.length % 2 !== 0) refuse('a key has no value')
  for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1])
}

function lookUp(module: unknown, name: unknown, { rules }: Machine): Reference {
  const full = `${module}.${name}`
  if (typeof module !== 'string' || typeof name !== 'string' || !Object.hasOwn(rules.globals, full))
    return refuse(`it asks for "${full.slice(0, 200)}", which is none of what weights are made of`)
  return { kind: 'global', name: full, meaning: rules.globals[full]! }
}

function callGlobal(m: Machine): void {
  const args = m.pop()
  const called = m.pop()
  const meaning = isReference(called) ? called.meaning : null
  if (Array.isArray(args) && typeof meaning === 'function') m.push(meaning(args))
  else refuse(`it calls ${isReference(called) ? called.name : 'what is no function'}`)
}

/** Attributes of an object. Those of a dictionary, such as the versions of modules beside their weights, are left out. */
function build(m: Machine): void {
  const state = m.pop()
  const target = m.top()
  if (isObject(target) && state instanceof Map)
    for (const [name, value] of state) target.fields.set(name, value)
  else if (!(target instanceof Map)) refuse('it sets the state of what has none')
}

function remembered(m: Machine, key: number): void {
  if (!m.memory.has(key)) refuse(`it remembers nothing under ${key}`)
  m.push(m.memory.get(key))
}

function wholeNumber(text: string): number | bigint | boolean {
  if (text === '00' || text === '01') return text === '01'
  if (!/^-?\d{1,150}L?$/.test(text)) return refuse(`"${text.slice(0, 40)}" is no whole number`)
  const value = BigInt(text.replace('L', ''))
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** Bytes that stay valid when the pickle's are gone. */
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
  // memory
  112: ['PUT', (m) => m.memory.set(Number(wholeNumber(m.line())), m.top())],
  113: ['BINPUT', (m) => m.memory.set(m.number(1), m.top())],
  114: ['LONG_BINPUT', (m) => m.memory.set(m.number(4), m.top())],
  148: ['MEMOIZE', (m) => m.memory.set(m.memory.size, m.top())],
  103: ['GET', (m) => remembered(m, Number(wholeNumber(m.line())))],
  104: ['BINGET', (m) => remembered(m, m.number(1))],
  106: ['LONG_BINGET', (m) => remembered(m, m.number(4))],
  // names and what they make
  99: ['GLOBAL', (m) => m.push(lookUp(m.line(), m.line(), m))],
  147: ['STACK_GLOBAL', (m) => pushGlobal(m, [m.pop(), m.pop()])],
  82: ['REDUCE', callGlobal],
  129: ['NEWOBJ', callGlobal],
  98: ['BUILD', build],
  81: ['BINPERSID', (m) => m.push(m.rules.persistent(m.pop()))],
}

function appendTop(m: Machine, values: readonly unknown[]): void {
  const list = asList(m.top())
  for (const value of values) list.push(value)
}
const setTop = (m: Machine, pairs: readonly unknown[]) => setPairs(m.top(), pairs)
function pushDict(m: Machine, pairs: readonly unknown[]): void {
  const dict = new Map()
  setPairs(dict, pairs)
  m.push(dict)
}
const pushGlobal = (m: Machine, [name, module]: readonly unknown[]) => m.push(lookUp(module, name, m))

const STOP = 0x2e

/**
 * The value of a pickle: dictionaries are Maps, lists and tuples arrays; one value may be found in several places of it, and in
 * itself. Throws `CHECKPOINT` saying at which byte what is refused.
 */
export function readPickle(bytes: Buffer, rules: PickleRules): unknown {
  let at = 0
  let values = 0
  let stack: unknown[] = []
  const below: unknown[][] = []
  const take = (count: number) => {
    if (at + count > bytes.length) refuse('it ends in the middle')
    at += count
    return bytes.subarray(at - count, at)
  }
  const machine: Machine = {
    take,
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
      if (++values > MAX_VALUES) refuse(`it has more than ${MAX_VALUES} values`)
      stack.push(value)
    },
    pop: () => (stack.length > 0 ? stack.pop() : refuse('it takes from an empty stack')),
    top: () => (stack.length > 0 ? stack[stack.length - 1] : refuse('it looks at an empty stack')),
    mark: () => {
      if (++values > MAX_VALUES) refuse(`it has more than ${MAX_VALUES} values`)
      below.push(stack)
      stack = []
    },
    sinceMark: () => {
      const above = stack
      stack = below.pop() ?? refuse('it looks for a mark that is not there')
      return above
    },
    memory: new Map(),
    rules,
  }
  for (;;) {
    const start = at
    let name = 'its end'
    try {
      const code = take(1)[0]!
      name = `opcode 0x${code.toString(16).padStart(2, '0')}`
      if (code === STOP) return machine.pop()
      const known = steps[code] ?? refuse('it is none of those that weights are written with')
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
