/**
 * What chooses the hidden tokens of a micro-batch: a design and the samples' addresses alone, or also their pixels and the weights, of the
 * encoder itself or of a teacher.
 */
import type { Backbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { Wanted } from '../model/decoder/decoder.ts'
import type { Encoded } from '../model/encoder.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { CutView } from '../model/stem/patches.ts'
import type { Schedule } from '../optim/schedule.ts'
import type { FrozenModel } from '../target/frozen-model.ts'
import type { Parts, TargetTeacher } from '../target/target.ts'
import { toDevice } from '../tensor/ops.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { type MaskPlan, planFromNoise } from '../token/mask.ts'
import { absentLast, designedNoise, keptTokens, type MaskDesign } from '../token/mask-design.ts'
import type { MaskRatio } from '../token/mask-ratio.ts'
import type { Address, At, Average, MetricRow } from './objective.ts'

/** An address, in a run with its step and the values of its schedules. */
export type ChoosingAt = Address & Partial<Pick<At, 'step' | 'epoch' | 'value'>>

export interface MaskChooser {
  /** Whether samples may differ in how many tokens they hide, so that micro-batches are weighted by them. */
  readonly isUneven?: boolean
  /** Whether it reads the weights. */
  readonly isOfWeights?: boolean
  /** Models that do not learn, by the configuration's key that names them. */
  readonly frozen?: Readonly<Record<string, () => FrozenModel>>
  /** Parameters of its own. */
  readonly rows?: readonly ParameterRow[]
  readonly averages?: readonly Average[]
  readonly schedules?: Readonly<Record<string, Schedule>>
  /** Of `parts`. */
  readonly metrics?: readonly MetricRow[]
  /**
   * Called inside a scope, without gradient. The view is there in training; without it the plan is that of samples whose pixels all hold
   * data.
   */
  plan(at: ChoosingAt, cut: CutView | null, weights: Weights | null): MaskPlan
  /** Further parts of the loss, by which it learns; they weigh the same in every micro-batch. */
  parts?(learned: LearnedOf): Parts
}

/** What an objective has computed of a micro-batch when a chooser learns from it. */
export interface LearnedOf {
  readonly read: TokensRead
  readonly cut: CutView
  readonly plan: MaskPlan
  readonly weights: Weights
  /** The target's error of each hidden token, [B, M] in float32, without gradient. */
  readonly errors: () => Tensor
}

/** What an objective read of a batch under a mask. */
export interface TokensRead {
  readonly encoded: Pick<Encoded, 'sequence' | 'prefix' | 'taps'>
  /** Of hidden tokens [B, M, E], or of all [B, N, E], as decoders give them. Called once. */
  features(wanted: Wanted): Tensor
  /** Those that the second head reads. Called once, after `features`. */
  second?(wanted: Wanted): Tensor
}

/** The name under which a ratio that changes is logged. */
const ratioValue = 'maskRatio'

/** What masks are chosen for. */
export interface MaskSpace {
  readonly shape: BackboneShape
  readonly backbone: Backbone
  readonly design: MaskDesign
  /** What the target reads of a frozen model, if anything: from the same pass, where the mask is of the same one. */
  readonly shared?: TargetTeacher | undefined
  /** Whose tokens the encoder's sequence has: the kept ones, or all, hidden ones as mask tokens. */
  readonly seen: 'kept' | 'all'
  /** Whether the target knows the error of a single token. */
  readonly hasErrors: boolean
  readonly device: Device
}

export type MaskChooserMaker = (space: MaskSpace) => MaskChooser

/** The `kept` tokens of lowest noise; those without data come last. */
export function planOfNoise(
  noise: Tensor,
  { kept, cut, device }: { kept: number; cut: Pick<CutView, 'present'> | null; device: Device },
): MaskPlan {
  const onDevice = toDevice(noise, device)
  return planFromNoise(cut?.present ? absentLast(onDevice, cut.present) : onDevice, kept)
}

/** Null for a ratio that stays. */
export function ratioSchedule({
  ratio,
  ratioTo = null,
  ratioSchedule: kind = 'linear',
}: MaskRatio): Schedule | null {
  return ratioTo === null || ratioTo === ratio ? null : { kind, from: ratio, to: ratioTo }
}

export interface AddressOptions {
  /** K, if not that of the design. */
  readonly kept?: number | null | undefined
  /** Of the ratio; by default it is that of the design in every step. */
  readonly ratio?: Schedule | null | undefined
}

/** By addresses alone. */
export const chooseByAddress =
  ({ kept = null, ratio: schedule = null }: AddressOptions = {}): MaskChooserMaker =>
  ({ backbone: { layout }, design, device }) => {
    const usual = kept ?? keptTokens(layout, design)
    return {
      ...(schedule && { schedules: { [ratioValue]: schedule } }),
      plan({ seed, samples, value }, cut) {
        const ratio = schedule && value?.[ratioValue]
        const own = ratio == null ? design : { ...design, ratio }
        const count = ratio == null ? usual : keptTokens(layout, own)
        return planOfNoise(designedNoise(layout, own, seed, samples), { kept: count, cut, device })
      },
    }
  }
