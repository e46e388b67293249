/**
 * How far a number may be from the reference file's, by the page that describes the file (docs/verify.md). Each bound is at least four times
 * what float32 differs from float64 there. The first row whose pattern matches the name of a check is its bound.
 *
 * The key third of a fused query, key and value bias has no true gradient (softmax ignores it), and Adam amplifies the rounding noise there.
 */
import { SherdError } from '../errors.ts'
import type { Bound } from './check.ts'

/** What a bound may depend on. */
export interface Facts {
  /** The learning rate of each step. */
  readonly rates: readonly number[]
  /** Of all gradients that the file expects. */
  readonly greatestGradient: number
}

type Row = readonly [match: RegExp, bound: Bound | ((facts: Facts) => Bound)]
const within = (tolerance: number, more: Omit<Bound, 'tolerance'> = {}): Bound => ({ tolerance, ...more })

const FINAL = /^final(Teacher)?\./
const LOSSES = /^(loss|losses|part\..*)$/
const QKV = /^final(Teacher)?\..*attn\.qkv\.bias$/
const exact: Row = [/^out\.(.*\.)?(mask|codes|positions|kept|frames)($|\.)/, within(0)]

/** What Adam can make of a gradient that is rounding noise: its rate in each step, and as much the other way. */
const noise = ({ rates }: Facts) => 2 * rates.reduce((sum, rate) => sum + rate, 0)

/** SELF-DISTILLATION: outputs and parts, losses, gradients, and what is there at the end. */
const selfDistillation = (outputs: number, losses: number, gradients: number, final: number): Row[] => [
  [/^(loss|losses)$/, within(losses)],
  [/^(part|out)\./, within(outputs)],
  [/^grad\./, within(gradients)],
  [QKV, (facts) => within(final, { keys: noise(facts) })],
  [/^final/, within(final)],
]

/** Behind the norm stands a batch norm, through a layer without bias: the bias of the norm has no true gradient either. */
const behindBatchNorm: Row[] = [
  [/^final(Teacher)?\.(.*\.)?norm\.bias$/, (facts) => within(noise(facts))],
  [/^finalState\.(.*\.)?(head|layers)\.1\.running_mean$/, within(5e-3)],
]

export const tolerances = {
  /** FORMAT.md */
  mae: [
    [/^(out\.)?mask$/, within(0)],
    [/^(out\.)?(pred|latent)$/, within(1e-5)],
    [LOSSES, within(1e-5)],
    [/^grad\./, within(1e-6)],
    [/attn\.qkv\.bias$/, within(2e-3)],
    [FINAL, within(2e-4)],
  ],
  targets: [
    exact,
    [LOSSES, within(1e-5, { times: 'large' })],
    [/^out\.|^finalState\./, within(2e-5)],
    [/^grad\./, within(1e-5, { times: 'greatest' })],
    [/(attn\.qkv|cross_attn\.kv)\.bias$/, within(5e-3)],
    [FINAL, within(1e-3, { mean: 2e-6 })],
  ],
  selfDistillation: selfDistillation(1e-5, 1e-5, 5e-5, 2e-5),
  contrastiveBatchNorm: [...behindBatchNorm, ...selfDistillation(5e-5, 1e-5, 5e-5, 2e-5)],
  contrastiveLars: [[FINAL, within(2e-4)], ...selfDistillation(5e-5, 5e-5, 5e-5, 2e-4)],
  videoAudio: [
    exact,
    [LOSSES, within(1e-5)],
    [/^out\.target$/, within(1e-4)],
    [/^out\./, within(1e-5)],
    [/^grad\./, within(2e-6)],
    [QKV, within(1e-4, { keys: 2e-3 })],
    [/(attn\.k|meta_mlp\.fc2)\.bias$/, within(2e-3)],
    [FINAL, within(1e-4)],
  ],
  distillation: [
    [LOSSES, within(2e-5)],
    [/^out\.mask$/, within(0)],
    [/^out\./, within(3e-5)],
    [/^grad\./, ({ greatestGradient }) => within(1e-5 + 3e-6 * greatestGradient)],
    [/attn\.qkv\.bias$/, within(1e-2)],
    [FINAL, within(1e-3)],
    [/^finalState\./, within(1e-6)],
  ],
  crossModal: [
    exact,
    [LOSSES, within(3e-5)],
    [/^out\./, within(5e-5)],
    [/^grad\./, within(3e-5)],
    [/(attn\.qkv|decoder\.kv)\.bias$/, within(1e-2)],
    [FINAL, within(1e-3)],
  ],
  /** Operators of SELF-DISTILLATION.md. */
  operators: [
    [/^grad\.koleo\.small-norm(\.|$)/, within(1e-3)],
    [/./, within(1e-5)],
  ],
  schedules: [[/./, within(1e-6, { times: 'each' })]],
} satisfies Record<string, readonly Row[]>

export type Page = keyof typeof tolerances

/** The bound of a check. Throws `VALUE` for a name that the page has no bound of. */
export function boundOf(page: Page, name: string, facts: Facts = { rates: [], greatestGradient: 0 }): Bound {
  const rows: readonly Row[] = tolerances[page]
  const found = rows.find(([match]) => match.test(name))
  if (!found) throw new SherdError('VALUE', `no tolerance is known of "${name}"`)
  const [, bound] = found
  return typeof bound === 'function' ? bound(facts) : bound
}
