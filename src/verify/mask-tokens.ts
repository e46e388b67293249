/** Objectives with mask tokens in the encoder as reference files describe them, under the names of their authors: SimMIM, MaskFeat, BEiT, BEiT v2. */
import { z } from 'zod'
import { type BackboneShape, layoutOf, plainBackbone } from '../model/backbone-shape.ts'
import { limits } from '../model/dimensions.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import { type EarlyHead, maskTokens } from '../objective/mask-tokens.ts'
import type { MaskedObjective, MaskedOptions } from '../objective/masked.ts'
import type { BatchObjective, Losses, Tensors } from '../objective/objective.ts'
import { type View, viewOf } from '../prepare/view.ts'
import { predictCodes } from '../target/codes.ts'
import { gradientHistograms } from '../target/gradient-histograms.ts'
import { predictHog } from '../target/hog.ts'
import { predictPixels } from '../target/pixel-target.ts'
import { add, cat, expand, mul, narrow, reshape } from '../tensor/ops.ts'
import { type Device, type Tensor, toFloats } from '../tensor/tensor.ts'
import { gridOf, sidesOf } from '../token/grid.ts'
import { type MaskPlan, planFromNoise } from '../token/mask.ts'
import { unpatchify } from '../token/patchify.ts'
import { clsPrefix } from '../token/prefix.ts'
import { fileNames, type Named } from './file-names.ts'
import type { Given, NetworkRow, Opened, Where } from './network-row.ts'

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

/** Samples from one on, and their plan. */
interface Part {
  readonly first: number
  readonly plan: MaskPlan
}

/** All samples at once where they hide as many tokens, else each by itself. `mask` [B, N]. */
function partsOf(mask: Tensor): readonly Part[] {
  const [B, N] = mask.shape as readonly [number, number]
  const all = toFloats(mask)
  const kept = Array.from({ length: B }, (_, b) =>
    all.subarray(b * N, (b + 1) * N).reduce((left, hidden) => left - hidden, N),
  )
  if (kept.every((count) => count === kept[0])) return [{ first: 0, plan: planFromNoise(mask, kept[0]!) }]
  return kept.map((count, first) => ({ first, plan: planFromNoise(narrow(mask, 0, first, 1), count) }))
}

const samplesOf = (x: Tensor, { first, plan }: Part) => narrow(x, 0, first, plan.hidden.shape[0]!)

/** The codes that a file has in the place of a tokenizer, by the view that they are of. */
const codesOf = new WeakMap<View, Tensor>()

function viewOfPart({ images, codes }: Batch, part: Part): View {
  const view = viewOf(samplesOf(images, part))
  if (codes) codesOf.set(view, samplesOf(codes, part))
  return view
}
const countOf = ({ plan: { hidden } }: Part) => hidden.shape[0]! * hidden.shape[1]!
const countAll = (parts: readonly Part[]) => parts.reduce((sum, part) => sum + countOf(part), 0)

interface Batch {
  readonly images: Tensor
  /** [B, N] of a tokenizer. */
  readonly codes?: Tensor
}

/** The objective with parameters as the file names them, and the mean over all hidden tokens, however many a sample has. */
function asInFile(
  own: MaskedObjective,
  namedOf: (row: ParameterRow) => Named,
  maskOf: (at: Where) => Tensor,
) {
  const names = fileNames(own.rows, namedOf)
  const losses = own.metrics!.filter(({ kind }) => kind === 'loss').map(({ name }) => name)
  const objective: BatchObjective<Batch, readonly Part[]> = {
    rows: names.rows,
    encoder: own.encoder,
    plan: (at) => partsOf(maskOf(at)),
    counts: (_, parts) => Object.fromEntries(losses.map((name) => [name, countAll(parts)])),
    loss(weights, batch, parts): Losses {
      const each = parts.map((part) => {
        const { parts: made } = own.loss(names.own(weights), { image: viewOfPart(batch, part) }, part.plan)
        const share = countOf(part) / countAll(parts)
        return losses.map((name) => mul(made[name]!.mean, share))
      })
      const means = losses.map((name, n) => {
        const mean = each.map((made) => made[n]!).reduce((a, b) => add(a, b))
        return [name, { mean, weight: 1 }] as const
      })
      return { parts: Object.fromEntries(means) }
    },
  }
  /** [B, N, W], of the second head as well. */
  const predict = (weights: Weights, batch: Batch, parts: readonly Part[]) => {
    const each = parts.map((part) => own.predict(names.own(weights), viewOfPart(batch, part), part.plan))
    const joined = (tensors: readonly (Tensor | undefined)[]) =>
      tensors.every((x) => x) && cat(tensors as Tensor[], 0)
    return {
      prediction: joined(each.map(({ prediction }) => prediction)) as Tensor,
      second: joined(each.map(({ second }) => second)),
    }
  }
  return { objective, predict }
}

const simmimConfig = z.strictObject({ ...encoderConfig, maskPatchSize: upTo(limits.side) })

/** The head is a convolution of 1 × 1. */
const simmimNames = ({ name, shape }: ParameterRow): Named => {
  if (name === 'decoder_pred.weight') return { name: 'decoder.0.weight', shape: [...shape, 1, 1] }
  return { name: name === 'decoder_pred.bias' ? 'decoder.0.bias' : `encoder.${name}`, shape }
}

export const simmim: NetworkRow<z.infer<typeof simmimConfig>, Batch, readonly Part[]> = {
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
      outputs: (weights, batch, parts, at): Tensors => ({
        pred: unpatchify(predict(weights, batch, parts).prediction, {
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

export const maskfeat: NetworkRow<z.infer<typeof maskfeatConfig>, Batch, readonly Part[]> = {
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
      outputs: (weights, batch, parts): Tensors => ({
        pred: predict(weights, batch, parts).prediction,
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
): Opened<Batch, readonly Part[]> {
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
    outputs(weights, batch, parts): Tensors {
      const { prediction, second } = predict(weights, batch, parts)
      return { logits: prediction, ...(second && { earlyLogits: second }) }
    },
  }
}

type Beit = NetworkRow<z.infer<z.ZodObject<typeof beitConfig>>, Batch, readonly Part[]>
export const beit: Beit = {
  config: z.strictObject(beitConfig),
  tolerances: 'targets',
  open: (config, given) => openBeit(config, given, null),
}

type Beitv2 = NetworkRow<z.infer<z.ZodObject<typeof beitv2Config>>, Batch, readonly Part[]>
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
