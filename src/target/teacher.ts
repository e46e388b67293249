/**
 * Features of an EMA teacher as the target (data2vec, Baevski et al. 2022): a copy of the model that follows it sees the whole view, and the
 * outputs of some of its blocks are normed, averaged and normed again. Its own final norm is not used.
 */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import type { Backbone } from '../model/backbone.ts'
import type { Weights } from '../model/parameters.ts'
import type { View } from '../prepare/view.ts'
import { inFloat32 } from '../tensor/context.ts'
import { mul, narrow, toDtype } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { placeCount } from '../token/layout.ts'
import { patchesOf } from '../token/prefix.ts'
import { type Averaging, averageOf, featureErrors, layersKey } from './block-features.ts'
import { collapseMetrics } from './collapse.ts'
import { type Momentum, type TargetMaker, teacherPrefix } from './target.ts'
import { targetRow } from './target-row.ts'
import { tokenTarget } from './token-target.ts'

export const teacherScopes = ['model', 'encoder'] as const
export const lossScales = ['mean', 'root-width'] as const

export interface TeacherOptions extends Averaging {
  /** Blocks whose outputs are averaged, from 0; null: the last six. */
  readonly layers: readonly number[] | null
  /** Threshold of smooth L1; 0: the squared error. */
  readonly beta: number
  /** The loss is the mean over the width, or the sum over it by its root (fairseq). */
  readonly scale: (typeof lossScales)[number]
  /** Whether a linear head predicts, or the final norm alone. */
  readonly head: boolean
  /**
   * The whole model has a copy; or only blocks, final norm and tables of relative positions do, and they see what the student has embedded
   * (fairseq).
   */
  readonly scope: (typeof teacherScopes)[number]
  readonly momentum: Momentum
}

const isOfEncoder = (name: string) => /^(blocks|norm|rel_pos_bias)\./.test(name)

/** What a teacher of this backbone says of views, [B, N, D]. Throws `CONFIG` for a block that the model lacks. */
export function teacherFeatures(
  backbone: Backbone,
  { layers: given, scope, ...averaging }: Pick<TeacherOptions, 'layers' | 'scope' | keyof Averaging>,
): (view: View, weights: Weights) => Tensor {
  const layers = layersOf(given, backbone.shape.dimensions.depth)
  const follows = scope === 'encoder' ? isOfEncoder : () => true
  const teacherOf =
    (weights: Weights): Weights =>
    (name) =>
      weights(follows(name) ? teacherPrefix + name : name)
  return (view, weights) => {
    const { prefix, taps } = backbone.encodeAll(view, teacherOf(weights), {
      taps: layers.map((block) => ({ block, of: 'output' })),
      ...{ until: Math.max(...layers), norm: false },
    })
    const outputs = taps.map((sequence) => toDtype(patchesOf({ sequence, prefix }), 'float32'))
    return inFloat32(() => averageOf(outputs, averaging))
  }
}

/** Throws `CONFIG` for a block that the model lacks. */
export const predictTeacher =
  (options: TeacherOptions): TargetMaker =>
  ({ shape, groups, backbone }) => {
    const { width } = shape.dimensions
    const { scope, beta, scale, momentum, head } = options
    const places = placeCount(backbone.layout)
    const features = teacherFeatures(backbone, options)
    const factor = scale === 'root-width' ? Math.sqrt(width) : 1
    const error = (predicted: Tensor, wanted: Tensor) => {
      const each = featureErrors[beta === 0 ? 'mse' : 'smooth-l1'](predicted, wanted, beta)
      return factor === 1 ? each : mul(each, factor)
    }
    const target = tokenTarget({
      part: 'features',
      widths: Object.fromEntries(groups.map(({ head: name }) => [name, width])),
      of({ cut: { view } }, weights) {
        const wanted = features(view, weights)
        return groups.map((_, g) => narrow(wanted, 1, g * places, places))
      },
      error,
      shows: { kind: 'features' },
    })
    return {
      ...target,
      ...{ chance: 'metrics.lossOfMean', metrics: collapseMetrics(error) },
      ...(!head && { isDirect: true }),
      teacher: { momentum, ...(scope === 'encoder' && { of: isOfEncoder }) },
    }
  }

/** The last six, or all where there are fewer. */
function layersOf(layers: readonly number[] | null, depth: number): readonly number[] {
  const missing = layers?.find((block) => block >= depth)
  if (missing !== undefined)
    throw new SherdError('CONFIG', `target.layers has ${missing}, and the model has blocks 0 to ${depth - 1}`)
  return layers ?? Array.from({ length: Math.min(6, depth) }, (_, i) => depth - Math.min(6, depth) + i)
}

/** A share of itself that a teacher keeps. */
const momentum = z.number().min(0).max(1)

/** Of a teacher that follows the model. */
export const momentumKeys = (from: number, to: number | null) => ({
  momentum: momentum.default(from).describe('share of itself that the teacher keeps in a step, at first'),
  finalMomentum: momentum
    .nullable()
    .default(to)
    .describe('what it rises to, linearly; null: it stays as it is'),
  momentumSteps: z
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe('steps until it is there; null: the whole run'),
})

export const momentumOf = (keys: {
  readonly momentum: number
  readonly finalMomentum: number | null
  readonly momentumSteps: number | null
}): Momentum => ({
  ...{ from: keys.momentum, to: keys.finalMomentum ?? keys.momentum, over: keys.momentumSteps },
})

export const teacherRow = targetRow({
  keys: {
    layers: layersKey('the last six'),
    layerNorm: z.boolean().default(true).describe('norm the output of each block first'),
    norm: z.boolean().default(true).describe('norm their mean'),
    beta: z
      .number()
      .min(0)
      .default(2)
      .describe('where smooth L1 turns from squares to distances; 0: squares alone'),
    scale: z
      .enum(lossScales)
      .default('mean')
      .describe(
        "the loss is the mean over a token's numbers, or their sum by the root of how many there are (fairseq)",
      ),
    head: z
      .boolean()
      .default(true)
      .describe('whether a linear map predicts, or the final norm alone (fairseq)'),
    scope: z
      .enum(teacherScopes)
      .default('model')
      .describe(
        "what the teacher has of its own: everything, or blocks and norm behind the student's embeddings (fairseq)",
      ),
    ...momentumKeys(0.9998, null),
  },
  open: (keys) => predictTeacher({ ...keys, momentum: momentumOf(keys) }),
  check({ layers }, { dimensions }) {
    layersOf(layers, dimensions.depth)
  },
  wholeSamples: () => 'target.kind teacher',
  inWords: () => 'features of a teacher that follows the model (data2vec, Baevski et al. 2022)',
})
