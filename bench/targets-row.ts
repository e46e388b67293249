/**
 * What targets, masks and decoders cost: a training step of each beside one of MAE that predicts normalised pixels under random masks, of as
 * many tokens, in turns in one process.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStepBench } from '../src/bench/step-bench.ts'
import { writeWeights } from '../src/checkpoint/weights-file.ts'
import { weightsMetadata } from '../src/checkpoint/weights-metadata.ts'
import { backboneOf, resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { backboneRows } from '../src/model/backbone.ts'
import { initialParameters } from '../src/model/parameters.ts'
import { imagenetStatistics } from '../src/prepare/normalize.ts'
import { disposeAll } from '../src/tensor/scope.ts'
import { median } from './median.ts'

export interface TargetsRow {
  readonly work: string
  /** Images a second: of this, and of MAE in the turns beside it. */
  readonly imagesPerSecond: number
  readonly mae: number
  readonly ratio: number
  readonly roundRatios: readonly number[]
  /** With a teacher: the share of the step that is more than MAE's. */
  readonly teacherShare: number | null
  /** Whether it sees as many tokens as MAE, and decodes as many: if not, its ratio is for information. */
  readonly isOfEqualTokens: boolean
}

interface Rival {
  readonly name: string
  readonly input: ConfigInput
  readonly hasTeacher?: boolean
  readonly hasOtherTokens?: boolean
}

const BATCH = 128
const base = {
  model: { size: 'tiny', imageSize: [32, 32], patchSize: 4 },
  decoder: { width: 192, depth: 4, heads: 3 },
} satisfies ConfigInput
const encoderAlone = { model: base.model } satisfies ConfigInput
const masked = (name: string, mask: NonNullable<ConfigInput['mask']>): Rival => ({
  name: `mask ${name}`,
  input: { ...base, mask },
})

/** `teacher`: a frozen encoder of the same size. */
export const rivals = (teacher: string): readonly Rival[] => [
  { name: 'itself', input: base }, // how far the measurement itself is from 1
  { name: 'raw pixels', input: { ...base, target: { normalize: false } } },
  { name: 'HOG', input: { ...base, target: { kind: 'hog', cellSize: 2 } } },
  { name: 'features', input: { ...base, target: { kind: 'features', model: teacher } }, hasTeacher: true },
  masked('block', { kind: 'block' }),
  masked('grid', { kind: 'grid' }),
  masked('coarse', { kind: 'coarse', cell: 8 }),
  masked('multi-block', { kind: 'multi-block' }),
  masked('centre', { kind: 'centre' }),
  masked('periphery', { kind: 'periphery' }),
  { ...masked('attention', { kind: 'attention', model: teacher }), hasTeacher: true },
  {
    name: 'cross-attention, all hidden tokens',
    input: { ...base, decoder: { ...base.decoder, kind: 'cross-attention' } },
  },
  { name: 'SimMIM', input: { ...encoderAlone, objective: 'simmim' }, hasOtherTokens: true },
]

/** Weights of a random encoder as a file. */
function writeTeacher(file: string): void {
  const config = resolveConfig(encoderAlone)
  const parameters = initialParameters(backboneRows(backboneOf(config)), { seed: 1, device: 'cpu' })
  writeWeights(file, parameters, weightsMetadata({ config, statistics: imagenetStatistics }))
  disposeAll(parameters)
}

/** `only`: parts of names; none: all. */
export async function measureTargets(
  device: 'cpu' | 'cuda',
  { rounds, steps, only = [] }: { rounds: number; steps: number; only?: readonly string[] },
): Promise<TargetsRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sherd-bench-'))
  try {
    const teacher = join(dir, 'teacher.safetensors')
    writeTeacher(teacher)
    const open = async (input: ConfigInput) => {
      const side = await openStepBench(resolveConfig({ ...input, train: { batchSize: BATCH, device } }))
      side.run(side.cold)
      return side
    }
    const mae = await open(base)
    const rows: TargetsRow[] = []
    for (const { name, input, hasTeacher = false, hasOtherTokens = false } of rivals(teacher)) {
      if (only.length > 0 && !only.some((part) => name.includes(part))) continue
      const side = await open(input)
      const rates: [number[], number[]] = [[], []]
      for (let round = 0; round < rounds; round++)
        for (const [i, each] of [side, mae].entries()) rates[i]!.push(BATCH / median(each.run(steps).seconds))
      side.close()
      const roundRatios = rates[0].map((rate, round) => rate / rates[1][round]!)
      const ratio = median(roundRatios)
      rows.push({
        work: `${name}, beside MAE on normalised pixels, ViT-Tiny/4, batch ${BATCH}`,
        ...{ imagesPerSecond: median(rates[0]), mae: median(rates[1]), ratio, roundRatios },
        ...{ teacherShare: hasTeacher ? 1 - ratio : null, isOfEqualTokens: !hasOtherTokens },
      })
    }
    mae.close()
    return rows
  } finally {
    rmSync(dir, { recursive: true })
  }
}
