/** What JavaScript says when memory cannot be had, in words that say what to do. */
import { SherdError } from '../errors.ts'

const words =
  /array buffer allocation failed|invalid (?:typed )?array(?: buffer)? length|invalid string length/i

/** The error itself, unless it is one of memory. */
export const withMemoryExplained = (error: unknown): unknown =>
  error instanceof RangeError && words.test(error.message)
    ? new SherdError(
        'VALUE',
        `There is not enough memory for what was asked for (${error.message}). Take a smaller train.batchSize, model.imageSize or data.window, or fewer images at once.`,
        { cause: error },
      )
    : error
