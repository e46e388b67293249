/** Heads of linear layers with batch norm between them, and its running statistics: of SimCLR and MoCo v3. */
import type { ParameterRow, Weights } from '../../../src/model/parameters.ts'
import { call } from '../../../src/tensor/call.ts'
import { add, div, meanOver, mul, sqrt, sub, varianceOver } from '../../../src/tensor/ops.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { row } from './small-vit.ts'

export interface Layer {
  readonly linear: string
  readonly hasBias: boolean
  readonly norm: string | null
  /** Gain and bias of the norm. */
  readonly isAffine: boolean
  readonly widths: readonly [input: number, output: number]
}

export const headRows = (layers: readonly Layer[]): ParameterRow[] =>
  layers.flatMap(({ linear, hasBias, norm, isAffine, widths: [input, output] }) => [
    row(`${linear}.weight`, [output, input]),
    ...(hasBias ? [row(`${linear}.bias`, [output])] : []),
    ...(norm && isAffine ? [row(`${norm}.weight`, [output]), row(`${norm}.bias`, [output])] : []),
    ...(norm
      ? [row(`${norm}.running_mean`, [output], 'state'), row(`${norm}.running_var`, [output], 'state')]
      : []),
  ])

type Stats = Record<string, Tensor>

/** With ReLU between the layers. `stats` gets mean and variance of each norm under the names of the running ones and the number of the call. */
export function applyHead(
  x: Tensor,
  w: Weights,
  layers: readonly Layer[],
  [stats, which]: readonly [Stats, number],
): Tensor {
  let y = x
  for (const [i, { linear, hasBias, norm, isAffine }] of layers.entries()) {
    y = call('linear', y, w(`${linear}.weight`), hasBias ? w(`${linear}.bias`) : null)
    if (norm) {
      stats[`${norm}.running_mean/${which}`] = meanOver(y, [0])
      stats[`${norm}.running_var/${which}`] = varianceOver(y, [0], { unbiased: true })
      const scale = sqrt(add(varianceOver(y, [0], { unbiased: false, keepDim: true }), 1e-5))
      y = div(sub(y, meanOver(y, [0], true)), scale)
      if (isAffine) y = add(mul(y, w(`${norm}.weight`)), w(`${norm}.bias`))
    }
    if (i < layers.length - 1) y = call('relu', y)
  }
  return y
}

/** Running statistics of rows that are state, of `calls` calls in their order. */
export const runningStatistics = (rows: readonly ParameterRow[], calls: number) => {
  const names = rows.filter(({ role }) => role === 'state').map(({ name }) => name)
  const ofCalls = (name: string) => Array.from({ length: calls }, (_, i) => `${name}/${i}`)
  return {
    stats: Object.fromEntries(names.flatMap(ofCalls).map((name) => [name, 'sum' as const])),
    update: (w: Weights, stats: Readonly<Stats>) =>
      Object.fromEntries(
        names.map((name) => [
          name,
          ofCalls(name).reduce((x, each) => add(mul(x, 0.9), mul(stats[each]!, 0.1)), w(name)),
        ]),
      ),
  }
}
