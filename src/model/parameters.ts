/**
 * Parameters by name. Names and shapes are those of the reference checkpoints, less their fixed position tables, which are computed. A
 * model describes its parameters as a list of rows; initialising, checking and counting read the list.
 */
import { didYouMean, SherdError } from '../errors.ts'
import { draws } from '../random/draws.ts'
import { call, callInPlace } from '../tensor/call.ts'
import { manualSeed, noGrad, requireGradient } from '../tensor/context.ts'
import { describeNotFinite, notFinite } from '../tensor/finite.ts'
import { full, mul, toDevice, toDtype } from '../tensor/ops.ts'
import { scope, unscoped } from '../tensor/scope.ts'
import type { Device, Shape, Tensor } from '../tensor/tensor.ts'

/**
 * How a parameter starts (He et al. 2021, A.1): xavier-uniform for products, N(0, 0.02) for tokens, N(0, 2e-5) for the head
 * of a classifier that is fine-tuned. `initial-values.ts` has those of other objectives.
 */
export type Initial =
  | 'xavier'
  | 'token'
  | 'head'
  | 'zeros'
  | 'ones'
  | { readonly value: number }
  /** From −bound to bound. */
  | { readonly uniform: number }
  /** A normal of this deviation whose values beyond ±at are not drawn: what is left deviates less. */
  | { readonly cutNormal: number; readonly at: number }
  | { readonly copyOf: string }

/**
 * What becomes of a parameter in training: `learned` by gradients; `fixed`, as a projection that stays random (MoCo v3) or a part that
 * fine-tuning leaves alone; `state` that is computed beside the gradients: averages, centres, codebooks, running statistics.
 */
export type Role = 'learned' | 'fixed' | 'state'

export interface ParameterRow {
  readonly name: string
  readonly shape: Shape
  readonly initial: Initial
  /** Default `learned`. */
  readonly role?: Role
}

export const isLearned = ({ role = 'learned' }: ParameterRow): boolean => role === 'learned'

/** The parameters of a model, in the order of its rows. */
export type Parameters = ReadonlyMap<string, Tensor>

/** Those that gradients move, in the order of the rows. */
export const learnedIn = (rows: readonly ParameterRow[], parameters: Parameters): Parameters =>
  new Map(rows.filter(isLearned).map(({ name }) => [name, parameters.get(name)!]))

/** The parameters under a prefix: `weights('attn.qkv.weight')`. */
export type Weights = (name: string) => Tensor

/** Looks parameters up by name; an unknown name is a bug or a wrong checkpoint, so it says which are near. */
export function weightsOf(parameters: Parameters): Weights {
  return (name) => {
    const found = parameters.get(name)
    if (!found)
      throw new SherdError('CHECKPOINT', `No parameter "${name}".${didYouMean(name, [...parameters.keys()])}`)
    return found
  }
}

/** `within(weights, 'blocks.0')('norm1.weight')` is `weights('blocks.0.norm1.weight')`. */
export const within =
  (weights: Weights, prefix: string): Weights =>
  (name) =>
    weights(`${prefix}.${name}`)

/** What has names with a prefix, without it. */
export const under = <T>(named: ReadonlyMap<string, T>, prefix: string): ReadonlyMap<string, T> =>
  prefix === ''
    ? named
    : new Map(
        [...named]
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, value]) => [name.slice(prefix.length), value]),
      )

const elementCount = (shape: Shape): number => shape.reduce((a, b) => a * b, 1)
export const parameterCount = (rows: readonly ParameterRow[]): number =>
  rows.reduce((total, { shape }) => total + elementCount(shape), 0)

// A convolution [D, C, P, P] counts as the linear map [D, C·P·P] that it is.
function xavierBound([out = 1, ...rest]: Shape): number {
  return Math.sqrt(6 / (out + elementCount(rest)))
}

/** Of uniform numbers by the inverse of the distribution. In float64: in float32 the ends of a wide cut would be drawn now and then. */
function cutNormal(shape: Shape, deviation: number, at: number): Tensor {
  const x = full(shape, 0, { dtype: 'float64' })
  callInPlace('uniform_', x, -1, 1)
  const inside = call('erf', full([], at / deviation / Math.SQRT2, { dtype: 'float64' })) // P(|x| < at)
  const drawn = mul(call('erfinv', mul(x, inside)), deviation * Math.SQRT2)
  return toDtype(call('clamp', drawn, -at, at), 'float32')
}

function initialTensor({ shape, initial }: ParameterRow, made: Parameters): Tensor {
  const uniform = (bound: number) => {
    const x = full(shape, 0)
    callInPlace('uniform_', x, -bound, bound)
    return x
  }
  if (typeof initial === 'object') {
    if ('value' in initial) return full(shape, initial.value)
    if ('cutNormal' in initial) return cutNormal(shape, initial.cutNormal, initial.at)
    return 'uniform' in initial ? uniform(initial.uniform) : call('clone', weightsOf(made)(initial.copyOf))
  }
  switch (initial) {
    case 'zeros':
      return full(shape, 0)
    case 'ones':
      return full(shape, 1)
    case 'token':
      return mul(call('randn', shape), 0.02)
    case 'head':
      return mul(call('randn', shape), 2e-5)
    case 'xavier':
      return uniform(xavierBound(shape))
    default:
      return initial satisfies never
  }
}

/**
 * Fresh parameters on `device`. Each is drawn on the CPU from its own address (seed, its name), so that adding a parameter
 * changes no other and every device starts alike. Copies come behind what they are copies of.
 */
export function initialParameters(
  rows: readonly ParameterRow[],
  { seed, device }: { seed: number; device: Device },
): Parameters {
  return noGrad(() =>
    unscoped(() => {
      const parameters = new Map<string, Tensor>()
      for (const row of rows) {
        manualSeed(draws({ seed, stream: `initial/${row.name}`, epoch: 0, index: 0 }).below(2 ** 32))
        const drawn = scope(() => toDevice(initialTensor(row, parameters), device))
        parameters.set(row.name, isLearned(row) ? requireGradient(drawn) : drawn)
      }
      return parameters
    }),
  )
}

/** What a stored parameter is, without its numbers. */
export type StoredParameter = Pick<Tensor, 'dtype' | 'shape'>

/**
 * Compares what is stored with the rows: every one must be there with its shape, and nothing else unless `allowMore`. Throws `CHECKPOINT`
 * with the lists of what is missing, unexpected and of another shape.
 */
export function expectRows(
  rows: readonly ParameterRow[],
  stored: ReadonlyMap<string, StoredParameter>,
  { allowMore = false }: { readonly allowMore?: boolean } = {},
): void {
  const missing = rows.filter(({ name }) => !stored.has(name)).map(({ name }) => name)
  const known = new Set(rows.map(({ name }) => name))
  const unexpected = allowMore ? [] : [...stored.keys()].filter((name) => !known.has(name))
  const reshaped = rows.flatMap(({ name, shape }) => {
    const found = stored.get(name)
    const same = !found || (found.dtype === 'float32' && found.shape.join() === shape.join())
    return same
      ? []
      : [`${name}: expected float32[${shape.join(', ')}], got ${found.dtype}[${found.shape.join(', ')}]`]
  })
  if (missing.length + unexpected.length + reshaped.length > 0) {
    const list = (title: string, names: string[]) =>
      names.length ? [`  ${title} (${names.length}): ${names.slice(0, 8).join(', ')}`] : []
    throw new SherdError(
      'CHECKPOINT',
      [
        'The weights do not fit the model:',
        ...list('missing', missing),
        ...list('unexpected', unexpected),
        ...list('wrong shape', reshaped),
      ].join('\n'),
    )
  }
}

/** Throws `NON_FINITE`. */
export function expectFinite(stored: ReadonlyMap<string, Tensor>): void {
  const broken = [...stored].flatMap(([name, each]) => notFinite(name, each) ?? [])
  const [first] = broken
  if (first)
    throw new SherdError(
      'NON_FINITE',
      `The weights are not numbers in ${broken.length} of ${stored.size} parameters: ${describeNotFinite(first)}${broken.length > 1 ? ', …' : ''}.`,
    )
}

/** Parameters from arrays, as strictly as `expectRows`. Throws `CHECKPOINT` and `NON_FINITE`. */
export function loadParameters(
  rows: readonly ParameterRow[],
  stored: ReadonlyMap<string, Tensor>,
  device: Device,
): Parameters {
  expectRows(rows, stored)
  expectFinite(stored)
  return noGrad(() =>
    unscoped(() => {
      const parameters = new Map<string, Tensor>()
      for (const row of rows) {
        const copy = scope(() => toDevice(call('clone', stored.get(row.name)!), device))
        parameters.set(row.name, isLearned(row) ? requireGradient(copy) : copy)
      }
      return parameters
    }),
  )
}
