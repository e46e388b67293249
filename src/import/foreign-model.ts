/**
 * A model of another program: its parameters under our names, dimensions from their shapes, positions. What the file does not state is
 * reported as a note, or must be set. Over 300 lines: one model is put together of what names, shapes and configuration show.
 */
import type { WaitingArray } from '../checkpoint/arrays.ts'
import type { ClassifierFacts } from '../checkpoint/weights-metadata.ts'
import type { ConfigInput } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import type { EncoderNorm } from '../model/classifier.ts'
import { sizeNames, sizes } from '../model/sizes.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { type Grid, type PatchSize, shortSize } from '../token/grid.ts'
import type { ForeignWeights } from './foreign.ts'
import { bandsWritten, preparationOf } from './foreign-facts.ts'
import { classifierOf, projectionFromHead, readByHead, withoutHead } from './foreign-head.ts'
import type { ForeignParameter } from './foreign-parameter.ts'
import type { Facts, Family, ModelInput, OpenKey, Source } from './layouts/facts.ts'
import { releasedHeads } from './layouts/heads.ts'
import { type Layout, rowOf, templateOf, theirNamesOf } from './layouts/layout.ts'
import { type LayoutName, layouts } from './layouts.ts'
import { expectFitting } from './misfit.ts'
import { type Dropped, type Placed, placesOf } from './places.ts'
import type { Preparation } from './preprocessing.ts'
import { type Located, recognise } from './recognise.ts'
import { releasedBands } from './satmae-statistics.ts'
import { readShapes, type Shapes } from './shapes.ts'
import { type Named, translate, type UnusedTensor } from './translate-names.ts'

export interface ForeignModel {
  readonly layout: LayoutName
  readonly family: Family
  /** Of all names of the model, and after that of its encoder. */
  readonly prefix: string
  readonly wrapper: string
  readonly parameters: ReadonlyMap<string, ForeignParameter>
  readonly places: Placed
  readonly hasDecoder: boolean
  readonly norm: EncoderNorm
  readonly classifier: ClassifierFacts | null
  /** The keys that the file states or its shapes show. */
  readonly config: ConfigInput
  /** Keys that must be set; `atOwnSize`: for images of another size alone. */
  readonly open: readonly OpenKey[]
  /** Base of the periods of rotary positions, which depend on the number of heads. */
  readonly rotaryBase: number | null
  readonly statistics: ChannelStatistics | null
  /** Keys of `data` that say how images are prepared, for models of photographs. */
  readonly preparation: Preparation['data']
  /** Their names that have no counterpart here. */
  readonly unexpected: readonly string[]
  readonly misshapen: readonly string[]
  /** Their names for one of ours that is missing. */
  readonly theirNames: (ours: string) => readonly string[]
  /** Their tensors that are computed here, or unused. */
  readonly dropped: readonly Dropped[]
  /** The unused among them. */
  readonly unused: readonly UnusedTensor[]
  readonly notes: readonly string[]
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

export interface ReadingOptions {
  /** Prefix of the model's names, if the file holds several. */
  readonly prefix?: string | null
  /** The grid of the file's positions. */
  readonly grid?: Grid | null
  /** The grid by patch size, used if the file does not state it and the number of positions fits. */
  readonly gridOf?: (patchSize: PatchSize) => Grid | null
}

/** Usual wrappers: `module.` of DataParallel, `_orig_mod.` of torch.compile. */
const ordinary = /^(?:(?:module|model|_orig_mod|backbone|base_model)\.)*$/

/** Their names below the prefix. */
function below<T>(named: ReadonlyMap<string, T>, { prefix }: Located): Map<string, T> {
  const own = [...named].filter(([name]) => name.startsWith(prefix))
  return new Map(own.map(([name, value]) => [name.slice(prefix.length), value]))
}

function notesOf({ prefix, outside }: Located): string[] {
  if (prefix === '' || (outside.length === 0 && ordinary.test(prefix))) return []
  const more = outside.length > 3 ? ', …' : ''
  const left =
    outside.length > 0
      ? `, and left out ${outside.length} others (${outside.slice(0, 3).join(', ')}${more})`
      : ''
  return [`took the names under "${prefix}"${left}`]
}

/** Throws `CHECKPOINT` if a parameter is not a tensor. */
function expectTensors({ objects }: ForeignWeights, { prefix, wrapper }: Located, layout: Layout): void {
  for (const [name, of] of objects) {
    if (!name.startsWith(prefix)) continue
    const rest = name.slice(prefix.length)
    const own = rest.startsWith(wrapper) ? rest.slice(wrapper.length) : rest
    if (own === layout.positions?.name || own === layout.decoderPositions || rowOf(layout, own))
      refuse(`${name} is ${of}, where a tensor is needed: save the weights as plain tensors`)
  }
}

function sourceOf(weights: ForeignWeights, { parameters, tables, lacking }: Named, layout: Layout): Source {
  const shapes = new Map<string, readonly number[]>()
  for (const [name, { shape }] of parameters) shapes.set(templateOf(name).template, shape)
  for (const [name, { shape }] of tables)
    shapes.set(name === layout.positions?.name ? 'pos_embed' : name, shape)
  const names = new Set([...shapes.keys(), ...[...lacking.keys()].map((name) => templateOf(name).template)])
  return { ...weights, has: (name) => names.has(name), shapeOf: (name) => shapes.get(name) ?? null }
}

const releasedCounts = releasedBands.groups.map(({ length }) => length).join()

const countOf = ({ shape }: Pick<WaitingArray, 'shape'>) => shape.reduce((a, b) => a * b, 1)
const isZero = async ({ read }: WaitingArray) => (await read()).every((value) => Number(value) === 0)

/**
 * A ViTMAE that transformers 5 made itself has zeros for its decoder's positions: such a decoder is not sherd's, and has hardly learned.
 * Takes it out of the parameters; returns their names of it.
 */
async function withoutZeroDecoder({ parameters, tables }: Named, layout: Layout): Promise<string[]> {
  const table = layout.decoderPositions === null ? undefined : tables.get(layout.decoderPositions)
  if (!table || countOf(table) === 0 || !(await isZero(table))) return []
  const names = [...parameters.keys()].filter((name) => /^decoder_|^mask_token$/.test(name))
  const from = names.flatMap((name) => parameters.get(name)!.from)
  for (const name of names) parameters.delete(name)
  return from
}

/** Throws `CHECKPOINT` for what a configuration says and the shapes do not show. */
function expectStated({ stated }: Facts, { patchSize, width, channels, hidden, feedForward }: Shapes): void {
  const pairs: (readonly [what: string, said: number | undefined, shown: number])[] = [
    ['a width of', stated.width, width],
    ...(feedForward === 'swiglu' ? [] : [['a hidden width of', stated.hidden, hidden] as const]),
    ['channels:', stated.channels, channels[0]!],
    ['a patch height of', stated.patchSize?.[0], patchSize[0]],
    ['a patch width of', stated.patchSize?.[1], patchSize[1]],
  ]
  const contradicted = pairs
    .filter(([, said, shown]) => said !== undefined && said !== shown)
    .map(([what, said, shown]) => `${what} ${said}, and the weights have ${shown}`)
  expectFitting({ contradicted })
}

/** What the names show of the encoder, beside its shapes. */
function shownBy({ has, shapeOf }: Source, facts: Facts, { depth }: { readonly depth: number }): ModelInput {
  const any = (...names: readonly string[]) => names.some((name) => has(name))
  const block = (...names: readonly string[]) => any(...names.map((name) => `blocks.{i}.${name}`))
  const [own, shared] = [
    block('attn.relative_position_bias_table'),
    any('rel_pos_bias.relative_position_bias_table'),
  ]
  const tables = own ? (shared ? 'both' : 'per-block') : shared ? 'shared' : null
  const registers = facts.stated.registers ?? shapeOf('register_tokens')?.[1] ?? 0
  const hasBias = block('attn.qkv.bias')
  const qkvBias = hasBias || depth === 0 ? 'all' : block('attn.q_bias', 'attn.v_bias') ? 'qv' : 'none'
  return {
    ...(tables && { relativePositions: tables }),
    ...(registers > 0 && { registers }),
    ...(any('norm_pre.weight', 'norm_pre.bias') && { preNorm: true }),
    ...(any('attn_pool.latent', 'attn_pool.q.weight', 'attn_pool.kv.weight') && { attentionPool: true }),
    ...(block('ls1.gamma', 'ls2.gamma') && { layerScale: 1 }),
    ...(qkvBias !== 'all' && { qkvBias }),
  }
}

/** Keys that change nothing are left out. */
const plainKeys: Readonly<Record<string, unknown>> = {
  ...{ cls: true, patchBias: true, preNorm: false, feedForward: 'mlp', qkvBias: 'all', registers: 0 },
  ...{ attentionPool: false, activation: null, projection: null, relativePositions: null, hidden: null },
}
const withoutPlain = (model: ModelInput): ModelInput =>
  Object.fromEntries(
    Object.entries(model).filter(([key, value]) => !(key in plainKeys) || plainKeys[key] !== value),
  )

/** Throws `CHECKPOINT` for models that are not supported. */
export async function readForeign(
  weights: ForeignWeights,
  { prefix = null, grid = null, gridOf = () => null }: ReadingOptions = {},
): Promise<ForeignModel> {
  const located = recognise(weights.arrays.keys(), prefix)
  const { wrapper } = located
  const arrays = below(weights.arrays, located)
  const layoutName = variantOf(arrays, located)
  const layout: Layout = layouts[layoutName]
  expectTensors(weights, located, layout)
  const named = translate(arrays, layout, wrapper)
  const { parameters, lacking } = named
  const missingNames = (ours: string) => {
    const isOutside = rowOf(layout, theirNamesOf(layout, ours)?.[0] ?? '')?.row.isOutside ?? false
    const names = lacking.get(ours) ?? theirNamesOf(layout, ours) ?? [ours]
    const before = lacking.has(ours) ? '' : isOutside ? '' : wrapper
    return names.map((name) => located.prefix + before + name)
  }
  const source = sourceOf(weights, named, layout)
  const given = layout.facts(source)
  const zeroDecoder = await withoutZeroDecoder(named, layout)
  const shapes = readShapes(named, { missingNames, stated: given.stated })
  const reads = await readByHead(parameters, shapes)
  const facts: Facts = reads ? { ...given, model: { ...given.model, feature: reads } } : given
  const { width, patchSize, channels, decoder, model } = shapes
  expectStated(facts, shapes)
  const shown = shownBy(source, facts, { depth: model.depth! })
  const places = await placesOf(named, shapes, layoutName, {
    ...{ facts, given: grid, likely: gridOf(patchSize), missingNames },
  })
  const notes = [...weights.notes, ...notesOf(located), ...facts.notes, ...places.notes]
  if (zeroDecoder.length > 0)
    notes.push(
      'its decoder has zeros for positions, as one that transformers 5 has just made: left out, the encoder is taken',
    )
  const leftHead = withoutHead(parameters, facts)
  const headBias = parameters.get('head.bias')?.from ?? []
  const isProjection = await projectionFromHead(parameters, facts)
  const cls = parameters.get('cls_token')
  if (cls) parameters.set('cls_token', withPosition(cls, places.cls))
  const isMae = facts.family === 'dino' && places.model.positions === 'fixed' // MAE's positions are computed ones
  const family = isMae ? 'mae' : facts.family
  const said = (key: string, given: number | null | undefined, usual: number | null): number | undefined => {
    if (given == null && usual !== null)
      notes.push(
        `the file does not say ${key}: taken as ${usual}, as released models of this width and depth have`,
      )
    return given ?? usual ?? undefined
  }
  const isPooled = shown.attentionPool ?? false
  const heads = said(
    'model.heads',
    facts.model.heads ?? places.heads,
    releasedHeads(width, model.depth!, isPooled),
  )
  const decoderHeads = decoder
    ? said('decoder.heads', facts.decoderHeads, decoder.width === 512 ? 16 : null)
    : undefined
  const size = sizeNames.find(
    (name) =>
      sizes[name].width === width &&
      sizes[name].depth === model.depth &&
      sizes[name].patchSize === shortSize(patchSize),
  )
  const isSplit = layoutName === 'satmae'
  const released = isSplit && channels.join() === releasedCounts ? releasedBands : null
  if (released)
    notes.push(
      `groups of ${releasedCounts} bands: taken as the released ones, ${released.groups.join(' | ')}`,
    )
  const bands = released?.bands ?? bandsWritten(weights)
  const ownSize = [places.grid.h * patchSize[0], places.grid.w * patchSize[1]] as const
  const divides = (side: readonly [number, number] | null | undefined) =>
    side?.every((length, axis) => length % patchSize[axis]! === 0) ? side : null
  const preparation = preparationOf(weights, isSplit ? null : family)
  notes.push(...preparation.notes)
  const brought = divides(preparation.imageSize) ?? facts.imageSize?.size ?? ownSize
  const imageSize = brought.map((length, axis) => length - (length % patchSize[axis]!)) as [number, number]
  const isCut = imageSize.join() !== brought.join() && (preparation.data.resize ?? 'box') !== 'box'
  const { feature, resampling, ...ofFacts } = facts.model
  const isResampled = places.model.positions === 'learned'
  const projection = isProjection && { projection: parameters.get('projection.weight')!.shape[0]! }
  const merged = withoutPlain({ ...shown, ...ofFacts, ...model, ...places.model, ...projection })
  const norm = normOf(source, facts)
  if (facts.plainNorm)
    for (const [kind, value] of [
      ['weight', 1],
      ['bias', 0],
    ] as const)
      parameters.set(`${norm}.${kind}`, constant([width], value))
  return {
    ...{ layout: layoutName, family, parameters, places, hasDecoder: decoder !== null, norm, notes },
    ...{
      prefix: located.prefix,
      wrapper,
      unexpected: named.unexpected,
      misshapen: named.misshapen,
      theirNames: missingNames,
    },
    rotaryBase: merged.rotaryPeriods === undefined ? (facts.rotaryBase ?? null) : null,
    preparation: isSplit
      ? {}
      : { ...preparation.data, ...(isCut && { inputSize: [brought[0], brought[1]] as [number, number] }) },
    statistics: preparation.statistics ?? released?.statistics ?? null,
    classifier: classifierOf(parameters, facts, { norm, reads }),
    config: {
      ...(bands && { data: { bands: [...bands] } }),
      model: {
        ...(released && { groups: released.groups.map((group) => [...group]) }),
        ...(size && { size }),
        ...merged,
        ...(isResampled && resampling && { resampling }),
        feature: isMae ? 'mean' : isProjection ? 'pooled' : feature!,
        imageSize: [imageSize[0], imageSize[1]],
        ...(!isSplit && { channels: channels[0]! }),
        ...(heads !== undefined && { heads }),
      },
      decoder: {
        ...decoder,
        ...places.decoder,
        ...(decoderHeads !== undefined && { heads: decoderHeads }),
      },
      ...(facts.maskRatio != null && facts.maskRatio > 0 && { mask: { ratio: facts.maskRatio } }),
      target: {
        ...(facts.normalizeTarget != null && { normalize: facts.normalizeTarget }),
        ...(isSplit && { statistics: 'all' as const }),
      },
    },
    open: [
      ...[
        ...(isSplit && !released ? ['data.bands', 'model.groups'] : []),
        ...('frames' in places.model ? ['data.bands'] : []),
        ...(heads === undefined ? ['model.heads'] : []),
        ...(decoder && decoderHeads === undefined ? ['decoder.heads'] : []),
      ].map((key): OpenKey => ({ key, options: [] })),
      // Computed positions are not resampled.
      ...facts.open.filter(({ key }) => key !== 'model.resampling' || places.model.positions === 'learned'),
    ],
    dropped: [
      ...places.dropped,
      ...named.unused.map(({ name, why }) => ({ name, why })),
      ...zeroDecoder.map((name) => ({ name, why: 'a decoder without positions' })),
      ...leftHead,
      ...(isProjection ? headBias.map((name) => ({ name, why: 'zeros: its head is the projection' })) : []),
    ],
    unused: named.unused,
  }
}

/** Adds the position of cls to cls itself. */
const withPosition = (cls: ForeignParameter, position: Float32Array | null): ForeignParameter =>
  position ? { ...cls, read: async () => (await cls.read()).map((value, i) => value + position[i]!) } : cls

const constant = (shape: readonly [number], value: number): ForeignParameter => ({
  ...{ shape, from: [], read: async () => new Float32Array(shape[0]).fill(value) },
})

/** The layout of the same names that shapes show. */
function variantOf(arrays: ReadonlyMap<string, WaitingArray>, { layout, wrapper }: Located): LayoutName {
  const { variantBy }: Layout = layouts[layout]
  if (!variantBy) return layout
  const shapes = new Map(
    [...arrays].map(([name, { shape }]) => [
      name.startsWith(wrapper) ? templateOf(name.slice(wrapper.length)).template : `/${name}`,
      shape,
    ]),
  )
  return (variantBy((template) => shapes.get(template) ?? null) as LayoutName | null) ?? layout
}

/** The norm behind the blocks: what the configuration says, else what the names show. */
function normOf({ has }: Source, { norm }: Facts): EncoderNorm {
  const any = (name: string) => has(`${name}.weight`) || has(`${name}.bias`)
  return norm ?? (any('fc_norm') && !any('norm') ? 'fc_norm' : 'norm')
}
