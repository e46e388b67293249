/** BEiT (TARGETS): codes at masked patches, the mean over all masked patches of the batch. */
import { z } from 'zod'
import type { Weights } from '../../../src/model/parameters.ts'
import type { BatchObjective } from '../../../src/objective/objective.ts'
import { call } from '../../../src/tensor/call.ts'
import { noGrad } from '../../../src/tensor/context.ts'
import { div, mul, narrow, reshape, sum } from '../../../src/tensor/ops.ts'
import { item, type Tensor } from '../../../src/tensor/tensor.ts'
import type { NetworkRow } from '../../../src/verify/network-row.ts'
import { applyLinear, encode, row, type Vit, vitConfig, vitRows } from './small-vit.ts'

const config = z.looseObject({
  ...vitConfig,
  codes: z.int(),
  layerScale: z.number().nullable(),
  absolutePosition: z.boolean(),
  relativePositionBias: z.enum(['none', 'shared', 'perBlock']),
})
interface Batch {
  readonly images: Tensor
  readonly codes: Tensor
}

/** `plan` is the mask [B, N]. */
export const beit: NetworkRow<z.infer<typeof config>, Batch, Tensor> = {
  config,
  tolerances: 'targets',
  open(given, { tensor, input }) {
    const { codes: K, absolutePosition: hasPositions } = given
    const d: Vit = {
      ...{ ...given, hasPositions, hasMaskToken: true, isKeyFree: true },
      ...{ hasLayerScale: given.layerScale !== null, relativeBias: given.relativePositionBias },
    }
    const logitsOf = (w: Weights, images: Tensor, mask: Tensor) => {
      const positions = () => (hasPositions ? w('pos_embed') : null)
      return applyLinear(
        narrow(encode(images, w, d, { positions, mask }), 1, 1, mask.shape[1]!),
        w,
        'lm_head',
      )
    }
    const objective: BatchObjective<Batch, Tensor> = {
      rows: [...vitRows('', d), row('lm_head.weight', [K, d.width]), row('lm_head.bias', [K])],
      encoder: { prefix: '' },
      plan: (at) => input('mask', at, 2),
      counts: (_, mask) => ({ codes: item(sum(mask)) }),
      loss(w, { images, codes }, mask) {
        const logits = reshape(logitsOf(w, images, mask), [-1, K])
        const of = call('cross_entropy_loss', logits, reshape(codes, [-1]), null, 0, -100, 0)
        return { parts: { codes: { mean: div(sum(mul(of, reshape(mask, [-1]))), sum(mask)), weight: 1 } } }
      },
    }
    const samples = tensor('input.images').shape[0]!
    return {
      ...{ objective, samples, microBatches: samples },
      batch: (of) => ({ images: input('images', of, 4), codes: input('codes', of, 2) }),
      outputs: (w, { images }, mask) => ({ logits: noGrad(() => logitsOf(w, images, mask)) }),
    }
  },
}
