/** I-JEPA as reference files describe it, under the names of its authors. */
import { z } from 'zod'
import { limits } from '../model/dimensions.ts'
import type { ParameterRow } from '../model/parameters.ts'
import { type BlocksPlan, type Ijepa, ijepa as openIjepa } from '../objective/ijepa.ts'
import { viewOf } from '../prepare/view.ts'
import { expand, narrow, permute, reshape, select, toDevice, unsqueeze } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { sidesOf } from '../token/grid.ts'
import type { MultiBlockShape } from '../token/multi-block.ts'
import { take } from '../token/take.ts'
import { fileNames, type Named } from './file-names.ts'
import type { NetworkRow, Where } from './network-row.ts'
import { byStep } from './recipe.ts'

const upTo = (most: number) => z.int().positive().max(most)

const config = z.strictObject({
  imageSize: z.tuple([upTo(limits.side), upTo(limits.side)]),
  patchSize: upTo(limits.patchSize),
  ...{ channels: upTo(limits.channels), width: upTo(limits.width), depth: upTo(limits.depth) },
  ...{ heads: upTo(limits.heads), mlpRatio: z.number().positive().max(limits.mlpRatio) },
  layerNormEpsilon: z.number().positive(),
  ...{
    predictorWidth: upTo(limits.width),
    predictorDepth: upTo(limits.depth),
    predictorHeads: upTo(limits.heads),
  },
  momentum: byStep,
  // How the inputs were drawn.
  ...{
    targetBlocks: z.int(),
    targetBlock: z.array(z.int()),
    contextBlocks: z.int(),
    contextBlock: z.array(z.int()),
  },
  minKeep: z.int(),
})

interface Batch {
  readonly images: Tensor
}

const namedOf = ({ name, shape }: ParameterRow): Named => ({
  name: name.startsWith('predictor.') ? name : `encoder.${name}`,
  shape,
})

/** The blocks of a file are not drawn here. */
const anyBlocks: MultiBlockShape = {
  ...{ targets: 1, targetScale: [0.1, 0.1], targetAspect: [1, 1], compat: null },
  ...{ contexts: 1, contextScale: [1, 1], contextAspect: [1, 1], minKeep: 1 },
}

export const ijepa: NetworkRow<z.infer<typeof config>, Batch, BlocksPlan> = {
  config,
  tolerances: 'targets',
  open(config, { tensor, input, device }) {
    const { imageSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon } = config
    const patchSize = sidesOf(config.patchSize)
    const own: Ijepa = openIjepa({
      dimensions: {
        ...{ imageSize, patchSize, channels, width, depth, heads, mlpRatio, layerNormEpsilon },
        variant: { prefix: [] },
      },
      predictor: { width: config.predictorWidth, depth: config.predictorDepth, heads: config.predictorHeads },
      ...{ mask: anyBlocks, momentum: { from: 0, to: 0, over: null }, device }, // the file has one for each step
    })
    const names = fileNames(own.rows, namedOf, own.averages)
    /** Blocks of the samples of a micro-batch [B, blocks, patches]; the file has the blocks first, [S, blocks, B, patches]. */
    const blocksOf = (name: string, { step, samples: { indices } }: Where): Tensor => {
      const given = permute(select(tensor(`input.${name}`), 0, step), [1, 0, 2])
      return toDevice(narrow(given, 0, indices[0] ?? 0, indices.length), device)
    }
    const samples = tensor('input.images').shape[0]!
    return {
      objective: {
        ...{ rows: names.rows, averages: own.averages!, schedules: own.schedules!, encoder: own.encoder },
        plan: (at) => ({ context: blocksOf('context', at), targets: blocksOf('target', at) }),
        loss: (weights, { images }, plan) => own.loss(names.own(weights), { image: viewOf(images) }, plan),
      },
      ...{ samples, microBatches: samples, schedules: { momentum: config.momentum } },
      batch: (of) => ({ images: input('images', of, 4) }),
      outputs(weights, { images }, plan) {
        const view = viewOf(images)
        const { context, prediction } = own.predict(names.own(weights), view, plan)
        const [P, E, B, M, D] = prediction.shape as readonly [number, number, number, number, number]
        const rows = take(own.wanted(names.own(weights), view), reshape(plan.targets, [B, P * M]))
        const blocks = permute(reshape(rows, [B, P, M, D]), [1, 0, 2, 3])
        return { context, pred: prediction, target: expand(unsqueeze(blocks, 1), [P, E, B, M, D]) }
      },
    }
  },
}
