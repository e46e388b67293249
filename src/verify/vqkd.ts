/** The tokenizer of BEiT v2 as a reference file describes it, under the names of its authors; the file has the teacher's features. */
import { z } from 'zod'
import { layoutOf } from '../model/backbone-shape.ts'
import { limits } from '../model/dimensions.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { ImageBatch, Objective, Tensors } from '../objective/objective.ts'
import { vqkd as vqkdOf } from '../objective/vqkd.ts'
import { type View, viewOf } from '../prepare/view.ts'
import { predictFeatures } from '../target/features.ts'
import type { TargetMaker } from '../target/target.ts'
import { mul, sub } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { sidesOf } from '../token/grid.ts'
import { clsPrefix } from '../token/prefix.ts'
import { fileNames, type Named } from './file-names.ts'
import type { NetworkRow } from './network-row.ts'

const upTo = (most: number) => z.int().positive().max(most)

const configSchema = z.strictObject({
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  ...{ patchSize: upTo(limits.patchSize), channels: upTo(limits.channels) },
  ...{ width: upTo(limits.width), depth: upTo(limits.depth), decoderDepth: upTo(limits.depth) },
  ...{ heads: upTo(limits.heads), mlpRatio: z.number().positive().max(limits.mlpRatio) },
  layerNormEpsilon: z.number().positive(),
  ...{ codes: upTo(2 ** 24), codeWidth: upTo(limits.width), featureWidth: upTo(limits.width) },
  ...{ decay: z.number().gt(0).lt(1), beta: z.number().positive() },
})

const namedOf = ({ name, shape }: ParameterRow): Named => ({
  name: name.replace(/^(encoder|decoder)\.norm\./, '$1.fc_norm.'),
  shape: name.endsWith('pos_embed') ? [1, ...shape] : shape,
})

export const vqkd: NetworkRow<z.infer<typeof configSchema>, ImageBatch, null> = {
  config: configSchema,
  tolerances: 'targets',
  open(
    { codes: size, codeWidth, decay, beta, featureWidth, decoderDepth, ...config },
    { tensor, input, device },
  ) {
    const features = new WeakMap<View, Tensor>()
    const target: TargetMaker = (space) => {
      const { depth, imageSize } = space.shape.dimensions
      const frozen = {
        ...{ hash: 'of the file', width: featureWidth, depth, imageSize, layout: layoutOf(space.shape) },
        features: (view: View) => [features.get(view)!],
      }
      const how = {
        layers: null,
        layerNorm: false,
        norm: false,
        resample: false,
        loss: 'cosine',
        beta: 1,
      } as const
      return predictFeatures(() => frozen, { ...how, width: featureWidth })(space)
    }
    const { patchSize, ...dimensions } = config
    const own = vqkdOf({
      ...{ device, decoderDepth, target, positions: 'learned' },
      dimensions: {
        ...{ ...dimensions, patchSize: sidesOf(patchSize) },
        variant: { prefix: clsPrefix.map((cls) => ({ ...cls, positioned: true })), qkvBias: 'qv' },
      },
      codebook: { size, width: codeWidth, decay, commitment: beta, revive: null },
    })
    const names = fileNames(own.rows, namedOf)
    const { encoder, plan, stats } = own
    const objective: Objective<ImageBatch, null> = {
      ...{ rows: names.rows, encoder, plan, ...(stats && { stats }) },
      loss: (weights, batch, plan, at) => own.loss(names.own(weights), batch, plan, at as never),
      update: (weights, stats, at) => own.update!(names.own(weights), stats, at as never),
    }
    const samples = tensor('input.images').shape[0]!
    return {
      ...{ objective, samples, microBatches: samples },
      batch(of) {
        const image = viewOf(sub(mul(input('images', of, 4), 2), 1))
        features.set(image, input('features', of, 3))
        return { image }
      },
      outputs(weights: Weights, { image }): Tensors {
        const codes = own.encode(image, names.own(weights))
        return { codes, decoded: own.decode(codes, names.own(weights)) }
      },
    }
  },
}
