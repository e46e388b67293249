/** Draws of scene properties: uniform, log-uniform, Bernoulli; and the smooth step. */
import type { Draws } from '../random/draws.ts'

/** Uniform in [low, high). */
export function between(draws: Draws, low: number, high: number): number {
  return low + (high - low) * draws.uniform()
}

/** Log-uniform in [low, high). */
export function scaleBetween(draws: Draws, low: number, high: number): number {
  return low * (high / low) ** draws.uniform()
}

/** True with the given probability. */
export function chance(draws: Draws, probability: number): boolean {
  return draws.uniform() < probability
}

/** 0 below `low`, 1 above `high`, a smooth cubic between. */
export function smoothStep(low: number, high: number, value: number): number {
  const t = Math.min(1, Math.max(0, (value - low) / (high - low)))
  return t * t * (3 - 2 * t)
}
