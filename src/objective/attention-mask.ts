/**
 * Masks that follow attention, of a teacher or of the encoder itself at its current weights, by the rules of `src/token/mask-rules.ts`. Draws
 * are those of the samples' addresses, so that masks depend on addresses, pixels and weights alone.
 */
import { SherdError } from '../errors.ts'
import { patchAttention } from '../model/attention-rows.ts'
import { expectTeacherTokens, type FrozenModel } from '../target/frozen-model.ts'
import { call } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { mul, select, toDevice } from '../tensor/ops.ts'
import { layoutTokens } from '../token/layout.ts'
import { maskNoise, planFromStates } from '../token/mask.ts'
import { keptCount } from '../token/mask-order.ts'
import { type AttentionRuleName, attentionRules, checkAttentionRule, maskSome } from '../token/mask-rules.ts'
import { type MaskChooserMaker, planOfNoise } from './mask-chooser.ts'

export interface AttentionMaskOptions {
  readonly rule: AttentionRuleName
  /** Null: the encoder itself. */
  readonly teacher: (() => FrozenModel) | null
  /** Share of the samples that AttMask masks. */
  readonly maskingProb: number
  /** Share of the patches, the most attended, of which AttMask's hint shows some again. */
  readonly showMax: number
  /** Share of the patches that AMT neither sees nor predicts. */
  readonly throwRatio: number
  /** Before this epoch (from 0) masks are random, and hide this share. */
  readonly fromEpoch: number
  readonly ratioBefore: number
}

/** Exp(1) of uniform draws; never 0, by which weights are divided. */
const exponential = (uniform: ReturnType<typeof maskNoise>) =>
  call('clamp_min', mul(call('log1p', mul(uniform, -1)), -1), 2 ** -25)

/** Throws `VALUE` for shares that do not fit the tokens, and for samples with gaps; `CONFIG` for a teacher of other tokens. */
export const chooseByAttention =
  ({
    rule,
    teacher,
    maskingProb,
    showMax,
    throwRatio,
    fromEpoch,
    ratioBefore,
  }: AttentionMaskOptions): MaskChooserMaker =>
  ({ shape, backbone, design, shared, device }) => {
    const tokens = layoutTokens(backbone.layout)
    const shares = { ratio: design.ratio, showMax, throwRatio }
    checkAttentionRule(rule, tokens, shares)
    const { isGated, states } = attentionRules[rule]
    const isUneven = isGated && maskingProb < 1
    const own = patchAttention(shape.dimensions)
    const frozen =
      teacher &&
      (() => {
        const model = teacher()
        expectTeacherTokens('mask.model', model, {
          layout: backbone.layout,
          imageSize: shape.dimensions.imageSize,
        })
        return model
      })
    return {
      isUneven,
      isOfWeights: frozen === null,
      ...(frozen && { frozen: { 'mask.model': frozen } }),
      plan({ seed, samples, epoch = Number.POSITIVE_INFINITY }, cut, weights) {
        const drawn = (count: number, stream?: string) =>
          toDevice(maskNoise(count, seed, samples, stream), device)
        if (epoch < fromEpoch)
          return planOfNoise(drawn(tokens), { kept: keptCount(tokens, ratioBefore), cut, device })
        if (!cut || (!frozen && !weights))
          throw new SherdError(
            'VALUE',
            'mask.kind attention: masks follow the pixels and the weights, which are not given here',
          )
        if (cut.valid)
          throw new SherdError(
            'VALUE',
            'mask.kind attention: it is not known of pixels without data. Leave samples with gaps out with data.minValid 1.',
          )
        const { attention, features } = noGrad(() => {
          const model = frozen?.()
          if (model) return model.attention(cut.view, shared && shared.by() === model ? shared : undefined)
          const until = shape.dimensions.depth - 1
          const { taps } = backbone.encodeAll(cut.view, weights!, { taps: [own.tap], until, norm: false })
          return { attention: own.read(taps[0]!), features: [] }
        })
        const all = states(attention, shares, exponential(drawn(tokens, 'mask/attention/race')))
        const chosen = isUneven
          ? maskSome(all, select(drawn(1, 'mask/attention/gate'), 1, 0), maskingProb)
          : all
        return { ...planFromStates(chosen), ...(features.length > 0 && { taught: features }) }
      },
    }
  }
