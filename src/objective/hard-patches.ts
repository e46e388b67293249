/**
 * Hard patches (Wang et al. 2023, HPM): a predictor says of each patch how hard it is to rebuild, and the mask takes a share of the hardest,
 * which grows over the run; the others are random. The predictor is a small decoder with one number per token. It learns which of two hidden
 * patches of an image has the greater loss, and not how great it is; the encoder learns from that, too. Masks are chosen by a moving average
 * of encoder and predictor, from the whole image.
 */
import { SherdError } from '../errors.ts'
import { openDecoder } from '../model/decoder/decoders.ts'
import type { DecoderDimensions } from '../model/dimensions.ts'
import { applyLinear, linearRows } from '../model/linear.ts'
import { type ParameterRow, type Weights, within } from '../model/parameters.ts'
import type { LinearSchedule } from '../optim/schedule.ts'
import { call } from '../tensor/call.ts'
import { inFloat32 } from '../tensor/context.ts'
import {
  add,
  arange,
  expand,
  gather,
  mul,
  narrow,
  select,
  sigmoid,
  sub,
  sum,
  toDevice,
  toDtype,
  unsqueeze,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { layoutTokens } from '../token/layout.ts'
import { type MaskPlan, maskNoise, planFromStates } from '../token/mask.ts'
import { keptTokens } from '../token/mask-design.ts'
import { hardPatches } from '../token/mask-rules.ts'
import type { MaskChooserMaker } from './mask-chooser.ts'

export interface HardPatchesOptions {
  /** The predictor's. */
  readonly predictor: Pick<DecoderDimensions, 'width' | 'depth' | 'heads'>
  /** Share of the hidden patches that are the hardest, at the first step and at the end of the run; between them it grows linearly. */
  readonly from: number
  readonly to: number
  /** Of the moving average. */
  readonly momentum: LinearSchedule
}

const EPSILON = 1e-6 // as published

/**
 * Mean over all pairs of hidden tokens of an image of −log(σ(a − b) + 1e-6), where the loss of a is greater than that of b: predicted and
 * losses [B, M] → a scalar. Pairs of equal losses count, with 0, so that micro-batches of equal size weigh the same; the published code leaves
 * them out.
 */
export function relativeLoss(predicted: Tensor, losses: Tensor): Tensor {
  const [B, M] = losses.shape as readonly [number, number]
  return scope(() => {
    const isGreater = toDtype(call('gt.Tensor', unsqueeze(losses, 2), unsqueeze(losses, 1)), 'float32') // [B, M, M]
    const apart = sub(unsqueeze(predicted, 2), unsqueeze(predicted, 1))
    const wrong = call('log', add(sigmoid(apart), EPSILON))
    return mul(sum(mul(wrong, isGreater)), -2 / Math.max(1, B * M * (M - 1)))
  })
}

/** Of a predictor that says the same of all patches. */
export const relativeChance = -Math.log(0.5 + EPSILON)

/** Every token is seen, in its own order. */
function everything(samples: number, tokens: number, device: Device): MaskPlan {
  const all = expand(arange(tokens, { dtype: 'int64', device }), [samples, tokens])
  return { kept: all, hidden: narrow(all, 1, 0, 0), restore: all }
}

const PART = 'order'
const PREDICTOR = 'loss_predictor'
const TEACHER = 'hard_teacher.'

/** Throws `SHAPE` for a predictor that does not fit, `VALUE` for targets without an error of each token. */
export const chooseHardPatches =
  ({ predictor, from, to, momentum }: HardPatchesOptions): MaskChooserMaker =>
  ({ shape, backbone, design, seen, hasErrors, device }) => {
    if (!hasErrors)
      throw new SherdError(
        'VALUE',
        'mask.kind loss: this target has no error of single patches to learn from; take another target, or leave target.scales and decoder.compat out',
      )
    const { layout } = backbone
    const tokens = layoutTokens(layout)
    const hidden = tokens - keptTokens(layout, design)
    const decoder = openDecoder(
      { kind: 'transformer', ...predictor, groupWidth: shape.groupWidth, timeWidth: shape.time?.width ?? 0 },
      { shape, device },
    )
    // Where the encoder has mask tokens, the predictor needs none.
    const ofDecoder = decoder.rows.filter(({ name }) => seen === 'kept' || name !== 'mask_token')
    const rows = [...ofDecoder, ...linearRows('pred', decoder.width, 1)].map(
      (row): ParameterRow => ({ ...row, name: `${PREDICTOR}.${row.name}` }),
    )
    const averaged = new Set([...backbone.rows, ...rows].map(({ name }) => name))
    /** [B, L] of features [B, L, E]. */
    const said = (features: Tensor, own: Weights) =>
      inFloat32(() => toDtype(select(applyLinear(features, within(own, 'pred')), 2, 0), 'float32'))
    return {
      isOfWeights: true,
      rows,
      averages: [
        {
          prefix: TEACHER,
          from: '',
          of: (name) => averaged.has(name),
          momentum: 'hardMomentum',
          when: 'after-step',
        },
      ],
      schedules: { hardShare: { kind: 'linear', from, to }, hardMomentum: momentum },
      metrics: [
        { name: PART, kind: 'loss', unit: '', chance: relativeChance, chanceOf: 'predicting equal losses' },
      ],
      plan({ seed, samples, value }, cut, weights) {
        if (!cut || !weights)
          throw new SherdError(
            'VALUE',
            'mask.kind loss: masks follow the pixels and the weights, which are not given here',
          )
        if (cut.valid)
          throw new SherdError(
            'VALUE',
            'mask.kind loss: it is not known of pixels without data. Leave samples with gaps out with data.minValid 1.',
          )
        const teacher: Weights = (name) => weights(`${TEACHER}${name}`)
        const encoded = backbone.encodeAll(cut.view, teacher)
        const own = within(teacher, PREDICTOR)
        const plan = everything(cut.samples, tokens, device)
        const losses = said(decoder.decode({ encoded, plan, view: cut.view }, own, 'all'), own)
        const noise = toDevice(maskNoise(tokens, seed, samples), device)
        const hardest = Math.floor(hidden * (value?.hardShare ?? to))
        return planFromStates(hardPatches(losses, noise, { hardest, hidden }))
      },
      parts({ read: { encoded }, cut, plan, weights, errors }) {
        const own = within(weights, PREDICTOR)
        const input = { encoded, view: cut.view }
        const features =
          seen === 'kept'
            ? decoder.decode({ ...input, plan }, own, 'hidden')
            : decoder.decode({ ...input, plan: everything(cut.samples, tokens, device) }, own, 'all')
        const all = said(features, own)
        const predicted = seen === 'kept' ? all : gather(all, 1, plan.hidden)
        return { [PART]: { mean: relativeLoss(predicted, errors()), weight: 1 } }
      },
    }
  }
