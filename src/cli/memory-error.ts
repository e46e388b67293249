/** What JavaScript and the loader of libraries say when there is not enough memory, in words that say what to do. */
import { SherdError } from '../errors.ts'
import { expectAddressSpace } from '../tensor/address-space.ts'

const words =
  /array buffer allocation failed|invalid (?:typed )?array(?: buffer)? length|invalid string length/i

// A library that does not fit under `ulimit -v`: sharp's may be the first that is loaded.
const loading = /failed to map segment|cannot allocate memory/i

/** The error itself, unless it is one of memory. `limits`: the text of `/proc/self/limits`, by default this process's. */
export function withMemoryExplained(error: unknown, limits?: string): unknown {
  if (error instanceof RangeError && words.test(error.message))
    return new SherdError(
      'VALUE',
      `There is not enough memory for what was asked for (${error.message}). Take a smaller train.batchSize, model.imageSize or data.window, or fewer images at once.`,
      { cause: error },
    )
  if (error instanceof Error && !(error instanceof SherdError) && loading.test(error.message))
    try {
      expectAddressSpace(limits)
    } catch (explained) {
      return explained
    }
  return error
}
