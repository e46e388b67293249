/** Objectives with mask tokens in the encoder as reference files describe them, under the names of their authors: SimMIM, MaskFeat, BEiT, BEiT v2, data2vec. */
import { z } from 'zod'
import { openBackbone } from '../model/backbone.ts'
import { type BackboneShape, layoutOf, plainBackbone } from '../model/backbone-shape.ts'
import { limits } from '../model/dimensions.ts'
import type { EarlyHead } from '../model/early-head.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import { maskTokens } from '../objective/mask-tokens.ts'
import type { MaskedObjective, MaskedOptions } from '../objective/masked.ts'
import type { BatchObjective, Tensors } from '../objective/objective.ts'
import { type View, viewOf } from '../prepare/view.ts'
import { predictCodes } from '../target/codes.ts'
import { gradientHistograms } from '../target/gradient-histograms.ts'
import { predictHog } from '../target/hog.ts'
import { predictPixels } from '../target/pixel-target.ts'
import { predictTeacher, type TeacherOptions, teacherFeatures, teacherScopes } from '../target/teacher.ts'
import { expand, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { gridOf, sidesOf } from '../token/grid.ts'
import { hiddenRows, type MaskPlan, planFromStates } from '../token/mask.ts'
import { unpatchify } from '../token/patchify.ts'
import { clsPrefix } from '../token/prefix.ts'
import { fileNames, type Named } from './file-names.ts'
import type { Given, NetworkRow, Opened, Where } from './network-row.ts'
import { byStep } from './recipe.ts'

const upTo = (most: number) => z.int().positive().max(most)

const encoderConfig = {
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  patchSize: upTo(limits.patchSize),
  ...{ channels: upTo(limits.channels), width: upTo(limits.width), depth: upTo(limits.depth) },
  ...{ heads: upTo(limits.heads), mlpRatio: z.number().positive().max(limits.mlpRatio) },
  layerNormEpsilon: z.number().positive(),
  absolutePosition: z.boolean(),
  relativePositionBias: z.enum(['none', 'shared', 'perBlock']),
  qkvBias: z.enum(['qkv', 'qv']),
  layerScale: z.number().nullable().default(null),
  maskRatio: z.number().gt(0).lt(1),
}
type EncoderConfig = z.infer<z.ZodObject<typeof encoderConfig>>

/** The encoder with mask tokens (TARGETS). */
function optionsOf(config: EncoderConfig, device: Device): MaskedOptions {
  const { imageSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon, layerScale } = config
  const { absolutePosition, relativePositionBias: bias, qkvBias, maskRatio } = config
  const patchSize = sidesOf(config.patchSize)
  const tables = bias === 'shared' ? 'shared' : 'per-block'
  const positions: BackboneShape['positions'] = absolutePosition ? 'learned' : 'none'
  return {
    ...{ device, maskRatio, positions },
    dimensions: {
      ...{ imageSize, patchSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon },
      variant: {
        prefix: clsPrefix.map((cls) => ({ ...cls, positioned: absolutePosition })),
        ...(bias !== 'none' && { relativePositions: { tables, grid: gridOf(imageSize, patchSize) } }),
        ...(layerScale !== null && { layerScale: { initial: layerScale, names: ['gamma_1', 'gamma_2'] } }),
        ...(qkvBias === 'qv' && { qkvBias }),
      },
    },
  }
}

/** The codes that a file has in the place of a tokenizer, by the view that they are of. */
const codesOf = new WeakMap<View, Tensor>()

function viewWithCodes({ images, codes }: Batch): View {
  const view = viewOf(images)
  if (codes) codesOf.set(view, codes)
  return view
}

interface Batch {
  readonly images: Tensor
  /** [B, N] of a tokenizer. */
  readonly codes?: Tensor
}

/** The objective with parameters as the file names them, under the masks of the file. */
function asInFile(
  own: MaskedObjective,
  namedOf: (row: ParameterRow) => Named,
  maskOf: (at: Where) => Tensor,
) {
  const names = fileNames(own.rows, namedOf, own.averages)
  const losses = own.metrics!.filter(({ kind }) => kind === 'loss').map(({ name }) => name)
  const objective: BatchObjective<Batch, MaskPlan> = {
    rows: names.rows,
    ...(own.averages && { averages: own.averages }),
    encoder: own.encoder,
    plan: (at) => planFromStates(maskOf(at)),
    counts: (_, plan) => {
      const count = scope(() => hiddenRows(plan).shape[0]!)
      return Object.fromEntries(losses.map((name) => [name, count]))
    },
    loss: (weights, batch, plan) => own.loss(names.own(weights), { image: viewWithCodes(batch) }, plan),
  }
  /** [B, N, W], of the second head as well. */
  const predict = (weights: Weights, batch: Batch, plan: MaskPlan) =>
    own.predict(names.own(weights), viewWithCodes(batch), plan)
  return { objective, predict, weights: names.own }
}

const simmimConfig = z.strictObject({ ...encoderConfig, maskPatchSize: upTo(limits.side) })

/** The head is a convolution of 1 × 1. */
const simmimNames = ({ name, shape }: ParameterRow): Named => {
  if (name === 'decoder_pred.weight') return { name: 'decoder.0.weight', shape: [...shape, 1, 1] }
  return { name: name === 'decoder_pred.bias' ? 'decoder.0.bias' : `encoder.${name}`, shape }
}

export const simmim: NetworkRow<z.infer<typeof simmimConfig>, Batch, MaskPlan> = {
  config: simmimConfig,
  tolerances: 'targets',
  open(config, { tensor, input, device }) {
    const { imageSize, patchSize } = config
    const times = config.maskPatchSize / patchSize
    /** Each cell as its patches, row-major: [B, N]. */
    const maskOf = (at: Where) => {
      const cells = input('mask', at, 3)
      const [B, h, w] = cells.shape as readonly [number, number, number]
      const patches = expand(reshape(cells, [B, h, 1, w, 1]), [B, h, times, w, times])
      return reshape(patches, [B, h * times * w * times])
    }
    const target = predictPixels({ normalize: false, form: 'simmim' })
    const own = maskTokens({ ...optionsOf(config, device), target })
    const { objective, predict } = asInFile(own, simmimNames, maskOf)
    const samples = tensor('input.images').shape[0]!
    return {
      ...{ objective, samples, microBatches: samples },
      batch: (of) => ({ images: input('images', of, 4) }),
      outputs: (weights, batch, plan, at): Tensors => ({
        pred: unpatchify(predict(weights, batch, plan).prediction, {
          patchSize,
          grid: gridOf(imageSize, sidesOf(patchSize)),
        }),
        mask: maskOf(at),
      }),
    }
  },
}

const maskfeatConfig = z.strictObject({
  ...encoderConfig,
  ...{ cellSize: upTo(limits.patchSize), bins: upTo(64), gaussianWindow: z.int().min(0).max(limits.side) },
  unequalMasks: z.boolean().default(false),
})

/** The last norm is the head's. */
const maskfeatNames = ({ name, shape }: ParameterRow): Named => ({
  name: name
    .replace(/^norm\./, 'pred_head.transforms.0.0.')
    .replace(/^decoder_pred\./, 'pred_head.projections.0.'),
  shape: name === 'pos_embed' ? [1, ...shape] : shape,
})

export const maskfeat: NetworkRow<z.infer<typeof maskfeatConfig>, Batch, MaskPlan> = {
  config: maskfeatConfig,
  tolerances: 'targets',
  open({ cellSize, bins, gaussianWindow, ...config }, { tensor, input, device }) {
    const histograms = { cellSize, bins, gaussianWindow }
    const own = maskTokens({ ...optionsOf(config, device), target: predictHog(histograms) })
    const { objective, predict } = asInFile(own, maskfeatNames, (at) => input('mask', at, 2))
    const samples = tensor('input.images').shape[0]!
    return {
      ...{ objective, samples, microBatches: samples },
      batch: (of) => ({ images: input('images', of, 4) }),
      outputs: (weights, batch, plan): Tensors => ({
        pred: predict(weights, batch, plan).prediction,
        target: gradientHistograms(batch.images, { ...histograms, patchSize: sidesOf(config.patchSize) }),
      }),
    }
  },
}

const beitConfig = { ...encoderConfig, codes: upTo(2 ** 20), unequalMasks: z.boolean().default(false) }
const beitv2Config = {
  ...beitConfig,
  ...{ earlyLayers: upTo(limits.depth), headLayers: upTo(limits.depth), sharedHead: z.boolean() },
}

const beitNames = ({ name, shape }: ParameterRow): Named => ({
  name: name.replace(/decoder_pred\./, 'lm_head.'),
  shape: name === 'pos_embed' ? [1, ...shape] : shape,
})

/** BEiT, and with an early head BEiT v2. */
function openBeit(
  { codes, ...config }: z.infer<z.ZodObject<typeof beitConfig>>,
  { tensor, input, device }: Given,
  early: EarlyHead | null,
): Opened<Batch, MaskPlan> {
  const options = optionsOf(config, device)
  const tokenizer = {
    ...{ hash: '', codes, layout: layoutOf(plainBackbone(options.dimensions)) },
    encode: (view: View) => codesOf.get(view)!,
  }
  const own = maskTokens({ ...options, early, target: predictCodes(() => tokenizer, { codes }) })
  const { objective, predict } = asInFile(own, beitNames, (at) => input('mask', at, 2))
  const samples = tensor('input.images').shape[0]!
  return {
    ...{ objective, samples, microBatches: samples },
    batch: (of) => ({ images: input('images', of, 4), codes: input('codes', of, 2) }),
    outputs(weights, batch, plan): Tensors {
      const { prediction, second } = predict(weights, batch, plan)
      return { logits: prediction, ...(second && { earlyLogits: second }) }
    },
  }
}

type Beit = NetworkRow<z.infer<z.ZodObject<typeof beitConfig>>, Batch, MaskPlan>
export const beit: Beit = {
  config: z.strictObject(beitConfig),
  tolerances: 'targets',
  open: (config, given) => openBeit(config, given, null),
}

type Beitv2 = NetworkRow<z.infer<z.ZodObject<typeof beitv2Config>>, Batch, MaskPlan>
export const beitv2: Beitv2 = {
  config: z.strictObject(beitv2Config),
  tolerances: 'targets',
  open({ earlyLayers: layers, headLayers: depth, sharedHead: shared, ...config }, given) {
    return {
      ...openBeit(config, given, { layers, depth, shared }),
      parts: (parts) => ({ final: parts.codes!, early: parts['early-codes']! }),
    }
  },
}

const data2vecConfig = z.strictObject({
  ...encoderConfig,
  targetLayers: z.array(z.int().min(0).max(limits.depth)).min(1),
  ...{ targetLayerNorm: z.boolean(), targetNorm: z.boolean(), predictionHead: z.boolean() },
  ...{ lossBeta: z.number().min(0), lossScale: z.enum(['mean', 'sumOverRootWidth']).default('mean') },
  ...{ teacherScope: z.enum(teacherScopes).default('model'), momentum: byStep },
  unequalMasks: z.boolean().default(false),
})

export const data2vec: NetworkRow<z.infer<typeof data2vecConfig>, Batch, MaskPlan> = {
  config: data2vecConfig,
  tolerances: 'targets',
  open(config, { tensor, input, device }) {
    const teacher: TeacherOptions = {
      ...{ layers: config.targetLayers, layerNorm: config.targetLayerNorm, norm: config.targetNorm },
      ...{ beta: config.lossBeta, scale: config.lossScale === 'mean' ? 'mean' : 'root-width' },
      ...{ head: config.predictionHead, scope: config.teacherScope },
      momentum: { from: 0, to: 0, over: null }, // the file has one for each step
    }
    const options = optionsOf(config, device)
    const own = maskTokens({ ...options, target: predictTeacher(teacher) })
    const shape = { ...plainBackbone(options.dimensions), positions: options.positions! }
    const target = teacherFeatures(openBackbone(shape, device), teacher)
    const { objective, predict, weights: ownWeights } = asInFile(own, beitNames, (at) => input('mask', at, 2))
    const samples = tensor('input.images').shape[0]!
    return {
      ...{ objective, samples, microBatches: samples, schedules: { momentum: config.momentum } },
      batch: (of) => ({ images: input('images', of, 4) }),
      outputs: (weights, batch, plan): Tensors => ({
        pred: predict(weights, batch, plan).prediction,
        target: target(viewOf(batch.images), ownWeights(weights)),
      }),
    }
  },
}
