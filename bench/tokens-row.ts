/** What groups of bands cost: a training step of SatMAE beside one of plain MAE with as many tokens, in turns in one process. */

import { sentinelBands, sentinelGroups } from '../presets/satmae-tiny-sentinel2.ts'
import { openStepBench } from '../src/bench/step-bench.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { median } from './median.ts'

export interface TokensRow {
  readonly work: string
  /** Images a second: of SatMAE, and of MAE. */
  readonly satmae: number
  readonly mae: number
  readonly ratio: number
  readonly roundRatios: readonly number[]
}

const BATCH = 64
const decoder = { width: 192, depth: 4, heads: 3 } as const

// 36 places in three groups against 9 × 12 patches of an image: 108 tokens each, 27 of them seen.
const satmae = {
  data: { bands: sentinelBands },
  model: { size: 'tiny', imageSize: 48, patchSize: 8, groups: sentinelGroups, groupWidth: 64 },
  decoder: { ...decoder, groupWidth: 64 },
} satisfies ConfigInput
const mae = { model: { size: 'tiny', imageSize: [72, 96], patchSize: 8 }, decoder } satisfies ConfigInput

export async function measureTokens(
  device: 'cpu' | 'cuda',
  { rounds, steps }: { rounds: number; steps: number },
): Promise<TokensRow> {
  const opened = [satmae, mae].map((input) =>
    openStepBench(resolveConfig({ ...input, train: { batchSize: BATCH, device } })),
  )
  const sides = await Promise.all(opened)
  for (const side of sides) side.run(side.cold)
  const rates: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++)
    for (const [i, side] of sides.entries()) rates[i]!.push(BATCH / median(side.run(steps).seconds))
  const ratios = rates[0].map((rate, round) => rate / rates[1][round]!)
  return {
    work: `SatMAE, ViT-Tiny/8, 3 groups, batch ${BATCH}, beside MAE of as many tokens (108)`,
    ...{ satmae: median(rates[0]), mae: median(rates[1]), ratio: median(ratios), roundRatios: ratios },
  }
}
