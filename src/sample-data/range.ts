/**
 * Ranges: how a scene's properties are drawn (evenly in a range, evenly in ratio, by the toss of a coin), and the soft
 * step across a range.
 */
import type { Draws } from '../random/draws.ts'

/** Uniform in [low, high). */
export function between(draws: Draws, low: number, high: number): number {
  return low + (high - low) * draws.uniform()
}

/** Log-uniform in [low, high): doubling is as likely at every scale. */
export function scaleBetween(draws: Draws, low: number, high: number): number {
  return low * (high / low) ** draws.uniform()
}

/** True with the given probability. */
export function chance(draws: Draws, probability: number): boolean {
  return draws.uniform() < probability
}

/** 0 below `low`, 1 above `high`, a cubic without corners between them. */
export function smoothStep(low: number, high: number, value: number): number {
  const t = Math.min(1, Math.max(0, (value - low) / (high - low)))
  return t * t * (3 - 2 * t)
}
