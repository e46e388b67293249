/** The rows of preparing images, beside the peer's. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../src/package-root.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { writePhotos } from './photos.ts'
import { startRounds } from './rounds.ts'

export interface DataRow {
  readonly work: string
  /** images/s */
  readonly sherd: number
  readonly peer: number | null
  readonly ratio: number | null
}

export async function measureData(peer: Peer | null, rounds: number): Promise<DataRow[]> {
  const dir = await writePhotos(20)
  type Answer = { seconds: number; images: number }
  const settings = JSON.stringify({ dir, size: 224, threads: 1 })
  const root = packageRoot()
  const programs = [[process.execPath, join(root, 'dist/bench/sherd-decode.js'), settings]]
  if (peer?.torchvision) programs.push([peer.python, '-B', join(root, 'bench/peers/decode.py'), settings])
  const started = await Promise.all(
    programs.map((command) => startRounds<{ images: number }, Answer>(command)),
  )
  const rates: number[][] = started.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [i, program] of started.entries()) {
      const { seconds, images } = await program.ask({ images: 200 })
      if (round > 0) rates[i]!.push(images / seconds)
    }
  }
  await Promise.all(started.map((program) => program.end()))
  rmSync(dir, { recursive: true })
  const [sherd, theirs] = [median(rates[0]!), rates[1] ? median(rates[1]) : null]
  return [
    {
      work: 'JPEG 500 × 375 → random crop, flip → 224, one core',
      sherd,
      peer: theirs,
      ratio: theirs && sherd / theirs,
    },
  ]
}
