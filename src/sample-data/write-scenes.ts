/** Writes the sample images: ten classes of generated scenes as JPEG files, one folder per class, to try sherd without a download. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sharp } from '../files/sharp.ts'
import { checkSetNumbers, writeMarkedSet } from './marked-set.ts'
import { paintScene, sceneNames } from './scenes.ts'

/** Raised whenever any pixel of any image would differ. */
const FORMAT = 'sherd-sample-data/1'

export interface SampleDataOptions {
  /** A new or empty folder, or one that already holds this set. */
  readonly dir: string
  /** Images in all, at least 10, spread evenly over the ten classes. */
  readonly count: number
  /** Pixels per side, 16 to 1024. */
  readonly size: number
  readonly seed: number
  /** Called after every image. */
  readonly onProgress?: (done: number, count: number) => void
  readonly signal?: AbortSignal
}

export interface SampleData {
  readonly dir: string
  readonly count: number
  /** Names of the folders. */
  readonly classes: readonly string[]
}

/** Writes `dir/<class>/NNNNN.jpg`; does nothing if `dir` already holds exactly this set. */
export async function writeSampleData(options: SampleDataOptions): Promise<SampleData> {
  checkSetNumbers(options, sceneNames.length)
  const { dir, count, size, seed, onProgress, signal } = options
  const classes = [...sceneNames]
  await writeMarkedSet({
    dir,
    about: { format: FORMAT, count, size, seed, classes },
    folders: classes,
    count,
    onProgress,
    signal,
    write: async (number) => {
      const scene = sceneNames[number % sceneNames.length]!
      const index = Math.floor(number / sceneNames.length)
      const pixels = paintScene({ scene, seed, index, size }) // [H, W, C]
      const file = await sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
        .jpeg({ quality: 92, chromaSubsampling: '4:4:4' })
        .toBuffer()
      await writeFile(join(dir, scene, `${String(index).padStart(5, '0')}.jpg`), file)
    },
  })
  return { dir, count, classes }
}
