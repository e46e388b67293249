/** A tokenizer of four codes for tests: 2 where the mean of a patch is above 0, plus 1 where its first channel's is. */
import { layoutOf, plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EncoderDimensions } from '../../src/model/dimensions.ts'
import type { FrozenTokenizer } from '../../src/target/frozen-tokenizer.ts'
import { call } from '../../src/tensor/call.ts'
import { add, meanOver, mul, toDtype } from '../../src/tensor/ops.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { patchifyGroups } from '../../src/token/patchify.ts'

export function toyTokenizer(
  dimensions: EncoderDimensions,
  over: Partial<FrozenTokenizer> = {},
): FrozenTokenizer {
  const { channels, patchSize } = dimensions
  const isAbove = (x: Tensor) => toDtype(call('gt.Scalar', meanOver(x, [2]), 0), 'int64')
  return {
    ...{ hash: 'of none', layout: layoutOf(plainBackbone(dimensions)), codes: 4 },
    encode({ pixels }) {
      const [all, first] = patchifyGroups(pixels, [[...Array(channels).keys()], [0]], patchSize)
      return add(mul(isAbove(all!), 2), isAbove(first!))
    },
    ...over,
  }
}
