/** MoCo v3 (SELF-DISTILLATION): keys of a momentum encoder that moves before the loss; a patch projection that stays random. */
import { z } from 'zod'
import { type Weights, within } from '../../../src/model/parameters.ts'
import type { RowsObjective } from '../../../src/objective/objective.ts'
import { noGrad } from '../../../src/tensor/context.ts'
import { cat, matmul, mul, transpose } from '../../../src/tensor/ops.ts'
import { fromArray, type Tensor } from '../../../src/tensor/tensor.ts'
import { sineCosine } from '../../../src/token/sine-cosine.ts'
import type { NetworkRow } from '../../../src/verify/network-row.ts'
import { byStep } from '../../../src/verify/recipe.ts'
import { applyHead, headRows, type Layer, runningStatistics } from './head.ts'
import { clsOf, crossEntropy, encode, gridOf, unit, type Vit, vitConfig, vitRows } from './small-vit.ts'

const config = z.looseObject({
  ...{ ...vitConfig, batch: z.int(), temperature: z.number(), headHidden: z.int(), embedding: z.int() },
  momentums: byStep,
})
interface TwoViews {
  readonly one: Tensor
  readonly other: Tensor
}

/** [1, 1 + N, D]: the row in the first half, the column in the second; zeros for cls. */
function positionsOf(d: Vit): Tensor {
  const [rows, columns] = gridOf(d)
  const table = new Float32Array((1 + rows * columns) * d.width)
  for (let i = 0; i < rows * columns; i++) {
    table.set(sineCosine(Math.floor(i / columns), d.width / 2), (1 + i) * d.width)
    table.set(sineCosine(i % columns, d.width / 2), (1.5 + i) * d.width)
  }
  return fromArray(table, [1, 1 + rows * columns, d.width], 'float32')
}

const layersOf = (prefix: string, widths: readonly number[]): Layer[] =>
  widths.slice(1).map((output, i) => ({
    ...{ linear: `${prefix}.${3 * i}`, norm: `${prefix}.${3 * i + 1}`, hasBias: false },
    ...{ isAffine: i < widths.length - 2, widths: [widths[i]!, output] },
  }))

export const mocov3: NetworkRow<z.infer<typeof config>, TwoViews, null> = {
  config,
  tolerances: 'contrastiveBatchNorm',
  open(d, { input }) {
    const { temperature, batch, headHidden, embedding, momentums } = d
    const widths = [d.width, headHidden, headHidden, embedding]
    const queryHead = layersOf('base_encoder.head', widths)
    const keyHead = layersOf('momentum_encoder.head', widths)
    const predictor = layersOf('predictor', [embedding, headHidden, embedding])
    const heads = [...headRows(queryHead), ...headRows(predictor)]
    const keyState = headRows(keyHead).filter(({ role }) => role === 'state')
    const features = (w: Weights, { one, other }: TwoViews) => {
      const of = (images: Tensor, name: string) =>
        clsOf(encode(images, within(w, name), d, { positions: () => positionsOf(d) }))
      return {
        ...{ one: of(one, 'base_encoder'), other: of(other, 'base_encoder') },
        ...noGrad(() => ({ keyOne: of(one, 'momentum_encoder'), keyOther: of(other, 'momentum_encoder') })),
      }
    }
    const headsOf = (w: Weights, found: Readonly<Record<string, Tensor>>, stats: Record<string, Tensor>) => {
      const query = (x: Tensor, which: number) =>
        applyHead(applyHead(x, w, queryHead, [stats, which]), w, predictor, [stats, which])
      const key = (x: Tensor, which: number) => noGrad(() => applyHead(x, w, keyHead, [stats, which]))
      return {
        ...{ one: query(found.one!, 0), other: query(found.other!, 1) },
        ...{ keyOne: key(found.keyOne!, 0), keyOther: key(found.keyOther!, 1) },
      }
    }
    const contrast = (queries: Tensor, keys: Tensor) => {
      const logits = mul(matmul(unit(queries), transpose(unit(keys), 0, 1)), 1 / temperature)
      return mul(crossEntropy(logits, [...Array(logits.shape[0]!).keys()]), 2 * temperature)
    }
    const isFixed = (name: string) => name.includes('patch_embed')
    const objective: RowsObjective<TwoViews, null, 'momentum'> = {
      rows: [
        ...vitRows('base_encoder.', d).map((each) =>
          isFixed(each.name) ? { ...each, role: 'fixed' as const } : each,
        ),
        ...heads,
        ...keyState,
      ],
      averages: [
        {
          ...{ prefix: 'momentum_encoder.', from: 'base_encoder.', momentum: 'momentum' },
          ...{ when: 'before-loss', fixed: 'averaged' },
        },
      ],
      encoder: { prefix: 'base_encoder.' },
      plan: () => null,
      features,
      lossOfRows(w, found) {
        const stats = {}
        const { one, other, keyOne, keyOther } = headsOf(w, found, stats)
        const part = (queries: Tensor, keys: Tensor) => ({ mean: contrast(queries, keys), weight: 1 })
        return { parts: { firstQuery: part(one, keyOther), secondQuery: part(other, keyOne) }, stats }
      },
      ...runningStatistics([...heads, ...keyState], 2),
    }
    return {
      ...{ objective, samples: batch, microBatches: 4, schedules: { momentum: momentums } },
      batch: (of) => ({ one: input('views', of, 5, [0, 2]), other: input('views', of, 5, [1, 2]) }),
      outputs: (w, views) =>
        noGrad(() => {
          const { one, other, keyOne, keyOther } = headsOf(w, features(w, views), {})
          return {
            queries: cat([one, other], 0),
            keys: cat([keyOne, keyOther], 0),
            positions: positionsOf(d),
          }
        }),
    }
  },
}
