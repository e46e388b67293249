/** The heads behind a decoder: a linear map for each group of bands, from features of tokens to what a target asks of them. */
import { share } from '../../tensor/context.ts'
import { indexSelect, narrow, reshape } from '../../tensor/ops.ts'
import { scope } from '../../tensor/scope.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { Route } from '../../token/spectral-groups.ts'
import { applyLinear, linearRows } from '../block.ts'
import { type ParameterRow, type Weights, within } from '../parameters.ts'

/** The numbers that each head gives for a token, by its name. Token g · places + p has head g. */
export type HeadWidths = Readonly<Record<string, number>>

export const headRows = (widths: HeadWidths, input: number): ParameterRow[] =>
  Object.entries(widths).flatMap(([name, output]) => linearRows(name, input, output))

/**
 * What each head says of its hidden tokens [n, W], from features [B, M, E]. The routes are asked for where there are several heads, or
 * padding among the tokens. `weights`: null where the features themselves are what is said.
 */
export function predictHidden(
  features: Tensor,
  { routes, isPadded }: { readonly routes: () => readonly Route[]; readonly isPadded: boolean },
  widths: HeadWidths,
  weights: Weights | null,
): readonly Tensor[] {
  const [B, M, E] = features.shape as readonly [number, number, number]
  const names = Object.keys(widths)
  const isWhole = names.length === 1 && !isPadded
  const each = isWhole ? [] : routes() // before the scope, since others read them, too
  return scope(() => {
    const flat = reshape(features, [B * M, E])
    const say = (x: Tensor, g: number) => (weights ? applyLinear(x, within(weights, names[g]!)) : share(x))
    if (isWhole) return [say(flat, 0)]
    return each.map(({ rows }, g) => say(indexSelect(flat, 0, rows), g))
  })
}

/** What each head says at every place [B, places, W], from features [B, G · places, E] in the order of the tokens. */
export function predictAll(features: Tensor, widths: HeadWidths, weights: Weights | null): readonly Tensor[] {
  if (!weights) return [features]
  const names = Object.keys(widths)
  const places = features.shape[1]! / names.length
  return names.map((name, g) => applyLinear(narrow(features, 1, g * places, places), within(weights, name)))
}
