/**
 * Adapting an encoder that is there already: low-rank adapters (LoRA, Hu et al. 2021), W + s·B·A of frozen W, and training of the biases
 * alone (BitFit, Ben Zaken et al. 2022). Names, initialisation and scale are those of PEFT. An adapted weight is made where a layer looks
 * it up, so that kernels, blocks and recomputing are those of any encoder. No dropout: a sum of weights has none.
 */
import { didYouMean, SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import { withoutAutocast } from '../tensor/context.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Backbone } from './backbone.ts'
import { isLearned, type ParameterRow, type Parameters, type Weights, weightsOf } from './parameters.ts'

export interface LowRank {
  readonly kind: 'lora'
  /** r; 0: frozen weights without adapters. */
  readonly rank: number
  /** The change of a weight is alpha / rank times B·A. */
  readonly alpha: number
  /** Ends of the names of linear maps, such as `qkv`, `attn.proj` or `blocks.11.mlp.fc1`. */
  readonly targets: readonly string[]
}

export type Adaptation = { readonly kind: 'none' } | LowRank | { readonly kind: 'bitfit' }

/** How the weights of an encoder learn. */
export type AdaptKind = Adaptation['kind']

const WEIGHT = '.weight'
const PARTS = { a: '.lora_A.weight', b: '.lora_B.weight' }

/** Biases of maps, norms and queries; not tables of position biases. */
const isBias = (name: string): boolean => /(^|[._])bias$/.test(name)

export const isAdapter = (name: string): boolean => name.endsWith(PARTS.a) || name.endsWith(PARTS.b)

const moduleOf = ({ name }: ParameterRow): string => name.slice(0, -WEIGHT.length)
const isLinear = ({ name, shape }: ParameterRow) =>
  shape.length === 2 && name.startsWith('blocks.') && name.endsWith(WEIGHT)
const isNamed = (module: string, target: string) => module === target || module.endsWith(`.${target}`)

/** The weights that adapters change. Throws `CONFIG` for a target that the encoder lacks, and a rank above the sides of a weight. */
function targetsOf(rows: readonly ParameterRow[], { rank, targets }: LowRank): readonly ParameterRow[] {
  const maps = rows.filter(isLinear)
  const short = [...new Set(maps.map((row) => moduleOf(row).split('.').at(-1)!))]
  const unknown = targets.find((target) => !maps.some((row) => isNamed(moduleOf(row), target)))
  if (unknown !== undefined)
    throw new SherdError(
      'CONFIG',
      `--lora-targets (adapt.targets): no linear map of this encoder is called "${unknown}": its maps are ${short.join(', ')}.${didYouMean(unknown, short)}`,
    )
  const chosen = maps.filter((row) => targets.some((target) => isNamed(moduleOf(row), target)))
  const narrow = chosen.find(({ shape }) => rank > Math.min(...shape))
  if (narrow)
    throw new SherdError(
      'CONFIG',
      `--lora-rank (adapt.rank) is ${rank}, and ${narrow.name} is [${narrow.shape.join(', ')}]: expected at most ${Math.min(...narrow.shape)}.`,
    )
  return rank === 0 ? [] : chosen
}

/** A starts as `nn.Linear` does, uniform to 1/√in; B with zeros, so that nothing changes at first. */
const adapterRows = (row: ParameterRow, rank: number): ParameterRow[] => {
  const [out, inner] = row.shape as readonly [number, number]
  const module = moduleOf(row)
  return [
    { name: module + PARTS.a, shape: [rank, inner], initial: { uniform: 1 / Math.sqrt(inner) } },
    { name: module + PARTS.b, shape: [out, rank], initial: 'zeros' },
  ]
}

/**
 * The rows of a model on an adapted encoder: those of the encoder are fixed, but for what adapts them; others, such as heads and decoders,
 * learn as before. Throws `CONFIG`.
 */
export function adaptRows(
  rows: readonly ParameterRow[],
  encoder: readonly ParameterRow[],
  adaptation: Adaptation,
): ParameterRow[] {
  if (adaptation.kind === 'none') return [...rows]
  const own = new Set(encoder.map(({ name }) => name))
  const targets = new Set(adaptation.kind === 'lora' ? targetsOf(encoder, adaptation) : [])
  const names = new Set([...targets].map(({ name }) => name))
  return rows.flatMap((row): ParameterRow[] => {
    if (!own.has(row.name) || !isLearned(row) || (adaptation.kind === 'bitfit' && isBias(row.name)))
      return [row]
    const fixed: ParameterRow = { ...row, role: 'fixed' }
    return adaptation.kind === 'lora' && names.has(row.name)
      ? [fixed, ...adapterRows(row, adaptation.rank)]
      : [fixed]
  })
}

/** What B·A is multiplied by. */
export const scaleOf = ({ rank, alpha }: Pick<LowRank, 'rank' | 'alpha'>): number =>
  rank === 0 ? 0 : alpha / rank

/** W + s·B·A in float32, whatever autocast says. */
export const adaptedWeight = (base: Tensor, a: Tensor, b: Tensor, scale: number): Tensor =>
  withoutAutocast(base.device, () => call('addmm', base, b, a, 1, scale))

/** Weights whose adapted ones are made when they are looked up, with gradients of the adapters. */
const adaptWeights =
  (weights: Weights, targets: ReadonlySet<string>, scale: number): Weights =>
  (name) => {
    if (!targets.has(name)) return weights(name)
    const module = name.slice(0, -WEIGHT.length)
    return adaptedWeight(weights(name), weights(module + PARTS.a), weights(module + PARTS.b), scale)
  }

/** The encoder with adapters: its rows and weights; all else is the same. Throws `CONFIG`. */
export function adaptBackbone(backbone: Backbone, adaptation: Adaptation): Backbone {
  const rows = adaptRows(backbone.rows, backbone.rows, adaptation)
  if (adaptation.kind !== 'lora') return { ...backbone, rows }
  const targets = new Set(targetsOf(backbone.rows, adaptation).map(({ name }) => name))
  const adapted = (weights: Weights) => adaptWeights(weights, targets, scaleOf(adaptation))
  return {
    ...{ ...backbone, rows },
    encodeKept: (cut, kept, weights, options) => backbone.encodeKept(cut, kept, adapted(weights), options),
    encodeAll: (view, weights, options) => backbone.encodeAll(view, adapted(weights), options),
    encodeMasked: (cut, masked, weights, options) =>
      backbone.encodeMasked(cut, masked, adapted(weights), options),
  }
}

/** Names of the adapted weights among these names. */
export const adaptedIn = (names: Iterable<string>): string[] =>
  [...names].flatMap((name) => (name.endsWith(PARTS.a) ? [name.slice(0, -PARTS.a.length) + WEIGHT] : []))

export const adaptersOf = (weight: string): readonly [a: string, b: string] => {
  const module = weight.slice(0, -WEIGHT.length)
  return [module + PARTS.a, module + PARTS.b]
}

/** Parameters with the adapters added to what they adapt, without the adapters. Called inside a scope, and without gradient. */
export function mergeAdapters(parameters: Parameters, adaptation: Adaptation): Parameters {
  if (adaptation.kind !== 'lora') return parameters
  const weights = weightsOf(parameters)
  const adapted = new Set(adaptedIn(parameters.keys()))
  const own = adaptWeights(weights, adapted, scaleOf(adaptation))
  return new Map([...parameters.keys()].filter((name) => !isAdapter(name)).map((name) => [name, own(name)]))
}
