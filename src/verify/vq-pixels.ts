/** A convolutional VQ-VAE as a reference file describes it (scripts/reference/make_vq_pixels.py). */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import type { ImageBatch } from '../objective/objective.ts'
import { vqPixels as vqPixelsOf } from '../objective/vq-pixels.ts'
import { viewOf } from '../prepare/view.ts'
import { sidesOf } from '../token/grid.ts'
import type { NetworkRow } from './network-row.ts'

const upTo = (most: number) => z.int().positive().max(most)

const configSchema = z.strictObject({
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  ...{ patchSize: upTo(limits.patchSize), channels: upTo(limits.channels), width: upTo(limits.width) },
  ...{ depth: upTo(limits.depth), decoderDepth: upTo(limits.depth) },
  ...{ codes: upTo(2 ** 24), codeWidth: upTo(limits.width) },
  ...{ decay: z.number().gt(0).lt(1), beta: z.number().positive() },
})

export const vqPixels: NetworkRow<z.infer<typeof configSchema>, ImageBatch, null> = {
  config: configSchema,
  tolerances: 'targets',
  open({ imageSize, patchSize, channels, width, depth, decoderDepth, ...book }, { tensor, input }) {
    const { codes: size, codeWidth, decay, beta: commitment } = book
    const own = vqPixelsOf({
      ...{ imageSize, channels, width, patchSize: sidesOf(patchSize) },
      depth: { encoder: depth, decoder: decoderDepth },
      codebook: { size, width: codeWidth, decay, commitment, revive: null },
    })
    const samples = tensor('input.images').shape.at(-4)!
    return {
      ...{ objective: own, samples, microBatches: samples },
      batch: (of) => ({ image: viewOf(input('images', of, 4)) }),
      outputs(weights, { image }) {
        const codes = own.encode(image, weights)
        return { codes, decoded: own.decode(codes, weights) }
      },
    }
  },
}
