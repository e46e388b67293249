/**
 * Masked autoencoding (He et al. 2021): see a quarter of the patches, rebuild the pixels of the rest. With spectral groups, frames
 * and their dates it is SatMAE (Cong et al. 2022); with positions that know the scale, Scale-MAE's encoder (Reed et al. 2023); with
 * larger pictures, SatMAE++ (Noman et al. 2024). None of them is another objective: tokens, mask and target are given.
 */
import { SherdError } from '../errors.ts'
import {
  type BackboneShape,
  type CutView,
  checkDecoder,
  decoderWidths,
  openBackbone,
  plainBackbone,
  positionOptions,
} from '../model/backbone.ts'
import { applyLinear } from '../model/block.ts'
import { decoderFeatures } from '../model/decoder.ts'
import type { DecoderDimensions, EncoderDimensions } from '../model/dimensions.ts'
import { groupedDecoderRows, pick, predictAllGroups, predictGroups } from '../model/group-layers.ts'
import { type Weights, within } from '../model/parameters.ts'
import { upscaleRows } from '../model/upscale.ts'
import type { View } from '../prepare/view.ts'
import { type BandStatistics, bandError, meanError } from '../target/band-pixels.ts'
import { pixelLoss } from '../target/pixels.ts'
import { checkReleased, releasedLoss, releasedOrder } from '../target/released-order.ts'
import { gather, reshape, sum, toDevice } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, item, type Tensor, tensor } from '../tensor/tensor.ts'
import { layoutTokens, placeCount } from '../token/layout.ts'
import { type MaskPlan, maskOf, planFromNoise } from '../token/mask.ts'
import { absentLast, designedNoise, keptTokens, type MaskDesign, randomMask } from '../token/mask-design.ts'
import { patchifyGroups } from '../token/patchify.ts'
import { openPositions, planInRows } from '../token/sample-positions.ts'
import { sineCosine } from '../token/sine-cosine.ts'
import { routeByGroup } from '../token/spectral-groups.ts'
import { take } from '../token/take.ts'
import { inBandOrder } from './band-order.ts'
import { onePart } from './losses.ts'
import type { Address, BatchObjective, ImageBatch, Losses } from './objective.ts'
import { atModelSize, type ScalesTarget, scalesLosses, upscaleShape } from './scales.ts'

export interface MaeOptions extends Partial<Omit<BackboneShape, 'dimensions'>> {
  readonly dimensions: EncoderDimensions
  readonly decoder: DecoderDimensions
  /** Share of tokens that are hidden, in (0, 1). */
  readonly maskRatio: number
  /** How masks are shared between groups and frames; by default not at all. */
  readonly mask?: Omit<MaskDesign, 'ratio'>
  /** K, where it is not what the mask's design says. */
  readonly kept?: number | null
  /** Whether targets are normalised by each patch's own statistics. */
  readonly normalizeTarget: boolean
  /** By what they are normalised; `group` by default. */
  readonly statistics?: BandStatistics
  /** Larger pictures that are rebuilt, too; none by default. */
  readonly scales?: ScalesTarget | null
  /** `satmae`: bands in the order in which the released code has them (`target/released-order.ts`). */
  readonly compat?: 'satmae' | null
  /**
   * Whether samples may lack data, so that micro-batches count by their hidden tokens that hold any. By default they may where there are
   * groups of bands, frames or dates.
   */
  readonly gaps?: boolean
  /** Which tokens a prediction embeds, `kept` by default: see `Backbone.encodeKept`. */
  readonly embed?: 'kept' | 'all'
  readonly device: Device
}

export interface Prediction {
  /** [B, 1 + K, D] */
  readonly latent: Tensor
  /** [B, T · L, P·P·C], frame by frame in image order; zeros for a band that no group has. */
  readonly prediction: Tensor
}

export interface MaskedAutoencoder extends BatchObjective<ImageBatch, MaskPlan, never> {
  /** N, the tokens of one sample. */
  readonly tokens: number
  /** Tokens without any data in the batch are never seen. */
  plan(at: Address, batch?: ImageBatch): MaskPlan
  /** The plan that noise [B, N] gives, for callers that bring their own. */
  planFromNoise(noise: Tensor, view?: View): MaskPlan
  loss(weights: Weights, batch: ImageBatch, plan: MaskPlan): Losses
  /** Everything that the model says about the view, for pictures and checks. */
  predict(weights: Weights, view: View, plan: MaskPlan): Prediction
}

/** Throws `SHAPE` or `VALUE` when dimensions, groups or ratio do not fit. */
export function mae(options: MaeOptions): MaskedAutoencoder {
  const { maskRatio, mask, normalizeTarget, scales = null, compat = null, ...others } = options
  const { decoder, embed, device, ...given } = others
  const shape: BackboneShape = { ...plainBackbone(options.dimensions), ...given }
  const { dimensions: d } = shape
  const backbone = openBackbone(shape, device)
  checkDecoder(shape, decoder)
  const sizes = { encoder: d, decoder }
  const { layout, groups } = backbone
  const places = placeCount(layout)
  const tokens = layoutTokens(layout)
  const pixels = d.patchSize * d.patchSize
  const statistics = normalizeTarget ? (options.statistics ?? 'group') : null
  const design: MaskDesign = { ...randomMask(maskRatio), ...mask, ratio: maskRatio }
  const kept = options.kept ?? keptTokens(layout, design)
  if (compat) checkReleased(shape.groups, d.channels, shape.frames)
  if (scales && (normalizeTarget || compat))
    throw new SherdError(
      'VALUE',
      'target.scales: pictures of several sizes have no patches to be normalised by: set target.normalize to false, and no decoder.compat',
    )
  const widths = decoderWidths(shape, decoder)
  const positionsOf = openPositions(positionOptions(shape), widths, device)
  const all = [...Array(d.channels).keys()]

  const at = (view: View) => (scales ? atModelSize(view, scales, d.imageSize) : view)
  const planOf = (noise: Tensor, view?: View): MaskPlan => {
    const present = view && backbone.cut(at(view)).present
    const onDevice = toDevice(noise, device)
    return planFromNoise(present ? absentLast(onDevice, present) : onDevice, kept)
  }
  const decoderInput = (cut: CutView, latent: Tensor, plan: MaskPlan) => {
    const where = positionsOf(cut.view, latent.shape[0]!)
    const input = { latent, plan: planInRows(where, plan), positions: where.table }
    return compat ? { ...input, clsPosition: releasedClsPosition(groups.length, widths, device) } : input
  }
  /** The prediction of every group at every place. */
  const everywhere = (cut: CutView, latent: Tensor, plan: MaskPlan, weights: Weights) => {
    const features = decoderFeatures(decoderInput(cut, latent, plan), 1, weights, sizes)
    return predictAllGroups(take(features, plan.restore), groups, weights)
  }
  /** The patches of group g at the places of a route. */
  const patchesAt = (cut: CutView, g: number, route: Parameters<typeof pick>[1]) => ({
    own: pick(cut.patches[g]!, route),
    every: () => pick(patchifyGroups(cut.view.pixels, [all], d.patchSize)[0]!, route),
    valid: cut.valid && pick(cut.valid, route),
    pixels,
  })
  const hiddenLoss = (cut: CutView, latent: Tensor, plan: MaskPlan, weights: Weights): Tensor => {
    const K = plan.kept.shape[1]!
    const features = decoderFeatures(decoderInput(cut, latent, plan), 1 + K, weights, sizes) // [B, M, E]
    const isOfOwn = statistics !== 'band' && (statistics !== 'all' || groups[0]!.bands.length === d.channels)
    if (groups.length === 1 && isOfOwn && !cut.valid) {
      const predicted = applyLinear(features, within(weights, groups[0]!.head))
      // Every row hides the same number of patches, so the mean over all of them is the reference's masked mean.
      return pixelLoss(predicted, cut.patches[0]!, plan.hidden, { normalize: normalizeTarget })
    }
    const predictions = predictGroups(features, plan.hidden, groups, places, weights)
    return meanError(
      predictions.map(({ predicted, route }, g) =>
        bandError(predicted, patchesAt(cut, g, route), statistics),
      ),
    )
  }

  /** How many hidden tokens hold data. */
  const withData = (view: View, hidden: Tensor): number => {
    const { present } = backbone.cut(at(view))
    return present ? item(sum(gather(present, 1, hidden))) : hidden.shape[0]! * hidden.shape[1]!
  }
  const mayLackData = options.gaps ?? (shape.frames > 1 || shape.groups !== null || shape.time !== null)

  return {
    rows: [
      ...backbone.rows,
      ...groupedDecoderRows(sizes, groups),
      ...(scales ? upscaleRows(upscaleShape(scales, groups)) : []),
    ],
    tokens,
    encoder: { prefix: '' },
    plan: ({ seed, samples }, batch) =>
      scope(() => planOf(designedNoise(layout, design, seed, samples), batch?.image)),
    ...(mayLackData && { counts: ({ image }, { hidden }) => ({ pixels: withData(image, hidden) }) }),
    planFromNoise: (noise, view) => scope(() => planOf(noise, view)),
    loss: (weights, { image }, plan) =>
      scope(() => {
        const cut = backbone.cut(at(image))
        const latent = backbone.encodeKept(cut, plan.kept, weights)
        if (!scales && !compat) return onePart('pixels', hiddenLoss(cut, latent, plan, weights))
        const parts = everywhere(cut, latent, plan, weights)
        if (compat) {
          const patches = patchifyGroups(cut.view.pixels, [all], d.patchSize)[0]!
          const target = { patches, groups: shape.groups!, pixels, normalize: normalizeTarget }
          return onePart('pixels', releasedLoss(releasedOrder(parts, pixels), target, maskOf(plan)))
        }
        const routes = routeByGroup(plan.hidden, { groups: groups.length, places })
        const base = meanError(
          routes.map((route, g) => bandError(pick(parts[g]!, route), patchesAt(cut, g, route), null)),
        )
        const larger = scalesLosses(parts, image, scales!, { shape, groups, weights })
        return { parts: { pixels: { mean: base, weight: 1 }, ...larger } }
      }),
    predict: (weights, view, plan) =>
      scope(() => {
        const cut = backbone.cut(at(view))
        const latent = backbone.encodeKept(cut, plan.kept, weights, embed)
        const parts = everywhere(cut, latent, plan, weights)
        if (!compat) return { latent, prediction: inBandOrder(parts, groups, d) }
        const [B, L] = parts[0]!.shape as readonly [number, number]
        return { latent, prediction: reshape(releasedOrder(parts, pixels), [B, L, pixels * d.channels]) }
      }),
  }
}

/** In the released decoder cls has the number behind the last group, and no place. */
function releasedClsPosition(
  groups: number,
  { width, groupWidth }: { width: number; groupWidth: number },
  device: Device,
): Tensor {
  const values = new Float32Array(width)
  values.set(sineCosine(groups, groupWidth), width - groupWidth)
  return toDevice(tensor(values, [1, 1, width]), device)
}
