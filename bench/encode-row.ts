/**
 * Encoders as users have them afterwards: the ONNX file in float32 and in int8 on ONNX Runtime beside PyTorch eager in float32, three
 * programs that take turns with the same threads. How near int8 comes is measured where the file is proved: on photos.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dimensionsOf, resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { exportOnnx } from '../src/export/export-onnx.ts'
import { packageRoot } from '../src/package-root.ts'
import { openEncoder } from '../src/weights/open-encoder.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { writePhotos } from './photos.ts'
import { startRounds } from './rounds.ts'

export interface EncodeRow {
  readonly work: string
  /** Images a second. */
  readonly sherd: number
  readonly peer: number | null
  /** What the other side is. */
  readonly beside: 'PyTorch' | 'fp32'
  /** Above 1, sherd is the faster. */
  readonly ratio: number | null
  readonly roundRatios: readonly number[]
  /** The smallest cosine of an embedding with LibTorch's, over random samples and photos. */
  readonly cosine: number
}

const small = { size: 'small' } as const
const works: readonly { title: string; model: NonNullable<ConfigInput['model']>; batch: number }[] = [
  {
    ...{ title: 'encoder ViT-Small/8, 64 × 64, batch 16', batch: 16 },
    model: { ...small, imageSize: [64, 64], patchSize: 8 },
  },
  {
    ...{ title: 'encoder ViT-Small/16, 224 × 224, batch 8', batch: 8 },
    model: { ...small, imageSize: [224, 224], patchSize: 16 },
  },
  {
    ...{ title: 'encoder ViT-Base/16, 224 × 224, batch 4', batch: 4 },
    model: { size: 'base', imageSize: [224, 224], patchSize: 16 },
  },
]

const PHOTOS = 16
const BATCHES = 4 // of a round

export interface EncodeOptions {
  readonly peer: Peer | null
  readonly rounds: number
  readonly threads: number
  readonly say: (line: string) => void
}

/** Two rows for each model: float32 beside PyTorch, and int8 beside float32. */
export async function measureEncoders({ say, ...options }: EncodeOptions): Promise<EncodeRow[]> {
  const photos = await writePhotos(PHOTOS)
  const rows: EncodeRow[] = []
  try {
    for (const work of works) {
      say(`${work.title} …`)
      rows.push(...(await measureEncoder(work, photos, options)))
    }
  } finally {
    rmSync(photos, { recursive: true })
  }
  return rows
}

async function measureEncoder(
  { title, model, batch }: (typeof works)[number],
  photos: string,
  { peer, rounds, threads }: Omit<EncodeOptions, 'say'>,
): Promise<EncodeRow[]> {
  const out = mkdtempSync(join(tmpdir(), 'sherd-bench-'))
  try {
    const config = resolveConfig({ model, data: { statistics: 'imagenet' }, train: { threads } })
    const { layerNormEpsilon: _, ...dimensions } = dimensionsOf(config)
    const encoder = openEncoder({ model: 'random', config, device: 'cpu' })
    const cosines: number[] = []
    const files: string[] = []
    for await (const { file, comparisons } of exportOnnx({
      ...{ model: encoder, out, images: photos, precisions: ['fp32', 'int8'] },
    })) {
      files.push(file)
      cosines.push(Math.min(...comparisons.map(({ cosine }) => cosine)))
    }
    const shape = [batch, dimensions.channels, ...dimensions.imageSize]
    const program = join(packageRoot(), 'dist/bench/sherd-encode.js')
    const commands = files.map((file) => [
      ...[process.execPath, program, JSON.stringify({ file, shape, threads })],
    ])
    if (peer) {
      const script = join(packageRoot(), 'bench/peers/encode.py')
      commands.push([peer.python, '-B', script, JSON.stringify({ ...dimensions, batch, threads })])
    }
    const programs = await Promise.all(
      commands.map((command) => startRounds<{ batches: number }, { seconds: number[] }>(command)),
    )
    const rates: number[][] = programs.map(() => [])
    for (let round = 0; round < rounds; round++) {
      const turns = [...programs.entries()]
      for (const [i, each] of round % 2 === 0 ? turns : turns.reverse())
        rates[i]!.push(batch / median((await each.ask({ batches: BATCHES })).seconds))
    }
    await Promise.all(programs.map((each) => each.end()))
    const [fp32 = [], int8 = [], theirs = null] = rates
    const row = (
      name: string,
      [ours, others]: readonly [readonly number[], readonly number[] | null],
      { beside, cosine }: Pick<EncodeRow, 'beside' | 'cosine'>,
    ): EncodeRow => ({
      ...{ work: `${title}, ONNX ${name}`, beside, cosine, sherd: median(ours) },
      peer: others && median(others),
      ratio: others && median(ours) / median(others),
      roundRatios: others ? ours.map((rate, i) => rate / others[i]!) : [],
    })
    return [
      row('fp32', [fp32, theirs], { beside: 'PyTorch', cosine: cosines[0]! }),
      row('int8', [int8, fp32], { beside: 'fp32', cosine: cosines[1]! }),
    ]
  } finally {
    rmSync(out, { recursive: true })
  }
}
