/** Results of a model on a source that are claimed (files/claim.ts), with a journal of the batches so far. */
import { join } from 'node:path'
import { fittingOf } from '../config/assemble.ts'
import type { Reads } from '../config/reading.ts'
import { openJournal } from '../files/batch-journal.ts'
import type { Draft } from '../files/claim.ts'
import type { Made } from '../files/made.ts'
import { stateOfSource } from '../source/file-state.ts'
import type { ImageSource } from '../source/open.ts'
import type { BatchHead, RowJournal } from '../weights/gather-rows.ts'
import type { ImageSize } from '../weights/image-size.ts'
import type { ModelOrigin } from '../weights/open-encoder.ts'

/** A model that is applied to files, and its checksum. */
export interface AppliedModel extends Reads {
  readonly origin: ModelOrigin
  /** Of its files, and of how it prepares images. */
  readonly seal: string
  /** Of the images, where another one than the model's own was asked for. */
  readonly imageSize?: ImageSize
}

/** What the result depends on. Time limits and the share that may be left out decide whether there is one, not what it is. */
export const madeOfImages = (
  command: string,
  { config, origin, seal, reading = {}, imageSize }: AppliedModel,
  source: ImageSource,
  options: Readonly<Record<string, unknown>>,
): Made => ({
  command,
  options: {
    ...options,
    imageSize,
    maxPatches: fittingOf(config)?.budget?.most, // where images keep their shape
    ...{ precision: origin.precision, maxPixels: reading.maxPixels, corrupt: reading.corrupt },
  },
  inputs: { images: stateOfSource(source), model: seal },
})

/** Runs `body` with the journal in a draft. */
export async function withJournal<T>(
  { dir }: Pick<Draft<unknown>, 'dir'>,
  body: (journal: RowJournal) => Promise<T>,
  name = 'batches',
): Promise<T> {
  const journal = openJournal<BatchHead>(join(dir, name))
  try {
    return await body(journal)
  } finally {
    journal.close()
  }
}
