/** The codes of a folder's images as a file, and a sheet of the most used ones; without a sheet continued after an interruption, to the same bytes. */
import { bandsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { featureFormat, namesBeside, writeRows } from '../evaluate/feature-file.ts'
import { claimed } from '../files/claim.ts'
import { writeWhole } from '../files/write-whole.ts'
import { drawCodeSheet, perplexityOf, usesOfCodes } from '../picture/code-sheet.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { codesOfSource } from '../weights/folder-codes.ts'
import type { Progress } from '../weights/folder-features.ts'
import { sealOfModel } from '../weights/found-weights.ts'
import type { OpenedTokenizer } from '../weights/frozen-tokenizer.ts'
import { openFor } from '../weights/open-encoder.ts'
import { madeOfImages, withJournal } from './claimed-rows.ts'

export interface TokenizeOptions {
  /** A `.npy` or `.safetensors`. */
  readonly out: string
  /** A PNG. */
  readonly sheet?: string | undefined
  readonly overwrite?: boolean | undefined
  readonly onProgress?: Progress
  readonly signal?: AbortSignal
}

export interface Tokenized {
  readonly images: number
  /** Rows and columns of patches. */
  readonly grid: readonly [rows: number, columns: number]
  /** K */
  readonly size: number
  /** Codes that at least one patch has. */
  readonly used: number
  readonly perplexity: number
  readonly skipped: readonly SkippedFile[]
}

const PATCHES = 12 // of a code, in a row of the sheet

/** Throws as `claim` and `codesOfSource`, and `USAGE` for a sheet of rasters. */
export async function tokenizeFolder(
  dir: string,
  tokenizer: OpenedTokenizer,
  { out, sheet, overwrite, onProgress, signal }: TokenizeOptions,
): Promise<{ readonly result: Tokenized; readonly wasThere: boolean; readonly files: readonly string[] }> {
  const format = featureFormat(out)
  if (sheet !== undefined && bandsOf(tokenizer.config) !== null)
    throw new SherdError(
      'USAGE',
      'A sheet shows patches of images, and these are rasters: leave --sheet out.',
    )
  const source = await openFor(tokenizer, dir)
  const { origin: model, objective, found: weights } = tokenizer
  const options = { format, sheet: sheet !== undefined }
  const made = madeOfImages('tokenize', { ...tokenizer, seal: sealOfModel(weights) }, source, options)
  const beside = [namesBeside(out), ...(sheet === undefined ? [] : [sheet])]
  // Patches are kept of what is read now, so that a sheet needs all images in one go.
  const continues = sheet === undefined
  const request = { out, also: beside, kind: 'file', made, overwrite, continues } as const
  const done = await claimed<Tokenized>(request, async (draft) => {
    const reading = { signal, onProgress, patches: continues ? 0 : PATCHES }
    const found = continues
      ? await withJournal(draft, (journal) => codesOfSource(tokenizer, source, { ...reading, journal }))
      : await codesOfSource(tokenizer, source, reading)
    const { codes, images, grid, indices, skipped, patches } = found
    if (images === 0) throw new SherdError('DATA_BROKEN', `No image of ${dir} could be read.`)
    const { codes: size } = objective
    const array = { dtype: 'int32', shape: [images, grid.h, grid.w], data: codes } as const
    writeRows(draft.fileFor(), {
      ...{ arrays: new Map([['codes', array]]), source, indices, skipped, model },
      about: { format: 'sherd-codes/1', codes: size },
    })
    if (sheet !== undefined) writeWhole(draft.fileFor(sheet), await drawCodeSheet({ codes, size, patches }))
    const uses = usesOfCodes(codes)
    return {
      ...{ images, grid: [grid.h, grid.w] as const, size, skipped },
      ...{ used: uses.length, perplexity: perplexityOf(uses) },
    }
  })
  return { ...done, files: [out, ...beside] }
}
