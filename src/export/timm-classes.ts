/**
 * timm's functions by what they compute, as rows: the first that takes all that an encoder has. `model_args` overrides what an architecture
 * says of sizes; what is a Python object there (epsilon of norms, gates) only another architecture changes.
 */
import type { FloatArray } from '../checkpoint/arrays.ts'
import { backboneOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { type Layout, layouts } from '../import/layouts.ts'
import { encoderBlocks, gridOfModel, hiddenWidth } from '../model/dimensions.ts'
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
import { misfits, type Takes, traitsOf } from './traits.ts'

type Arguments = Readonly<Record<string, unknown>>
type Arrays = ReadonlyMap<string, FloatArray>

export interface TimmClass {
  /** Of Python, for messages. */
  readonly name: string
  readonly layout: Layout
  readonly takes: Takes
  /** Of its norms, which are part of an architecture. */
  readonly epsilon: number
  readonly architecture: (model: ExportedModel) => string
  readonly args?: (model: ExportedModel) => Arguments
  /** Why a model that it takes cannot be exported so, or null. */
  readonly refuses?: (model: ExportedModel) => string | null
  readonly ours?: (arrays: Arrays, model: ExportedModel) => Arrays
  readonly hasClsRow: boolean
  readonly notes?: (model: ExportedModel) => readonly string[]
}

const activations = {
  gelu: 'gelu',
  'gelu-tanh': 'gelu_tanh',
  'quick-gelu': 'quick_gelu',
  silu: 'silu',
} as const
const hasPool = ({ arrays }: ExportedModel) => arrays.has('attn_pool.latent')

/** The argument, where an architecture has another activation by default. */
const actLayer = (model: ExportedModel, usual: string): Arguments =>
  activationIn(model) === usual ? {} : { act_layer: activations[activationIn(model)] }
const qkvBias = ({ dimensions }: ExportedModel): Arguments =>
  dimensions.variant?.qkvBias === 'none' ? { qkv_bias: false } : {}

/** The ratio from which Python computes the hidden width, as int(width · ratio). */
function ratioFor(width: number, hidden: number): number {
  const ratio = hidden / width
  return Math.floor(width * ratio) === hidden ? ratio : (hidden + 0.5) / width
}
export function mlpRatio({ dimensions }: ExportedModel): number {
  const { width, variant } = dimensions
  const hidden = hiddenWidth(encoderBlocks(dimensions))
  return ratioFor(width, variant?.feedForward === 'swiglu' ? 2 * hidden : hidden) // gate and value in one map
}

const vitTakes: Takes = {
  ...{ activation: anyActivation, [biases]: ['all', 'none'], norm: ['norm', 'fc_norm'] },
}
const vit: TimmClass = {
  ...{ name: 'VisionTransformer', layout: layouts.timm, takes: vitTakes, epsilon: 1e-6, hasClsRow: true },
  architecture: () => 'vit_base_patch16_224',
  args: (model) => ({ ...actLayer(model, 'gelu'), ...qkvBias(model) }),
}

const clipName = (model: ExportedModel) =>
  activationIn(model) === 'quick-gelu' ? 'vit_base_patch16_clip_quickgelu_224' : 'vit_base_patch16_clip_224'
const clipArgs = (model: ExportedModel): Arguments => ({
  ...(activationIn(model) === 'quick-gelu' ? {} : actLayer(model, 'gelu')),
  ...qkvBias(model),
})
/** A plain ViT with the epsilon of CLIP. */
const vitOfClip: TimmClass = {
  ...{ ...vit, epsilon: 1e-5, architecture: clipName },
  args: (model) => ({ ...clipArgs(model), pre_norm: false }),
}
const clip: TimmClass = {
  ...{ ...vit, epsilon: 1e-5, architecture: clipName, args: clipArgs },
  takes: {
    ...vitTakes,
    ...{ 'a bias of patches': [false], 'a norm before the blocks': [true], 'a projection': [true, false] },
  },
  /** The projection is the head there, which has a bias. */
  ours: (arrays) => {
    const made = new Map(arrays)
    const projection = made.get('projection.weight')
    if (!projection) return made
    made.delete('projection.weight')
    made.set('head.weight', projection)
    made.set('head.bias', { shape: [projection.shape[0]!], data: new Float32Array(projection.shape[0]!) })
    return made
  },
}

const dinov2: TimmClass = {
  ...vit,
  takes: { ...vitTakes, LayerScale: [true], registers: [true, false] },
  architecture: (model) =>
    registersOf(model) > 0 ? 'vit_small_patch14_reg4_dinov2' : 'vit_small_patch14_dinov2',
  args: (model) => ({
    ...{ ...actLayer(model, 'gelu'), ...qkvBias(model), init_values: scaleOf(model) },
    ...(registersOf(model) > 0 && { reg_tokens: registersOf(model) }),
  }),
}
const dinov2Gate: TimmClass = {
  ...dinov2,
  layout: layouts['timm-gate'],
  takes: { ...dinov2.takes, 'feed-forward': ['swiglu'], activation: ['silu'] },
  architecture: (model) =>
    registersOf(model) > 0 ? 'vit_giant_patch14_reg4_dinov2' : 'vit_giant_patch14_dinov2',
  args: (model) => ({ ...dinov2.args!(model), act_layer: undefined }),
}

const siglip: TimmClass = {
  ...{ ...vit, hasClsRow: false },
  takes: { ...vitTakes, 'a cls token': [false], 'attention pooling': [true, false] },
  architecture: (model) => {
    const isTanh = activationIn(model) === 'gelu-tanh'
    if (!hasPool(model)) return 'vit_base_patch16_siglip_gap_224'
    return isTanh ? 'vit_so400m_patch16_siglip_256' : 'vit_base_patch16_siglip_224'
  },
  args: (model) =>
    actLayer(model, hasPool(model) && activationIn(model) === 'gelu-tanh' ? 'gelu-tanh' : 'gelu'),
}

const evaTakes: Takes = {
  ...{ registers: [true, false], LayerScale: [true], 'rotary positions': [true] },
  ...{ 'added positions': [false], [biases]: ['qv', 'none'] },
}
const evaName = (model: ExportedModel, name: string) =>
  `${name}${model.dimensions.variant?.qkvBias === 'qv' ? '_qkvb' : ''}`
const eva: TimmClass = {
  ...{ name: 'Eva', layout: layouts['timm-eva'], takes: evaTakes, epsilon: 1e-5, hasClsRow: false },
  architecture: (model) => evaName(model, 'vit_small_patch16_dinov3'),
  args: (model) => ({
    ...{
      init_values: scaleOf(model),
      num_reg_tokens: registersOf(model),
      rope_temperature: rotaryBase(model),
    },
  }),
  refuses: otherPeriods,
}
const evaGate: TimmClass = {
  ...eva,
  layout: layouts['timm-eva-gate'],
  takes: { ...evaTakes, 'feed-forward': ['gated'], activation: ['silu'] },
  architecture: (model) => evaName(model, 'vit_small_plus_patch16_dinov3'),
  args: (model) => ({ ...eva.args!(model), swiglu_align_to: 1 }), // 0 would be another kind of gate
}

const beit: TimmClass = {
  ...{ name: 'Beit', layout: layouts['timm-beit'], epsilon: 1e-6, hasClsRow: true },
  takes: {
    ...{ LayerScale: [true, false], 'relative positions': [true], 'added positions': [false] },
    ...{ [biases]: ['qv'], norm: ['norm', 'fc_norm'] },
  },
  architecture: () => 'beit_base_patch16_224',
  args: (model) => {
    const tables = model.dimensions.variant!.relativePositions!.tables
    return {
      init_values: scaleOf(model),
      use_abs_pos_emb: backboneOf(model.config).positions !== 'none',
      use_rel_pos_bias: tables !== 'shared',
      use_shared_rel_pos_bias: tables !== 'per-block',
    }
  },
  /** timm finds out the grid of a table only where it is a square. */
  ours: (arrays, { dimensions: d }) => withTablesFor(arrays, d.variant!.relativePositions!, gridOfModel(d)),
  notes: ({ dimensions: d }) =>
    tableNotes(d.variant!.relativePositions!, { written: gridOfModel(d), reader: 'geometric' }),
}

const classes: readonly TimmClass[] = [
  ...[vit, vitOfClip, dinov2, dinov2Gate, siglip, clip, eva, evaGate, beit],
]

/** Throws `USAGE` for an encoder that none takes; the epsilon is left to the caller. */
export function timmClassOf(model: ExportedModel): TimmClass {
  const traits = traitsOf(model)
  const epsilon = model.dimensions.layerNormEpsilon
  const ranked = classes
    .map((row) => ({ row, lacks: misfits(traits, row.takes) }))
    .sort(
      (a, b) =>
        a.lacks.length - b.lacks.length ||
        Number(b.row.epsilon === epsilon) - Number(a.row.epsilon === epsilon),
    )
  const { row, lacks } = ranked[0]!
  if (lacks.length > 0)
    throw new SherdError(
      'USAGE',
      `No function of timm computes this; the nearest, ${row.name}, does not take: ${lacks.join(', ')}. Export it as ONNX (sherd export onnx).`,
    )
  const why = row.refuses?.(model) ?? null
  if (why !== null) throw new SherdError('USAGE', `${why}.`)
  return row
}
