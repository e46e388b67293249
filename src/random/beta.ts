/** Draws from Beta(α, α), the mixing share of mixup and CutMix. */
import type { Draws } from './draws.ts'

/** Jöhnk's method (1964): exact, and fast for small α. */
export function betaDraw(draws: Draws, alpha: number): number {
  for (;;) {
    const [x, y] = [draws.uniform() ** (1 / alpha), draws.uniform() ** (1 / alpha)]
    if (x + y > 0 && x + y <= 1) return x / (x + y)
  }
}
