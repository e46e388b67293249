/** The classes of transformers by what they compute, as rows: the first that takes all that an encoder has is the one that it belongs to. */
import type { FloatArray } from '../checkpoint/arrays.ts'
import { backboneOf } from '../config/resolve.ts'
import { type Layout, layouts } from '../import/layouts.ts'
import { learnedGridOf } from '../model/backbone-shape.ts'
import type { Head } from '../model/classifier.ts'
import { encoderBlocks, gridOfModel, hiddenWidth } from '../model/dimensions.ts'
import { feedForwards } from '../model/feed-forward.ts'
import type { Grid } from '../token/grid.ts'
import type { ResamplingName } from '../token/resample-positions.ts'
import {
  activationIn,
  anyActivation,
  biases,
  otherPeriods,
  registersOf,
  rotaryBase,
  scaleOf,
} from './class-facts.ts'
import type { ExportedModel } from './exported-model.ts'
import { tableNotes, withTablesFor } from './position-table.ts'
import { misfits, type Takes, type Traits } from './traits.ts'

type Config = Readonly<Record<string, unknown>>
type Arrays = ReadonlyMap<string, FloatArray>

interface ClassifierClass {
  readonly architecture: string
  readonly wrapper: string
  /** By what the head reads: its weights [classes, D] as those that the class has. */
  readonly heads: Partial<Record<Head, (weight: FloatArray) => FloatArray>>
}

export interface EncoderClass {
  readonly architecture: string
  readonly layout: Layout
  /** Before the names of its encoder, as in released files: transformers 4 wants it, 5 takes it. Default: none. */
  readonly wrapper?: string
  /** Of an encoder with `pooled`, if that is another class. */
  readonly projected?: string
  readonly takes: Takes
  /** Why a model that it takes cannot be exported so, or null. */
  readonly refuses: (model: ExportedModel) => string | null
  readonly config: (model: ExportedModel) => Config
  /** Ours as the class has them; default: as they are. */
  readonly ours?: (arrays: Arrays, model: ExportedModel) => Map<string, FloatArray>
  /** Parameters that it has, without numbers that count, by its names without the wrapper. */
  readonly more?: (model: ExportedModel) => Readonly<Record<string, FloatArray>>
  /** Whether its table of positions has a row for cls, which is zero. */
  readonly hasClsRow: boolean
  readonly resampling: ResamplingName
  readonly resamplesItself: boolean
  /** Of its configuration, in pixels; default: that of its table of positions. */
  readonly imageSize?: (model: ExportedModel) => readonly [height: number, width: number]
  /** Whether `last_hidden_state` are the tokens that sherd gives. */
  readonly givesTokens: boolean
  readonly classifier?: ClassifierClass
  readonly usage?: string
  readonly notes?: readonly string[]
  readonly notesOf?: (model: ExportedModel) => readonly string[]
}

const activations = {
  gelu: 'gelu',
  'gelu-tanh': 'gelu_pytorch_tanh',
  'quick-gelu': 'quick_gelu',
  silu: 'silu',
} as const
export const activationName = (model: ExportedModel): string => activations[activationIn(model)]

const filled = (shape: readonly number[], value: number): FloatArray => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value),
})
const asItIs = (weight: FloatArray) => weight

/** [classes, D] beside as many zeros, [classes, 2 D]. */
const besideZeros =
  (at: 0 | 1) =>
  ({ shape: [classes, width], data }: FloatArray): FloatArray => {
    const wide = new Float32Array(2 * data.length)
    for (let row = 0; row < classes!; row++)
      wide.set(data.subarray(row * width!, (row + 1) * width!), (2 * row + at) * width!)
    return { shape: [classes!, 2 * width!], data: wide }
  }

const isSquare = ({ dimensions: { imageSize, patchSize } }: ExportedModel) =>
  [imageSize, patchSize].every(([h, w]) => h === w)
export const squaresAlone = (name: string) => (model: ExportedModel) =>
  isSquare(model)
    ? null
    : `transformers' ${name} takes square images and patches only: export it as ONNX (sherd export onnx)`
const always = () => null

const hasBias = ({ dimensions }: ExportedModel) => (dimensions.variant?.qkvBias ?? 'all') === 'all'

/** Factors of 1 where the model has none. */
function withScales(arrays: Arrays, { dimensions: { width, depth, variant } }: ExportedModel) {
  const made = new Map(arrays)
  if (!variant?.layerScale)
    for (let i = 0; i < depth; i++)
      for (const half of [1, 2]) made.set(`blocks.${i}.ls${half}.gamma`, filled([width], 1))
  return made
}

/** Biases of queries and values alone: that of keys adds the same number to all scores of a query, which the softmax takes away. */
function withoutKeyBias(arrays: Arrays): Map<string, FloatArray> {
  const made = new Map<string, FloatArray>()
  for (const [name, array] of arrays) {
    const [, block] = /^(blocks\.\d+\.attn)\.qkv\.bias$/.exec(name) ?? []
    if (!block) {
      made.set(name, array)
      continue
    }
    const third = array.data.length / 3
    made.set(`${block}.q_bias`, { shape: [third], data: array.data.slice(0, third) })
    made.set(`${block}.v_bias`, { shape: [third], data: array.data.slice(2 * third) })
  }
  return made
}

export const vit: EncoderClass = {
  architecture: 'ViTModel',
  layout: layouts.huggingface,
  takes: { activation: anyActivation, [biases]: ['all', 'none'] },
  refuses: always,
  config: (model) => ({ model_type: 'vit', qkv_bias: hasBias(model) }),
  ...{ hasClsRow: true, resampling: 'cubic', resamplesItself: false, givesTokens: true },
  classifier: { architecture: 'ViTForImageClassification', wrapper: 'vit.', heads: { cls: asItIs } },
  usage: ', add_pooling_layer=False',
  notes: [
    'There is no pooling layer: transformers makes one of random weights unless `add_pooling_layer=False`.',
  ],
}

/** The whole number from which transformers computes the hidden width of the width; null if there is none. */
function dinov2Ratio({ dimensions }: ExportedModel): number | null {
  const { width, variant } = dimensions
  const hidden = hiddenWidth(encoderBlocks(dimensions))
  const { feedForward = 'mlp' } = variant ?? {}
  const near = Math.round((feedForward === 'swiglu' ? 1.5 * hidden : hidden) / width)
  const ratios = [near - 1, near, near + 1].filter((ratio) => ratio > 0)
  return ratios.find((ratio) => feedForwards[feedForward].hidden(width, ratio) === hidden) ?? null
}

const dinov2Config = (model: ExportedModel): Config => ({
  mlp_ratio: dinov2Ratio(model),
  layerscale_value: scaleOf(model) ?? 1,
  drop_path_rate: 0,
  qkv_bias: hasBias(model),
  use_swiglu_ffn: model.dimensions.variant?.feedForward === 'swiglu',
})
const dinov2Takes: Takes = {
  activation: anyActivation,
  'feed-forward': ['mlp', 'swiglu'],
  [biases]: ['all', 'none'],
  LayerScale: [true, false],
}
const dinov2Refuses = (model: ExportedModel): string | null => {
  if (model.dimensions.variant?.feedForward === 'swiglu' && activationName(model) !== 'silu')
    return "transformers' DINOv2 has a gate of silu only"
  if (dinov2Ratio(model) === null)
    return "transformers' DINOv2 computes the hidden width from the width by a whole number (mlp_ratio), and this model has another"
  return squaresAlone('DINOv2')(model)
}
const dinov2Heads = { cls: besideZeros(0), 'normed-mean': besideZeros(1), 'cls+mean': asItIs }
const dinov2Notes = [
  'The head of DINOv2 in transformers reads cls beside the mean of the patches behind the norm: weights of what it did not read here are 0. Where the model had no factors of its layers they are 1.',
]

const dinov2: EncoderClass = {
  architecture: 'Dinov2Model',
  layout: layouts['huggingface-dinov2'],
  takes: dinov2Takes,
  refuses: dinov2Refuses,
  config: (model) => ({ model_type: 'dinov2', ...dinov2Config(model), use_mask_token: true }),
  ours: withScales,
  more: ({ dimensions: { width } }) => ({ 'embeddings.mask_token': filled([1, width], 0) }),
  ...{ hasClsRow: true, resampling: 'cubic', resamplesItself: true, givesTokens: true },
  classifier: { architecture: 'Dinov2ForImageClassification', wrapper: 'dinov2.', heads: dinov2Heads },
  notes: dinov2Notes,
}

const dinov2WithRegisters: EncoderClass = {
  ...dinov2,
  architecture: 'Dinov2WithRegistersModel',
  takes: { ...dinov2Takes, registers: [true] },
  config: (model) => ({
    model_type: 'dinov2_with_registers',
    ...dinov2Config(model),
    num_register_tokens: registersOf(model),
  }),
  resampling: 'cubic-antialias',
  classifier: {
    architecture: 'Dinov2WithRegistersForImageClassification',
    ...{ wrapper: 'dinov2_with_registers.', heads: dinov2Heads },
  },
}

const gateOf = ({ dimensions }: ExportedModel) => dimensions.variant?.feedForward === 'gated'

const dinov3: EncoderClass = {
  architecture: 'DINOv3ViTModel',
  layout: layouts['huggingface-dinov3'],
  takes: {
    ...{ registers: [true, false], LayerScale: [true, false] },
    ...{ 'rotary positions': [true], 'added positions': [false], activation: anyActivation },
    [biases]: ['qv', 'none'],
  },
  refuses: (model) => otherPeriods(model) ?? squaresAlone('DINOv3')(model),
  config: (model) => {
    const isBiased = model.dimensions.variant?.qkvBias === 'qv'
    return {
      ...{ model_type: 'dinov3_vit', rope_theta: rotaryBase(model), use_gated_mlp: gateOf(model) },
      ...{ query_bias: isBiased, key_bias: false, value_bias: isBiased, proj_bias: true, mlp_bias: true },
      ...{
        num_register_tokens: registersOf(model),
        layerscale_value: scaleOf(model) ?? 1,
        drop_path_rate: 0,
      },
    }
  },
  ours: withScales,
  more: (model) => ({
    'embeddings.mask_token': filled([1, 1, model.dimensions.width], 0),
    ...(registersOf(model) === 0 && {
      'embeddings.register_tokens': filled([1, 0, model.dimensions.width], 0),
    }),
  }),
  ...{ hasClsRow: false, resampling: 'cubic', resamplesItself: true, givesTokens: true },
}

const dinov3Gate: EncoderClass = {
  ...dinov3,
  layout: layouts['huggingface-dinov3-gate'],
  takes: { ...dinov3.takes, 'feed-forward': ['gated'] },
}

/** The grid that BEiT's tables are written for; null: transformers would read none of them as they are meant. */
function beitGrid({ config, dimensions }: ExportedModel): Grid | null {
  const own = gridOfModel(dimensions)
  const { grid, resampling = 'linear' } = dimensions.variant?.relativePositions ?? { grid: own }
  const isAdded = backboneOf(config).positions !== 'none'
  const isKept =
    resampling === 'linear' && ((grid.h === grid.w && !isAdded) || (grid.h === own.w && grid.w === own.h))
  return isKept ? grid : own.h === own.w ? own : null
}

export const beit: EncoderClass = {
  architecture: 'BeitModel',
  layout: layouts['huggingface-beit'],
  takes: {
    ...{ LayerScale: [true, false], 'relative positions': [true, false], 'added positions': [true, false] },
    ...{ activation: anyActivation, norm: ['norm', 'fc_norm'] },
    [biases]: ['qv', 'all'],
  },
  refuses: (model) => {
    const [tall, wide] = model.dimensions.patchSize
    if (tall !== wide) return "transformers' BEiT takes square patches only"
    return beitGrid(model) === null
      ? "transformers' BEiT reads tables of relative positions of a grid that is no square with its sides exchanged: export it as ONNX (sherd export onnx)"
      : null
  },
  imageSize: (model) => {
    const { patchSize, imageSize } = model.dimensions
    const { h, w } = beitGrid(model)!
    return h === w ? [h * patchSize[0], w * patchSize[1]] : imageSize
  },
  config: (model) => {
    const { relativePositions, layerScale } = model.dimensions.variant ?? {}
    const tables = relativePositions?.tables
    return {
      model_type: 'beit',
      use_mean_pooling: model.arrays.has('fc_norm.weight'),
      use_absolute_position_embeddings: backboneOf(model.config).positions !== 'none',
      use_relative_position_bias: tables === 'per-block' || tables === 'both',
      use_shared_relative_position_bias: tables === 'shared' || tables === 'both',
      use_mask_token: false,
      layer_scale_init_value: layerScale?.initial ?? 0,
      drop_path_rate: 0,
    }
  },
  ours: (arrays, model) => {
    const relative = model.dimensions.variant?.relativePositions
    return withoutKeyBias(relative ? withTablesFor(arrays, relative, beitGrid(model)!) : arrays)
  },
  ...{ hasClsRow: true, resampling: 'cubic', resamplesItself: false, givesTokens: false },
  classifier: {
    ...{ architecture: 'BeitForImageClassification', wrapper: 'beit.' },
    heads: { mean: asItIs, cls: asItIs },
  },
  notesOf: (model) => {
    const relative = model.dimensions.variant?.relativePositions
    return relative ? tableNotes(relative, { written: beitGrid(model)!, reader: 'linear' }) : []
  },
  notes: [
    'BEiT has no bias of keys, which changes no attention: it adds the same number for every key. Its classifier norms the mean of the patches.',
  ],
}

export const ijepa: EncoderClass = {
  architecture: 'IJepaModel',
  layout: layouts.huggingface,
  takes: { ...vit.takes, 'a cls token': [false] },
  refuses: always,
  config: (model) => ({ model_type: 'ijepa', qkv_bias: hasBias(model) }),
  ...{ hasClsRow: false, resampling: 'cubic', resamplesItself: false, givesTokens: true },
  classifier: {
    architecture: 'IJepaForImageClassification',
    wrapper: 'ijepa.',
    heads: { 'normed-mean': asItIs },
  },
  usage: vit.usage!,
  notes: vit.notes!,
}

const siglip: EncoderClass = {
  architecture: 'SiglipVisionModel',
  layout: layouts['huggingface-siglip'],
  wrapper: 'vision_model.',
  takes: { activation: anyActivation, 'a cls token': [false], 'attention pooling': [true] },
  refuses: squaresAlone('SigLIP'),
  config: () => ({ model_type: 'siglip_vision_model', vision_use_head: true }),
  ...{ hasClsRow: false, resampling: 'cubic', resamplesItself: false, givesTokens: true },
}

const siglip2: EncoderClass = {
  architecture: 'Siglip2VisionModel',
  wrapper: 'vision_model.',
  layout: layouts['huggingface-naflex'],
  takes: { ...siglip.takes, 'images that keep their shape': [true] },
  refuses: (model) => {
    const shape = backboneOf(model.config)
    const { h, w } = learnedGridOf(shape)
    if (shape.positions !== 'learned' || shape.resampling !== 'linear-antialias')
      return "transformers' SigLIP 2 resamples a table of positions linearly with antialiasing (model.resampling linear-antialias), and this model has others: export it as ONNX (sherd export onnx)"
    if (model.dimensions.channels !== 3 || h !== w)
      return "transformers' SigLIP 2 takes three channels, and positions of a square grid: export it as ONNX (sherd export onnx)"
    return squaresAlone('SigLIP 2')(model)
  },
  config: ({ config }) => {
    const { h, w } = learnedGridOf(backboneOf(config))
    return { model_type: 'siglip2_vision_model', vision_use_head: true, num_patches: h * w }
  },
  ...{ hasClsRow: false, resampling: 'linear-antialias', resamplesItself: true, givesTokens: false },
  notes: [
    'Its processor gives patches, their mask and the grid of each image: pass all of them to the model.',
  ],
}

const clip: EncoderClass = {
  architecture: 'CLIPVisionModel',
  projected: 'CLIPVisionModelWithProjection',
  layout: layouts['huggingface-clip'],
  wrapper: 'vision_model.',
  takes: {
    ...{ 'a bias of patches': [false], 'a norm before the blocks': [true], 'a projection': [true, false] },
    activation: anyActivation,
  },
  refuses: squaresAlone('CLIP'),
  config: ({ arrays }) => ({
    model_type: 'clip_vision_model',
    ...(arrays.has('projection.weight') && { projection_dim: arrays.get('projection.weight')!.shape[0] }),
  }),
  ...{ hasClsRow: true, resampling: 'cubic', resamplesItself: false, givesTokens: false },
  notes: ['`last_hidden_state` of CLIP comes before its last norm; `pooler_output` is cls behind it.'],
}

const classes: readonly EncoderClass[] = [
  ...[vit, dinov2, dinov2WithRegisters, dinov3, dinov3Gate, beit, ijepa, siglip, siglip2, clip],
]

export type FoundClass = { readonly found: EncoderClass } | { readonly found: null; readonly why: string }

/** The class for an encoder, or with `head` for a classifier. */
export function classFor(traits: Traits, head: Head | null): FoundClass {
  const able = classes.filter(({ classifier }) => head === null || classifier?.heads[head])
  if (able.length === 0)
    return {
      found: null,
      why: `Its head reads ${head === 'plain-cls' ? 'cls before the norm' : `"${head}"`}, which no class of transformers does`,
    }
  const ranked = able
    .map((found) => ({ found, lacks: misfits(traits, found.takes) }))
    .sort((a, b) => a.lacks.length - b.lacks.length)
  const { found, lacks } = ranked[0]!
  if (lacks.length === 0) return { found }
  return {
    found: null,
    why: `No class of transformers computes this${head ? ' with its head' : ''}; the nearest, ${found.architecture}, does not take: ${lacks.join(', ')}`,
  }
}
