/** What a look writes: its pictures, and `look.json` with the numbers. */
import { basename, join } from 'node:path'
import { pause } from '../errors.ts'
import { writeWhole } from '../files/write-whole.ts'
import { tilesOfSamples } from '../picture/sample-tiles.ts'
import type { Exhibit } from '../run/pictures.ts'
import type { ModelOrigin } from '../weights/open-encoder.ts'
import type { Look } from './look.ts'
import { drawAttention, drawFeatures, drawNearest } from './pictures.ts'

export const LOOK = 'look.json'

export interface LookFacts {
  readonly model: ModelOrigin
  /** Height and width. */
  readonly imageSize: readonly number[]
  readonly patchIsGiven: boolean
}

export interface LookWatch {
  /** Pictures that are drawn. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Returns the names of the files. Throws `INTERRUPTED` between two pictures. */
export async function writeLook(
  dir: string,
  look: Look,
  exhibit: Exhibit,
  { model, imageSize, patchIsGiven, onProgress, signal }: LookFacts & LookWatch,
): Promise<string[]> {
  const { grid, images, attention, chosen, explained, prefix } = look
  const tiles = tilesOfSamples(exhibit, null)
  const files: string[] = []
  const put = (name: string, bytes: Buffer | string) => {
    writeWhole(join(dir, name), bytes)
    files.push(name)
  }
  const at = (place: number) => ({ row: Math.floor(place / grid.w), column: place % grid.w })
  const digits = String(images.length).length
  const pictures = images.map((_, i) => `attention-${String(i + 1).padStart(digits, '0')}.png`)
  const drawings: readonly (readonly [name: string, draw: () => Promise<Buffer>])[] = [
    ...images.map((image, i) => [pictures[i]!, () => drawAttention(look, image, tiles[i]!)] as const),
    ['features.png', () => drawFeatures(look, tiles)],
    ['nearest.png', () => drawNearest(look, tiles)],
  ]
  const of = drawings.length
  for (const [done, [name, draw]] of drawings.entries()) {
    await pause(signal, { done, of, unit: 'pictures', continues: false })
    put(name, await draw())
    onProgress?.(done + 1, of)
  }
  await pause(signal, { done: of, of, unit: 'pictures', continues: false })
  const facts = {
    ...{ format: 'sherd-look/1', model, imageSize, grid: { rows: grid.h, columns: grid.w } },
    attention: { of: attention.of, block: attention.block, prefixTokens: prefix },
    features: { explained },
    patch: { file: images[0]!.file, ...at(chosen), chosen: patchIsGiven ? 'given' : 'central' },
    images: images.map(({ file, attention, nearest }, i) => ({
      ...{ file, picture: basename(pictures[i]!) },
      heads: attention.map(({ patches, prefix }) => ({
        onPrefix: prefix,
        most: at(patches.reduce((most, share, place) => (share > patches[most]! ? place : most), 0)),
      })),
      nearest: nearest.map(({ place, similarity }) => ({ ...at(place), similarity })),
    })),
  }
  put(LOOK, `${JSON.stringify(facts, null, 2)}\n`)
  return files
}
