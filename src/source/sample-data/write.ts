/**
 * Writes the sample images: ten classes of drawn scenes as JPEG files, one folder per class, so that everything can be
 * tried without a download. A marker file, written last, tells a complete set from an interrupted one.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { messageOf, SherdError } from '../../errors.ts'
import { isSeed } from '../../random/draws.ts'
import { paintScene, sceneNames } from './scenes.ts'

/** Raised whenever any pixel of any image would differ. */
const FORMAT = 'sherd-sample-data/1'
const MARKER = 'sample-data.json'
/** Images being compressed while the next is drawn. */
const IN_FLIGHT = 4

export interface SampleDataOptions {
  /** The folder to write to: a new or empty one, or one that already holds this very set. */
  readonly dir: string
  /** Images in all, at least 10, spread evenly over the ten classes. */
  readonly count: number
  /** Pixels per side, 16 to 1024. */
  readonly size: number
  readonly seed: number
  /** Called after every image. */
  readonly onProgress?: (done: number, count: number) => void
}

export interface SampleData {
  readonly dir: string
  readonly count: number
  /** The names of the classes, which are the names of the folders. */
  readonly classes: readonly string[]
}

function checkNumbers({ count, size, seed }: SampleDataOptions): void {
  const least = sceneNames.length
  if (!Number.isSafeInteger(count) || count < least)
    throw new SherdError(
      'VALUE',
      `Sample data: expected count, an integer of at least ${least}, got ${count}`,
    )
  if (!Number.isSafeInteger(size) || size < 16 || size > 1024)
    throw new SherdError('VALUE', `Sample data: expected size, an integer from 16 to 1024, got ${size}`)
  if (!isSeed(seed))
    throw new SherdError('VALUE', `Sample data: expected seed, an integer in [0, 2^53), got ${seed}`)
}

async function entriesOf(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new SherdError('SOURCE', `Sample data: cannot use "${dir}" as a folder: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/** Whether `dir` already holds the set that `marker` describes; an error when it holds anything else. */
async function isComplete(dir: string, marker: string): Promise<boolean> {
  const entries = await entriesOf(dir)
  if (entries.length === 0) return false
  const advice = 'Give another folder, or delete this one first.'
  if (!entries.includes(MARKER))
    throw new SherdError(
      'SOURCE',
      `Sample data: "${dir}" is not empty and not a complete sample set. ${advice}`,
    )
  const found = await readFile(join(dir, MARKER), 'utf8')
  if (found !== marker)
    throw new SherdError(
      'SOURCE',
      `Sample data: "${dir}" holds another sample set. Expected ${marker.trim()}, found ${found.trim()}. ${advice}`,
    )
  return true
}

/** Writes `dir/<class>/NNNNN.jpg`; does nothing when `dir` already holds exactly this set. */
export async function writeSampleData(options: SampleDataOptions): Promise<SampleData> {
  checkNumbers(options)
  const { dir, count, size, seed, onProgress } = options
  const classes = [...sceneNames]
  const marker = `${JSON.stringify({ format: FORMAT, count, size, seed, classes })}\n`
  if (await isComplete(dir, marker)) return { dir, count, classes }

  let next = 0
  let done = 0
  const failed = (cause: unknown): never => {
    next = count
    throw new SherdError('SOURCE', `Sample data: cannot write to "${dir}": ${messageOf(cause)}`, { cause })
  }
  const work = async () => {
    while (next < count) {
      const number = next++
      const scene = sceneNames[number % sceneNames.length]!
      const index = Math.floor(number / sceneNames.length)
      const pixels = paintScene({ scene, seed, index, size }) // [H, W, C]
      await sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
        .jpeg({ quality: 92, chromaSubsampling: '4:4:4' })
        .toFile(join(dir, scene, `${String(index).padStart(5, '0')}.jpg`))
        .catch(failed)
      onProgress?.(++done, count)
    }
  }
  for (const scene of sceneNames) await mkdir(join(dir, scene), { recursive: true }).catch(failed)
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  await writeFile(join(dir, MARKER), marker).catch(failed)
  return { dir, count, classes }
}
