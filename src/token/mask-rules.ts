/**
 * Masks that follow weights of the patches, such as a teacher's attention: AttMask (Kakogeorgiou et al. 2022), the sampling of MILAN (Hou et al.
 * 2022), AMT's three states (Liu et al. 2023). What is random is an argument: `race` [B, N] ~ Exp(1), by which sampling without
 * replacement in proportion to weights p is the order of falling p / race (Efraimidis and Spirakis 2006), and `gate` [B] uniform in [0, 1).
 * Counts are whole numbers of float64 products, as published.
 */
import { SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import { argsort, div, mul, sub, toDtype, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { inverseOf } from './mask.ts'

/** How many patches of a sample a rule takes. */
export interface RuleCounts {
  readonly hidden: number
  readonly thrown: number
}

/** Which patches AttMask hides: the most attended, the least, or the most with a few of them shown again. */
export const attMaskWays = ['high', 'low', 'hint'] as const
export type AttMaskWay = (typeof attMaskWays)[number]

export interface AttMask {
  readonly way: AttMaskWay
  readonly ratio: number
  /** Share of all patches, the most attended, of which `hint` shows some again. */
  readonly showMax: number
}

/** Patches of which `hint` may show some, and how many it shows: none in small grids. */
export const hintCounts = (patches: number, { ratio, showMax }: Omit<AttMask, 'way'>) => ({
  among: Math.floor(showMax * patches),
  shown: Math.floor(showMax * ratio * patches),
})

export function attMaskCounts(patches: number, rule: AttMask): RuleCounts {
  const shown = rule.way === 'hint' ? hintCounts(patches, rule).shown : 0
  return { hidden: Math.floor(patches * rule.ratio) - shown, thrown: 0 }
}

/** 0 for the first patch of the order, 1 for the next …; float32 [B, N]. */
const placesOf = (order: Tensor): Tensor => toDtype(inverseOf(order), 'float32')
const first = (places: Tensor, count: number): Tensor => toDtype(call('lt.Scalar', places, count), 'float32')

/** Patches by falling weight; of equal ones the lower number first. */
const byWeight = (weights: Tensor): Tensor => argsort(mul(weights, -1), 1)

/** The order [B, N] int64 in which patches are drawn without replacement, in proportion to their weights. */
export const samplingOrder = (weights: Tensor, race: Tensor): Tensor =>
  scope(() => byWeight(div(weights, race)))

/** [B, N] 1 hidden, 0 seen. attention, race: [B, N]. */
export function attMask(attention: Tensor, rule: AttMask, race: Tensor): Tensor {
  const patches = attention.shape[1]!
  const most = Math.floor(patches * rule.ratio)
  return scope(() => {
    if (rule.way === 'low') return first(placesOf(argsort(attention, 1)), most)
    const places = placesOf(byWeight(attention))
    const hidden = first(places, most)
    const { among, shown } = hintCounts(patches, rule)
    if (rule.way === 'high' || shown === 0) return hidden
    const candidates = call(
      'masked_fill.Scalar',
      race,
      call('ge.Scalar', places, among),
      Number.POSITIVE_INFINITY,
    )
    return sub(hidden, first(placesOf(argsort(candidates, 1)), shown))
  })
}

/** Leaves samples unmasked whose gate is above the probability: mask [B, N], gate [B]. */
export const maskSome = (mask: Tensor, gate: Tensor, probability: number): Tensor =>
  scope(() => mul(mask, unsqueeze(toDtype(call('le.Scalar', gate, probability), 'float32'), 1)))

/** MILAN, which sees what is salient: [B, N] 0 for the first ⌊N · (1 − ratio)⌋ of `samplingOrder`, 1 for the others. */
export const keepSalient = (order: Tensor, ratio: number): Tensor =>
  scope(() => {
    const kept = Math.floor(order.shape[1]! * (1 - ratio))
    return toDtype(call('ge.Scalar', placesOf(order), kept), 'float32')
  })

export interface Amt {
  /** Share that is hidden and predicted. */
  readonly ratio: number
  /** Share that is neither seen nor predicted. */
  readonly throwRatio: number
}

export function amtCounts(patches: number, { ratio, throwRatio }: Amt): RuleCounts {
  const hidden = Math.floor(patches * ratio)
  return { hidden, thrown: Math.floor(patches * (ratio + throwRatio)) - hidden }
}

/** AMT: [B, N] 1 for the first of `samplingOrder`, which are predicted, −1 for the next, which are thrown away, 0 for the rest, which are seen. */
export const predictOrThrow = (order: Tensor, rule: Amt): Tensor =>
  scope(() => {
    const { hidden, thrown } = amtCounts(order.shape[1]!, rule)
    const places = placesOf(order)
    return sub(mul(first(places, hidden), 2), first(places, hidden + thrown))
  })

/** What the rules read. */
export interface AttentionRule extends Amt {
  readonly showMax: number
}

interface RuleRow {
  /** Whether samples may stay unmasked (`maskSome`). */
  readonly isGated: boolean
  counts(patches: number, rule: AttentionRule): RuleCounts
  /** [B, N] 1 hidden, 0 seen, −1 thrown, of weights [B, N]. */
  states(weights: Tensor, rule: AttentionRule, race: Tensor): Tensor
}

const attMaskRow = (way: AttMaskWay): RuleRow => ({
  isGated: true,
  counts: (patches, rule) => attMaskCounts(patches, { ...rule, way }),
  states: (weights, rule, race) => attMask(weights, { ...rule, way }, race),
})

/** The table of rules (`mask.rule`). */
export const attentionRules = {
  'attmask-high': attMaskRow('high'),
  'attmask-low': attMaskRow('low'),
  'attmask-hint': attMaskRow('hint'),
  milan: {
    isGated: false,
    counts: (patches, { ratio }) => ({ hidden: patches - Math.floor(patches * (1 - ratio)), thrown: 0 }),
    states: (weights, { ratio }, race) => keepSalient(samplingOrder(weights, race), ratio),
  },
  amt: {
    isGated: false,
    counts: amtCounts,
    states: (weights, rule, race) => predictOrThrow(samplingOrder(weights, race), rule),
  },
} as const satisfies Record<string, RuleRow>

export type AttentionRuleName = keyof typeof attentionRules
export const attentionRuleNames = Object.keys(attentionRules) as [AttentionRuleName, ...AttentionRuleName[]]

/** Throws `VALUE` for shares that do not fit together, or leave nothing to see or to predict. */
export function checkAttentionRule(name: AttentionRuleName, patches: number, rule: AttentionRule): void {
  const { ratio, throwRatio, showMax } = rule
  const refuse = (what: string) => {
    throw new SherdError('VALUE', what)
  }
  if (name === 'amt' && ratio + throwRatio >= 1)
    refuse(
      `mask.ratio ${ratio} and mask.throwRatio ${throwRatio} leave nothing to see: expected a sum below 1, as of 0.45 and 0.4 (AMT)`,
    )
  if (name === 'attmask-hint') {
    if (showMax > ratio)
      refuse(
        `mask.showMax is ${showMax}, and mask.ratio ${ratio}: patches are shown again that are hidden, so expected at most ${ratio}`,
      )
    if (hintCounts(patches, rule).among === 0)
      refuse(
        `mask.showMax ${showMax} of ${patches} patches is none to show again: expected at least ${Number((1 / patches).toPrecision(3))}, or mask.rule attmask-high`,
      )
  }
  const { hidden, thrown } = attentionRules[name].counts(patches, rule)
  if (hidden < 1 || hidden + thrown >= patches)
    refuse(
      `mask.ratio ${ratio} of ${patches} patches hides ${hidden}${thrown > 0 ? ` and throws ${thrown}` : ''}: at least one must be hidden, and one seen`,
    )
}

/**
 * Hard patches (Wang et al. 2023): [B, N] 1 for the `hardest` patches of the greatest predicted loss and, of the others, for those of the
 * greatest noise, so that `hidden` are hidden in all; 0 for the rest. With none of the hardest it is the mask of `planFromNoise`.
 */
export const hardPatches = (
  losses: Tensor,
  noise: Tensor,
  { hardest, hidden }: { readonly hardest: number; readonly hidden: number },
): Tensor =>
  scope(() => {
    const isHard = call('lt.Scalar', placesOf(byWeight(losses)), hardest)
    const places = placesOf(argsort(call('masked_fill.Scalar', noise, isHard, 2), 1)) // behind all noise
    return toDtype(call('ge.Scalar', places, losses.shape[1]! - hidden), 'float32')
  })
