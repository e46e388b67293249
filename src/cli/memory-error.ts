/** Out-of-memory errors of JavaScript and of the dynamic loader, with what to do about them. */
import { SherdError } from '../errors.ts'
import { expectAddressSpace } from '../tensor/address-space.ts'

const words =
  /array buffer allocation failed|invalid (?:typed )?array(?: buffer)? length|invalid string length/i

// A library that does not fit under `ulimit -v`, usually sharp's, which is loaded first.
const loading = /failed to map segment|cannot allocate memory/i

/** Other errors are returned as they are. `limits`: the text of `/proc/self/limits`, by default this process's. */
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
