/** The keys that go from patch to patch. */
import type { Grid } from '../../src/token/grid.ts'

const moves: Readonly<Record<string, (grid: Grid, patch: number) => number>> = {
  ArrowLeft: ({ w }, patch) => (patch % w === 0 ? patch : patch - 1),
  ArrowRight: ({ w }, patch) => (patch % w === w - 1 ? patch : patch + 1),
  ArrowUp: ({ w }, patch) => (patch < w ? patch : patch - w),
  ArrowDown: ({ h, w }, patch) => (patch >= (h - 1) * w ? patch : patch + w),
  Home: ({ w }, patch) => patch - (patch % w),
  End: ({ w }, patch) => patch - (patch % w) + w - 1,
}

/** Where a key goes from a patch; null for another key. */
export const patchByKey = (key: string, grid: Grid, patch: number): number | null =>
  Object.hasOwn(moves, key) ? moves[key]!(grid, patch) : null
