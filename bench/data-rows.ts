/**
 * Images a second and core, from files to cropped, resized, mirrored bytes: straight from JPEG and from packed images, each
 * beside torchvision with Pillow on the same JPEG files, in turns.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../src/package-root.ts'
import { packImages } from '../src/prepare/pack/pack.ts'
import { openImageFolder } from '../src/source/image-folder.ts'
import { median } from './median.ts'
import type { Peer } from './peer.ts'
import { writePhotos } from './photos.ts'
import { startRounds } from './rounds.ts'

export interface DataRow {
  readonly work: string
  /** Images a second on one core. */
  readonly sherd: number
  readonly peer: number | null
  /** Above 1, sherd is the faster. */
  readonly ratio: number | null
  /** The same ratio in each round. */
  readonly roundRatios: readonly number[]
}

const PHOTOS = 20
const IMAGES = 200
const SIZE = 224

/** Measures both rows. The packed images have the full 500 × 375 pixels of the files: no shrinking flatters them. */
export async function measureData(peer: Peer | null, rounds: number): Promise<DataRow[]> {
  const dir = await writePhotos(PHOTOS)
  const packed = `${dir}-packed`
  await packImages({ source: await openImageFolder(dir), out: packed, version: 'bench' })
  const program = (name: string, data: string) => [
    process.execPath,
    join(packageRoot(), `dist/bench/${name}.js`),
    JSON.stringify({ dir: data, size: SIZE, threads: 1 }),
  ]
  const commands = [program('sherd-decode', dir), program('sherd-packed', packed)]
  if (peer?.torchvision)
    commands.push([
      peer.python,
      '-B',
      join(packageRoot(), 'bench/peers/decode.py'),
      JSON.stringify({ dir, size: SIZE, threads: 1 }),
    ])
  const programs = await Promise.all(
    commands.map((command) => startRounds<{ images: number }, { seconds: number; images: number }>(command)),
  )
  const rates: number[][] = programs.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [i, each] of programs.entries()) {
      const { seconds, images } = await each.ask({ images: IMAGES })
      if (round > 0) rates[i]!.push(images / seconds) // the first warms up
    }
  }
  await Promise.all(programs.map((each) => each.end()))
  for (const folder of [dir, packed]) rmSync(folder, { recursive: true })
  const [jpeg, pack, theirs] = rates
  const row = (work: string, ours: readonly number[]): DataRow => ({
    work,
    sherd: median(ours),
    peer: theirs ? median(theirs) : null,
    ratio: theirs ? median(ours) / median(theirs) : null,
    roundRatios: theirs ? ours.map((rate, i) => rate / theirs[i]!) : [],
  })
  return [
    row('JPEG 500 × 375 → random crop, flip → 224, one core', jpeg!),
    row('packed 500 × 375 → random crop, flip → 224, one core', pack!),
  ]
}
