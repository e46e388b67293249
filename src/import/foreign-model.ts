/**
 * A model of another program: its parameters under our names, dimensions from their shapes, positions. What the file does not state is
 * reported as a note, or must be set.
 */
import type { WaitingArray } from '../checkpoint/arrays.ts'
import type { ClassifierFacts } from '../checkpoint/weights-metadata.ts'
import type { ConfigInput } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { headReading } from '../model/classifier.ts'
import { sizeNames, sizes } from '../model/sizes.ts'
import type { Shape } from '../tensor/tensor.ts'
import { type Grid, type PatchSize, shortSize, tokenCount } from '../token/grid.ts'
import { sineCosine } from '../token/sine-cosine.ts'
import type { ForeignWeights } from './foreign.ts'
import { type ForeignFacts, foreignFacts } from './foreign-facts.ts'
import { type ForeignParameter, floatsOf } from './foreign-parameter.ts'
import { examinePositions, type ForeignPositions } from './foreign-positions.ts'
import { type Layout, type LayoutName, layouts, ourNameOf } from './layouts.ts'
import { type Located, recognise } from './recognise.ts'
import { releasedBands } from './satmae-statistics.ts'
import { type Named, translate } from './translate-names.ts'

export interface ForeignModel {
  readonly layout: LayoutName
  readonly parameters: ReadonlyMap<string, ForeignParameter>
  readonly positions: ForeignPositions
  readonly hasDecoder: boolean
  readonly classifier: ClassifierFacts | null
  /** The keys that the file states or its shapes show. */
  readonly config: ConfigInput
  /** Keys that must be set. */
  readonly unsaid: readonly string[]
  readonly facts: ForeignFacts
  /** Their names that have no counterpart here. */
  readonly unexpected: readonly string[]
  /** Their tensors that are computed here, or unused. */
  readonly dropped: readonly { readonly name: string; readonly why: string }[]
  readonly notes: readonly string[]
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

const MAX_DEPTH = 512

function depthOf(parameters: Named['parameters'], prefix: string): number {
  const numbers = [...parameters.keys()]
    .filter((name) => name.startsWith(`${prefix}.`))
    .map((name) => Number(name.split('.')[1]))
  const depth = Math.max(-1, ...numbers) + 1
  return depth <= MAX_DEPTH ? depth : refuse(`it has a block number ${depth - 1}`)
}

/** A ratio that gives the hidden width again, after rounding down. */
const ratioOf = (hidden: number, width: number) =>
  Math.floor(width * (hidden / width)) === hidden ? hidden / width : (hidden + 0.5) / width

type ModelInput = NonNullable<ConfigInput['model']>
type DecoderInput = NonNullable<ConfigInput['decoder']>

interface Shapes {
  readonly width: number
  readonly patchSize: PatchSize
  /** Number of each group's bands. */
  readonly channels: readonly number[]
  readonly model: ModelInput
  readonly decoder: DecoderInput | null
}

function readShapes({ parameters }: Named): Shapes {
  const shapeOf = (name: string): Shape =>
    parameters.get(name)?.shape ?? refuse(`it has no ${name}, which a ViT with a cls token has`)
  const width = shapeOf('cls_token').at(-1)!
  const embeds = [...parameters.keys()].filter((name) => /^patch_embed\b.*\.proj\.weight$/.test(name)).sort()
  const kernels = embeds.map(shapeOf)
  const [, , h, w] = kernels[0] ?? refuse('it embeds no patches')
  if (h === undefined || w === undefined || kernels.some((kernel) => kernel.length !== 4))
    refuse(
      `its patches are embedded by [${kernels[0]!.join(', ')}], expected [width, channels, height, width]`,
    )
  const patchSize: PatchSize = [h!, w!]
  const hidden = shapeOf('blocks.0.mlp.fc1.weight')[0]!
  const mlpRatio = ratioOf(hidden, width)
  const model: ModelInput = {
    patchSize: shortSize(patchSize),
    width,
    depth: depthOf(parameters, 'blocks'),
    mlpRatio,
  }
  const channels = kernels.map((kernel) => kernel[1]!)
  if (!parameters.has('decoder_embed.weight')) return { width, patchSize, channels, model, decoder: null }
  const decoderWidth = shapeOf('decoder_embed.weight')[0]!
  const decoderHidden = shapeOf('decoder_blocks.0.mlp.fc1.weight')[0]!
  if (Math.floor(decoderWidth * mlpRatio) !== decoderHidden)
    refuse(
      `its decoder's blocks widen ${decoderWidth} to ${decoderHidden}, the encoder's ${width} to ${hidden}: sherd has one ratio for both`,
    )
  const decoder = { width: decoderWidth, depth: depthOf(parameters, 'decoder_blocks') }
  return { width, patchSize, channels, model, decoder }
}

/** Heads by the widths of known models, else 64 channels each; shapes do not show them. */
function headsOf(width: number): number | undefined {
  const known = sizeNames.find((name) => sizes[name].width === width)
  if (known) return sizes[known].heads
  return width % 64 === 0 ? width / 64 : undefined
}

/** Checks a computed table [1, rows, width] against our own. */
async function expectNumbers(name: string, table: WaitingArray, rows: number): Promise<number> {
  const { shape, data } = await floatsOf(name, table)
  const width = shape.at(-1)!
  const wanted = Array.from({ length: rows }, (_, n) => [...sineCosine(n, width)]).flat()
  if (data.length !== wanted.length || wanted.some((value, i) => !(Math.abs(value - data[i]!) <= 1e-4)))
    refuse(`${name} [${shape.join(', ')}] is not the sines and cosines of 0 to ${rows - 1}`)
  return width
}

interface Placed {
  readonly positions: ForeignPositions
  /** Groups and dates, from the widths of tables. */
  readonly model: ModelInput
  readonly decoder: DecoderInput
  readonly notes: readonly string[]
}

async function placesOf(
  named: Named,
  { width, patchSize, channels, decoder: ofDecoder }: Shapes,
  layoutName: LayoutName,
  { imageSize, given }: Pick<ForeignFacts, 'imageSize'> & { readonly given: Grid | null },
  likely: Grid | null,
): Promise<Placed> {
  const layout: Layout = layouts[layoutName]
  const table = named.tables.get(layout.positions) ?? refuse(`it has no ${layout.positions}`)
  const fits = likely && [0, 1].includes(table.shape.at(-2)! - tokenCount(likely)) ? likely : null
  const said = imageSize ? { h: imageSize[0] / patchSize[0], w: imageSize[1] / patchSize[1] } : fits
  const grid = given ?? said
  const half = table.dtype === 'float16' || table.dtype === 'bfloat16'
  const positions = examinePositions(await floatsOf(layout.positions, table), { grid, half })
  const { h, w } = positions.grid
  const assumed =
    grid === null && positions.kind === 'learned' && h * w > 1
      ? [
          `the file does not say the grid of its ${h * w} positions: taken as ${h} × ${w}; --grid gives another`,
        ]
      : []
  const own = table.shape.at(-1)!
  const isPlain = own === width && layoutName !== 'satmae'
  const theirs = layout.decoderPositions === null ? undefined : named.tables.get(layout.decoderPositions)
  let decoderOwn = 0
  if (theirs && ofDecoder) {
    decoderOwn = theirs.shape.at(-1)!
    const of = await floatsOf(layout.decoderPositions!, theirs)
    const { kind, cls, difference } = examinePositions(of, { grid: positions.grid, half })
    if (kind === 'learned' || cls)
      refuse(
        `${layout.decoderPositions} differs from sines and cosines by ${difference.toFixed(4)}: sherd's decoder has only those`,
      )
  }
  if (isPlain) return { positions, model: { positions: positions.kind }, decoder: {}, notes: assumed }
  if (positions.kind === 'learned' || positions.cls)
    refuse(`its positions differ from sines and cosines by ${positions.difference.toFixed(4)}`)
  const left = width - own
  const decoderLeft = (ofDecoder?.width ?? 0) - decoderOwn
  if (layoutName !== 'satmae') {
    return {
      positions,
      model: { frames: 3, timeFields: ['year', 'month', 'hour'], timeWidth: left / 3 },
      decoder: ofDecoder ? { timeWidth: decoderLeft / 3 } : {},
      notes: ["positions leave room for dates: taken as SatMAE's three frames with year, month and hour"],
    }
  }
  for (const [name, rows] of [
    ['channel_embed', channels.length],
    ['decoder_channel_embed', channels.length + 1],
  ] as const) {
    const numbers = named.tables.get(name)
    if (numbers) await expectNumbers(name, numbers, rows)
  }
  const decoder = ofDecoder ? { groupWidth: decoderLeft, compat: 'satmae' as const } : {}
  return { positions, model: { groupWidth: left }, decoder, notes: [] }
}

/** Adds the position of cls to cls itself. */
const withPosition = (cls: ForeignParameter, position: Float32Array | null): ForeignParameter =>
  position ? { ...cls, read: async () => (await cls.read()).map((value, i) => value + position[i]!) } : cls

/** Missing biases of query, key and value are zeros. */
function zeroBiases(
  { parameters }: Named,
  prefix: string,
  { width, depth }: { readonly width: number; readonly depth: number },
): boolean {
  const names = Array.from({ length: depth }, (_, i) => `${prefix}.${i}.attn.qkv.bias`)
  if (names.some((name) => parameters.has(name))) return false
  const size = 3 * width
  for (const name of names)
    parameters.set(name, { shape: [size], from: [], read: async () => new Float32Array(size) })
  return depth > 0
}

/** Removes the head; returns their names of it. */
function withoutHead(parameters: Map<string, ForeignParameter>): string[] {
  const names = ['head.weight', 'head.bias']
  const from = names.flatMap((name) => parameters.get(name)?.from ?? [])
  for (const name of names) parameters.delete(name)
  return from
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
function expectTensors({ objects }: ForeignWeights, { prefix, wrapper, layout }: Located): void {
  const { positions, decoderPositions }: Layout = layouts[layout]
  for (const [name, of] of objects) {
    if (!name.startsWith(prefix)) continue
    const rest = name.slice(prefix.length)
    const own = rest.startsWith(wrapper) ? rest.slice(wrapper.length) : rest
    if (own === positions || own === decoderPositions || ourNameOf(layouts[layout], own))
      refuse(`${name} is ${of}, where a tensor is needed: save the weights as plain tensors`)
  }
}

const releasedCounts = releasedBands.groups.map(({ length }) => length).join()

/** Throws `CHECKPOINT` for models that are not supported. */
export async function readForeign(
  weights: ForeignWeights,
  { prefix = null, grid = null, gridOf = () => null }: ReadingOptions = {},
): Promise<ForeignModel> {
  const located = recognise(weights.arrays.keys(), prefix)
  const { layout, wrapper } = located
  expectTensors(weights, located)
  const arrays = below(weights.arrays, located)
  const facts = foreignFacts(weights, layout)
  const named = translate(arrays, layouts[layout], wrapper)
  const { parameters } = named
  const shapes = readShapes(named)
  const { width, patchSize, channels, decoder, model } = shapes
  const places = await placesOf(named, shapes, layout, { given: grid, ...facts }, gridOf(patchSize))
  const { positions } = places
  const notes = [...weights.notes, ...notesOf(located), ...places.notes]
  if (!facts.hasQkvBias) {
    const without = zeroBiases(named, 'blocks', { width, depth: model.depth! })
    if (decoder) zeroBiases(named, 'decoder_blocks', { width: decoder.width!, depth: decoder.depth! })
    if (without) notes.push('query, key and value have no biases there: zeros here')
  }
  const leftHead = facts.problem === 'regression' ? withoutHead(parameters) : []
  parameters.set('cls_token', withPosition(parameters.get('cls_token')!, positions.cls))
  const said = (key: string, given: number | null, usual: number | undefined): number | undefined => {
    if (given === null && usual !== undefined)
      notes.push(`the file does not say ${key}: taken as ${usual}, as models of this width have`)
    return given ?? usual
  }
  const heads = said('model.heads', facts.heads, headsOf(width))
  const decoderHeads = decoder
    ? said('decoder.heads', facts.decoderHeads, decoder.width === 512 ? 16 : undefined)
    : undefined
  const epsilon = facts.layerNormEpsilon ?? layouts[layout].layerNormEpsilon
  const size = sizeNames.find(
    (name) =>
      sizes[name].width === width &&
      sizes[name].depth === model.depth &&
      sizes[name].patchSize === shortSize(patchSize),
  )
  const isSplit = layout === 'satmae'
  const released = isSplit && channels.join() === releasedCounts ? releasedBands : null
  if (released)
    notes.push(
      `groups of ${releasedCounts} bands: taken as the released ones, ${released.groups.join(' | ')}`,
    )
  const bands = released?.bands ?? facts.bands
  return {
    ...{ layout, parameters, positions, hasDecoder: decoder !== null, notes, unexpected: named.unexpected },
    facts: released && !facts.statistics ? { ...facts, statistics: released.statistics } : facts,
    classifier: classifierOf(parameters, facts),
    config: {
      ...(bands && { data: { bands: [...bands] } }),
      model: {
        ...(released && { groups: released.groups.map((group) => [...group]) }),
        ...{ ...(size && { size }), ...model, ...places.model },
        ...(positions.kind === 'learned' && { resampling: layouts[layout].resampling }),
        imageSize: [positions.grid.h * patchSize[0], positions.grid.w * patchSize[1]],
        ...(!isSplit && { channels: channels[0]! }),
        ...(heads !== undefined && { heads }),
        layerNormEpsilon: epsilon,
      },
      decoder: { ...decoder, ...places.decoder, ...(decoderHeads !== undefined && { heads: decoderHeads }) },
      ...(facts.maskRatio !== null && { mask: { ratio: facts.maskRatio } }),
      target: {
        ...(facts.normalizeTarget !== null && { normalize: facts.normalizeTarget }),
        ...(isSplit && { statistics: 'all' as const }),
      },
    },
    unsaid: [
      ...(isSplit && !released ? ['data.bands', 'model.groups'] : []),
      ...('frames' in places.model ? ['data.bands'] : []),
      ...(heads === undefined ? ['model.heads'] : []),
      ...(decoder && decoderHeads === undefined ? ['decoder.heads'] : []),
    ],
    dropped: [
      ...[...named.tables.keys()].map((name) => ({ name, why: whyDropped(name, layout, positions) })),
      ...named.idle.map((name) => ({ name, why: 'no part of what sherd computes' })),
      ...leftHead.map((name) => ({ name, why: 'a head of regression: its numbers are no classes' })),
    ],
  }
}

function whyDropped(name: string, layout: LayoutName, { kind, difference, cls, grid }: ForeignPositions) {
  const isOfEncoder = name === layouts[layout].positions
  const own = kind === 'learned' ? 'learned: kept as pos_embed' : 'sines and cosines, computed here'
  const size = `${grid.h} × ${grid.w}`
  if (!isOfEncoder) return `sines and cosines, computed here (${size})`
  const numbers = kind === 'fixed' ? `, largest difference ${difference.toExponential(1)}` : ''
  return `${own} (${size}${numbers})${cls ? '; the row of cls added to cls_token' : ''}`
}

function classifierOf(
  parameters: Named['parameters'],
  { classes, pool, problem }: ForeignFacts,
): ForeignModel['classifier'] {
  const count = parameters.get('head.weight')?.shape[0]
  if (count === undefined) return null
  const names = classes?.length === count ? classes : Array.from({ length: count }, (_, i) => `class ${i}`)
  const norm = parameters.has('fc_norm.weight') ? 'fc_norm' : 'norm'
  const head = headReading(norm === 'fc_norm' || pool === 'avg' ? 'mean' : 'cls', norm)
  return { head, classes: names, ...(problem === 'multi_label_classification' && { isMultiLabel: true }) }
}
