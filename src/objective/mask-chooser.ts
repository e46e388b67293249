/**
 * What chooses the hidden tokens of a micro-batch: a design and the samples' addresses alone, or also their pixels and the weights, of the
 * encoder itself or of a teacher.
 */

import { SherdError } from '../errors.ts'
import type { Backbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { CutView } from '../model/stem/patches.ts'
import type { Schedule } from '../optim/schedule.ts'
import type { View } from '../prepare/view.ts'
import { type Draws, draws } from '../random/draws.ts'
import type { FrozenModel } from '../target/frozen-model.ts'
import type { Parts, TargetTeacher } from '../target/target.ts'
import { toDevice } from '../tensor/ops.ts'
import { type Device, fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { layoutTokens } from '../token/layout.ts'
import { type MaskPlan, planFromNoise, planFromStates } from '../token/mask.ts'
import { absentLast, designedNoise, keptTokens, type MaskDesign } from '../token/mask-design.ts'
import type { MaskRatio } from '../token/mask-ratio.ts'
import type { Address, At, Average, MetricRow } from './objective.ts'
import type { TokenReader, TokensRead } from './token-reader.ts'

/** An address, in a run with its step and the values of its schedules. */
export type ChoosingAt = Address & Partial<Pick<At, 'step' | 'epoch' | 'value'>>

export interface MaskChooser {
  /** Whether samples may differ in how many tokens they hide, so that micro-batches are weighted by them. */
  readonly isUneven?: boolean
  /** Whether it reads the weights. */
  readonly isOfWeights?: boolean
  /** Models that do not learn, by the configuration's key that names them. */
  readonly frozen?: Readonly<Record<string, () => FrozenModel>>
  /** The folder of the masks that its views have, if it reads any. */
  readonly masks?: string
  /** Parameters of its own. */
  readonly rows?: readonly ParameterRow[]
  readonly averages?: readonly Average[]
  readonly schedules?: Readonly<Record<string, Schedule>>
  /** Of `parts`. */
  readonly metrics?: readonly MetricRow[]
  /**
   * Called inside a scope, without gradient. The view is there in training; without it the plan is that of samples whose pixels all hold
   * data, and that have no masks.
   */
  plan(at: ChoosingAt, cut: CutView | null, weights: Weights | null, view?: View): MaskPlan
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
  readonly seen: TokenReader['seen']
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

/**
 * A mask of your own: 1 (or true) hides a patch of the grid, row by row, 0 shows it, −1 neither shows nor predicts it. A value for each place, which
 * groups and frames then share, or for each token. It should depend on its arguments alone.
 */
export type MaskFunction = (
  grid: Grid,
  draw: Draws,
  sample: { readonly epoch: number; readonly index: number },
) => ArrayLike<number | boolean>

/** By a function; samples may hide different numbers of tokens. Tokens without data are never seen where others remain. */
export const chooseByFunction =
  (mask: MaskFunction): MaskChooserMaker =>
  ({ backbone: { layout }, device }) => {
    const [N, L] = [layoutTokens(layout), tokenCount(layout.grid)]
    const statesOf = (sample: { epoch: number; index: number }, seed: number): Float32Array => {
      const of = `The mask of sample ${sample.index} in epoch ${sample.epoch}`
      const refuse = (what: string) => {
        throw new SherdError('VALUE', `${of} ${what}`)
      }
      const own = Float32Array.from(
        mask(layout.grid, draws({ seed, stream: 'mask/function', ...sample }), sample),
        Number,
      )
      if (own.length !== L && own.length !== N)
        refuse(
          `has ${own.length} values: expected ${L}, one for each of ${layout.grid.h} × ${layout.grid.w} patches${N === L ? '' : `, or ${N}, one for each token`}`,
        )
      const odd = own.find((value) => value !== 0 && value !== 1 && value !== -1)
      if (odd !== undefined) refuse(`has the value ${odd}: expected 1 (hidden), 0 (seen) or −1 (neither)`)
      if (!own.includes(0)) refuse('hides all patches: expected one that is seen')
      if (!own.includes(1)) refuse('hides none: expected one patch or more')
      return Float32Array.from({ length: N }, (_, n) => own[n % own.length]!)
    }
    return {
      isUneven: true,
      plan({ seed, samples: { epochs, indices } }, cut) {
        const B = indices.length
        const all = new Float32Array(B * N)
        for (let b = 0; b < B; b++) all.set(statesOf({ epoch: epochs[b]!, index: indices[b]! }, seed), b * N)
        if (cut?.present) hideAbsent(all, toFloats(cut.present), N)
        return planFromStates(toDevice(fromArray(all, [B, N], 'float32'), device))
      },
    }
  }

/**
 * By masks that come with the images: PNG files in `dir`. Samples may hide different numbers of patches, or none. Those without a mask, such
 * as images to reconstruct, hide what the design says.
 */
export const chooseByFiles =
  (dir: string): MaskChooserMaker =>
  (space) => {
    const { backbone, device } = space
    const [N, L] = [layoutTokens(backbone.layout), tokenCount(backbone.layout.grid)]
    const otherwise = chooseByAddress()(space)
    return {
      ...{ isUneven: true, masks: dir },
      plan(at, cut, weights, view) {
        const hidden = view?.hidden
        if (!hidden) return otherwise.plan(at, cut, weights)
        const B = hidden.length / L
        const states = Float32Array.from(
          { length: B * N },
          (_, i) => hidden[Math.floor(i / N) * L + ((i % N) % L)]!,
        )
        return planFromStates(toDevice(fromArray(states, [B, N], 'float32'), device))
      },
    }
  }

/** Hides tokens without data, in place; a sample that would then see none keeps its mask. */
function hideAbsent(states: Float32Array, present: ArrayLike<number>, N: number): void {
  for (let start = 0; start < states.length; start += N) {
    const seen = Array.from({ length: N }, (_, n) => start + n).filter((n) => states[n] === 0)
    const absent = seen.filter((n) => present[n] === 0)
    if (absent.length < seen.length) for (const n of absent) states[n] = 1
  }
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
