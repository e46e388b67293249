/** Whether memory has room for a look at images of a size. The attention that is shown is a few rows, but some encoders compute with all pairs. */
import { SherdError } from '../errors.ts'
import { availableBytes } from '../machine/memory.ts'
import { encoderBlocks, gridOfModel, hiddenWidth } from '../model/dimensions.ts'
import { tokenCount } from '../token/grid.ts'
import type { FrozenEncoder } from '../weights/frozen-encoder.ts'

/** About what it takes: pixels and features of all images, and the work on one. */
export function lookBytes({ dimensions: d }: Pick<FrozenEncoder, 'dimensions'>, images: number): number {
  const [H, W] = d.imageSize
  const N = tokenCount(gridOfModel(d))
  const pixels = 3 * H * W * (images + 8) // bytes, and twice in float32
  const features = 4 * N * d.width * images
  const block = 4 * N * (8 * d.width + 2 * hiddenWidth(encoderBlocks(d)))
  // The bias of every pair and head, its scores and their softmax, and which number each pair has.
  const pairs = d.variant?.relativePositions ? N * N * (12 * d.heads + 8) : 0
  return pixels + features + block + pairs
}

/** Throws `USAGE` for more than there is. */
export function expectRoom(encoder: FrozenEncoder, images: number, most = availableBytes()): void {
  const bytes = lookBytes(encoder, images)
  if (bytes <= most) return
  const { dimensions: d } = encoder
  const grid = gridOfModel(d)
  const gigabytes = (value: number) => (value / 2 ** 30).toFixed(1)
  const why = d.variant?.relativePositions
    ? ', since its relative positions give every pair of patches a number'
    : ''
  throw new SherdError(
    'USAGE',
    `Images of ${d.imageSize.join(' × ')} pixels have ${grid.h} × ${grid.w} patches of this model. To look at ${images} of them takes about ${gigabytes(bytes)} GiB of memory${why}, and there is room for ${gigabytes(most)}: give a smaller --image-size${images > 1 ? ' or --count' : ''}.`,
  )
}
