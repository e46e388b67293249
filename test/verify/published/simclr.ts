/** SimCLR (SELF-DISTILLATION): two views of each sample, each found among all others of the step. */
import { z } from 'zod'
import { type Weights, within } from '../../../src/model/parameters.ts'
import type { RowsObjective } from '../../../src/objective/objective.ts'
import { backward, gradient, noGrad, requireGradient } from '../../../src/tensor/context.ts'
import { add, cat, clone, matmul, mul, narrow, transpose } from '../../../src/tensor/ops.ts'
import { fromArray, type Tensor } from '../../../src/tensor/tensor.ts'
import type { NetworkRow } from '../../../src/verify/network-row.ts'
import { applyHead, headRows, type Layer, runningStatistics } from './head.ts'
import { clsOf, crossEntropy, encode, unit, vitConfig, vitRows } from './small-vit.ts'

const config = z.looseObject({
  ...{ ...vitConfig, batch: z.int(), microBatch: z.int().optional() },
  ...{ temperature: z.number(), headLayers: z.int(), headHidden: z.int(), embedding: z.int() },
  ...{ headBatchNorm: z.boolean(), batchStatistics: z.enum(['view', 'both']) },
})
/** [B, C, H, W] each. */
interface TwoViews {
  readonly one: Tensor
  readonly other: Tensor
}

/** Of embeddings [2B, E], view by view. */
function contrast(embeddings: Tensor, temperature: number): Tensor {
  const n = embeddings.shape[0]!
  const own = Float32Array.from({ length: n * n }, (_, i) => (Math.floor(i / n) === i % n ? -1e9 : 0))
  const z = unit(embeddings)
  const logits = add(mul(matmul(z, transpose(z, 0, 1)), 1 / temperature), fromArray(own, [n, n], 'float32'))
  return crossEntropy(
    logits,
    Array.from({ length: n }, (_, i) => (i + n / 2) % n),
  )
}

export const simclr: NetworkRow<z.infer<typeof config>, TwoViews, null> = {
  config,
  tolerances: ({ headBatchNorm }) => (headBatchNorm ? 'contrastiveLars' : 'selfDistillation'),
  open(given, { input }) {
    const { temperature, batch: B, microBatch, headBatchNorm, headLayers } = given
    const d = { ...given, hasPositions: true }
    const under = (i: number) => `projection_head.layers.${i}`
    const layers = Array.from({ length: headLayers }, (_, i): Layer => {
      const at = i * (headBatchNorm ? 3 : 2)
      const output = i < headLayers - 1 ? given.headHidden : given.embedding
      return {
        ...{
          linear: under(at),
          hasBias: !headBatchNorm,
          isAffine: true,
          norm: headBatchNorm ? under(at + 1) : null,
        },
        widths: [i === 0 ? d.width : given.headHidden, output],
      }
    })
    const isByView = given.batchStatistics === 'view'
    const headOf = (w: Weights, one: Tensor, other: Tensor, stats: Record<string, Tensor>) =>
      isByView
        ? cat([applyHead(one, w, layers, [stats, 0]), applyHead(other, w, layers, [stats, 1])], 0)
        : applyHead(cat([one, other], 0), w, layers, [stats, 0])
    const features = (w: Weights, views: TwoViews) => {
      const of = (images: Tensor) =>
        clsOf(encode(images, within(w, 'backbone'), d, { positions: () => w('backbone.pos_embed') }))
      return { one: of(views.one), other: of(views.other) }
    }
    const rows = headRows(layers)
    const objective: RowsObjective<TwoViews, null> = {
      rows: [...vitRows('backbone.', d), ...rows],
      encoder: { prefix: 'backbone.' },
      plan: () => null,
      features,
      lossOfRows(w, { one, other }) {
        const stats = {}
        const mean = contrast(headOf(w, one!, other!, stats), temperature)
        return { parts: { contrast: { mean, weight: 1 } }, stats }
      },
      ...runningStatistics(rows, isByView ? 2 : 1),
    }
    return {
      ...{ objective, samples: B, ...(microBatch && { microBatches: B / microBatch }) },
      batch: (of) => ({ one: input('views', of, 5, [0, 2]), other: input('views', of, 5, [1, 2]) }),
      outputs(w, batch) {
        const { one, other } = noGrad(() => features(w, batch))
        const embeddings = noGrad(() => headOf(w, one, other, {}))
        const leaf = requireGradient(clone(embeddings))
        backward(contrast(leaf, temperature))
        const found = { features: cat([one, other], 0), embeddings, embeddingGradient: gradient(leaf)! }
        if (!microBatch) return found
        const part = (i: number) =>
          cat([narrow(embeddings, 0, i, microBatch), narrow(embeddings, 0, B + i, microBatch)], 0)
        const parts = Array.from({ length: B / microBatch }, (_, i) =>
          contrast(part(i * microBatch), temperature),
        )
        return {
          ...found,
          microBatchMeanLoss: mul(
            parts.reduce((a, b) => add(a, b)),
            1 / parts.length,
          ),
        }
      },
    }
  },
}
