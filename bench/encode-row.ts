/**
 * Encoders as users have them afterwards: the ONNX file in float32 and in int8 on ONNX Runtime beside PyTorch in float32, programs that
 * take turns with the same threads; of PyTorch eager or compiled, with plain or fused attention, the fastest counts. How near int8 comes is measured where the file is proved: on photos.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodedConfig, resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { exportOnnx } from '../src/export/export-onnx.ts'
import { packageRoot } from '../src/package-root.ts'
import { openEncoder } from '../src/weights/open-encoder.ts'
import { type Contestant, type PeerWay, type Timed, takeTurns, tryVariants } from './contest.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { peerDimensions } from './peer-dimensions.ts'
import { writePhotos } from './photos.ts'
import { startRounds } from './rounds.ts'
import { wayName } from './works.ts'

export interface EncodeRow {
  readonly work: string
  /** Images a second. */
  readonly sherd: number
  readonly peer: number | null
  /** What the other side is. */
  readonly beside: 'PyTorch' | 'fp32'
  /** How PyTorch ran, and how fast it is otherwise; empty in the other row. */
  readonly peerVariant: string | null
  readonly peerOthers: readonly PeerWay[]
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

const ways = [false, true].flatMap((compile) =>
  [false, true].map((fusedAttention) => ({
    name: wayName({ compile, fusedAttention }),
    compile,
    fusedAttention,
  })),
)

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
    const dimensions = peerDimensions(decodedConfig(config))
    const encoder = await openEncoder({ model: 'random', config, device: 'cpu' })
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
    const enter = async (command: readonly string[]): Promise<Contestant<Timed>> => {
      const running = await startRounds<{ batches: number }, Timed>(command)
      return { turn: () => running.ask({ batches: BATCHES }), end: () => running.end() }
    }
    const script = join(packageRoot(), 'bench/peers/encode.py')
    const { finalists, others, failed } = await tryVariants(peer ? ways : [], (way) =>
      enter([peer!.python, '-B', script, JSON.stringify({ ...dimensions, batch, threads, ...way })]),
    )
    const own = await Promise.all(
      files.map((file) => enter([process.execPath, program, JSON.stringify({ file, shape, threads })])),
    )
    const peers = finalists.map(({ contestant }) => contestant)
    const answers = await takeTurns([...own, ...peers], rounds)
    await Promise.all([...own, ...peers].map((each) => each.end()))
    const rateOf = ({ seconds }: Timed) => batch / median(seconds)
    const [fp32 = [], int8 = [], ...theirs] = answers.map((each) => each.map(rateOf))
    const sides = finalists
      .map(({ variant }, i) => ({ variant, rates: theirs[i]!, imagesPerSecond: median(theirs[i]!) }))
      .sort((a, b) => b.imagesPerSecond - a.imagesPerSecond)
    const [best, ...slower] = sides
    const peerOthers: PeerWay[] = [
      ...slower.map(({ variant, imagesPerSecond }) => ({ variant, imagesPerSecond })),
      ...others.map(({ variant, first }) => ({ variant, imagesPerSecond: rateOf(first) })),
      ...failed,
    ]
    const row = (
      name: string,
      [ours, others]: readonly [readonly number[], readonly number[] | null],
      facts: Pick<EncodeRow, 'beside' | 'cosine' | 'peerVariant' | 'peerOthers'>,
    ): EncodeRow => ({
      ...{ work: `${title}, ONNX ${name}`, ...facts, sherd: median(ours) },
      peer: others && median(others),
      ratio: others && median(ours) / median(others),
      roundRatios: others ? ours.map((rate, i) => rate / others[i]!) : [],
    })
    const peerVariant = best?.variant ?? null
    return [
      row('fp32', [fp32, best?.rates ?? null], {
        beside: 'PyTorch',
        cosine: cosines[0]!,
        peerVariant,
        peerOthers,
      }),
      row('int8', [int8, fp32], { beside: 'fp32', cosine: cosines[1]!, peerVariant: null, peerOthers: [] }),
    ]
  } finally {
    rmSync(out, { recursive: true })
  }
}
