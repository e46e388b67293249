/** What a look writes: its pictures, and `look.json` with the numbers. */
import { basename, join } from 'node:path'
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

/** Returns the names of the files. */
export async function writeLook(
  dir: string,
  look: Look,
  exhibit: Exhibit,
  { model, imageSize, patchIsGiven }: LookFacts,
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
  for (const [i, image] of images.entries()) put(pictures[i]!, await drawAttention(look, image, tiles[i]!))
  put('features.png', await drawFeatures(look, tiles))
  put('nearest.png', await drawNearest(look, tiles))
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
