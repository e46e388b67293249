/** CrossMAE as its authors' code computes it (TARGETS): what is decoded in row-major order, the encoder without a final norm. */
import { z } from 'zod'
import { openBackbone } from '../model/backbone.ts'
import { plainBackbone } from '../model/backbone-shape.ts'
import type { Tap } from '../model/block.ts'
import { mixMaps } from '../model/decoder/cross-attention.ts'
import { type CrossAttentionDimensions, featureMapsOf, limits } from '../model/dimensions.ts'
import { mae } from '../objective/mae.ts'
import type { ImageBatch } from '../objective/objective.ts'
import { viewOf } from '../prepare/view.ts'
import { predictPixels } from '../target/pixel-target.ts'
import { call, callMany } from '../tensor/call.ts'
import { permute } from '../tensor/ops.ts'
import { sidesOf } from '../token/grid.ts'
import { type MaskPlan, planFromIndices } from '../token/mask.ts'
import { take } from '../token/take.ts'
import type { NetworkRow } from './network-row.ts'

const upTo = (most: number) => z.int().positive().max(most)

const crossmaeConfig = z.strictObject({
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  patchSize: upTo(limits.patchSize),
  ...{ channels: upTo(limits.channels), width: upTo(limits.width), depth: upTo(limits.depth) },
  ...{ heads: upTo(limits.heads), mlpRatio: z.number().positive().max(limits.mlpRatio) },
  layerNormEpsilon: z.number().positive(),
  ...{ decoderWidth: upTo(limits.width), decoderDepth: upTo(limits.depth), decoderHeads: upTo(limits.heads) },
  ...{ maskRatio: z.number().gt(0).lt(1), decodeRatio: z.number().gt(0).lt(1) },
  featureMaps: z.array(z.int().min(0).max(limits.depth)),
  useInput: z.boolean(),
  normalizeTarget: z.boolean(),
})
type Config = z.infer<typeof crossmaeConfig>

export const crossmae: NetworkRow<Config, ImageBatch, MaskPlan> = {
  config: crossmaeConfig,
  tolerances: 'targets',
  open({ patchSize: side, decoderWidth, decoderDepth, decoderHeads, ...config }, { tensor, input, device }) {
    const { imageSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon, ...more } = config
    const { maskRatio, decodeRatio, featureMaps, useInput, normalizeTarget: normalize } = more
    const patchSize = sidesOf(side)
    const dimensions = { imageSize, patchSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon }
    const decoder: CrossAttentionDimensions = {
      ...{ kind: 'cross-attention', featureMaps, useInput, decodeRatio },
      ...{ width: decoderWidth, depth: decoderDepth, heads: decoderHeads },
    }
    const own = mae({ dimensions, decoder, maskRatio, target: predictPixels({ normalize }), device })
    const backbone = openBackbone(plainBackbone(dimensions), device)
    const samples = tensor('input.images').shape[0]!
    const taps = featureMapsOf({ encoder: dimensions, decoder }).map(
      (block): Tap => ({ block, of: 'output' }),
    )
    return {
      objective: { ...own, rows: own.rows.filter(({ role }) => role !== 'fixed') }, // a final norm that nothing reads
      ...{ samples, microBatches: samples },
      batch: (of) => ({ image: viewOf(input('images', of, 4)) }),
      plan(at) {
        const { kept, hidden, thrown } = own.planFromNoise(input('noise', at, 2))
        return planFromIndices(kept, callMany('sort', hidden, 1, false)[0]!, thrown)
      },
      outputs(weights, { image }, plan) {
        const encoded = backbone.encodeKept(backbone.cut(image), plan.kept, weights, { taps, norm: false })
        return {
          pred: take(own.predict(weights, image, plan).prediction, plan.hidden),
          positions: plan.hidden,
          ...(taps.length > 0 && {
            mixed: call(
              'contiguous',
              permute(mixMaps(encoded.taps, weights('wfm.linear.weight')), [1, 2, 3, 0]),
            ),
          }),
        }
      },
    }
  },
}
