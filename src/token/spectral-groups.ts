/**
 * Tokens of spectral groups (SatMAE, Cong et al. 2022, section 3.2): every place (a location in a frame) has a token for each group of
 * bands. Token g · places + p is that of group g at place p.
 */
import { SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import { add, arange, argsort, cat, indexSelect, mul, reshape } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** The numbers of the bands of each group. No band is in two of them; one that is in none is neither seen nor predicted. */
export type SpectralGroups = readonly (readonly number[])[]

/** Throws `VALUE` when groups are empty, overlap or name bands that are not there. */
export function checkGroups(groups: SpectralGroups, channels: number): void {
  const seen = new Map<number, number>()
  const refuse = (what: string) => {
    throw new SherdError('VALUE', `Spectral groups: ${what}`)
  }
  if (groups.length === 0) refuse('expected at least one')
  for (const [g, bands] of groups.entries()) {
    if (bands.length === 0) refuse(`group ${g} has no bands`)
    for (const band of bands) {
      if (!(Number.isInteger(band) && band >= 0 && band < channels))
        refuse(`group ${g} has band ${band}, expected 0 to ${channels - 1}`)
      if (seen.has(band)) refuse(`band ${band} is in group ${seen.get(band)} and in group ${g}`)
      seen.set(band, g)
    }
  }
}

/** Which of a batch's tokens belong to a group. */
export interface Route {
  /** [n] their rows among the B · K tokens. */
  readonly rows: Tensor
  /** [n] b · places + p: their rows among the patches [B · places, …] of the group. */
  readonly places: Tensor
}

/** Parts tokens [B, K] by their group, those that are `real` [B, K] where it is given. How many each sample has of a group may differ. */
export function routeByGroup(
  tokens: Tensor,
  { groups, places, real }: { groups: number; places: number; real?: Tensor | undefined },
): readonly Route[] {
  const [B, K] = expectShape(tokens, ['B', 'K'], 'routeByGroup: tokens')
  return scope(() => {
    const flat = reshape(tokens, [B * K])
    const group = call('div.Scalar_mode', flat, places, 'floor')
    const sample = call(
      'div.Scalar_mode',
      arange(B * K, { dtype: 'int64', device: tokens.device }),
      K,
      'floor',
    )
    const place = add(mul(sample, places), call('remainder.Scalar', flat, places))
    return Array.from({ length: groups }, (_, g) => {
      const own = call('eq.Scalar', group, g)
      const rows = reshape(call('nonzero', real ? mul(own, reshape(real, [B * K])) : own), [-1])
      return { rows, places: indexSelect(place, 0, rows) }
    })
  })
}

/** What was computed for each route [n_g, D], back in the order of the tokens: [B, K, D]. */
export function joinRoutes(
  parts: readonly Tensor[],
  routes: readonly Route[],
  [B, K]: readonly [number, number],
): Tensor {
  return scope(() => {
    const order = argsort(
      reshape(
        cat(
          routes.map(({ rows }) => rows),
          0,
        ),
        [1, B * K],
      ),
      1,
    ) // where each row went
    const all = cat(parts, 0)
    return reshape(indexSelect(all, 0, reshape(order, [B * K])), [B, K, all.shape[1]!])
  })
}
