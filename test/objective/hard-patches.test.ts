// Hard patches: the predictor's loss and the mask against PyTorch (scripts/reference/make_hard_patches.py); then what a step makes of them.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import { allRows } from '../../src/objective/averages.ts'
import {
  chooseHardPatches,
  type HardPatchesOptions,
  relativeChance,
  relativeLoss,
} from '../../src/objective/hard-patches.ts'
import { mae } from '../../src/objective/mae.ts'
import { maskTokens } from '../../src/objective/mask-tokens.ts'
import type { MaskedObjective } from '../../src/objective/masked.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { backward, gradient, noGrad, requireGradient } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, tensor } from '../../src/tensor/tensor.ts'
import { maskOf } from '../../src/token/mask.ts'
import { hardPatches } from '../../src/token/mask-rules.ts'
import { tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import { expectClose, numbers } from '../tolerance.ts'

const reference = JSON.parse(
  readFileSync(new URL('../reference/hard-patches.json', import.meta.url), 'utf8'),
) as {
  relative: { predicted: number[][]; losses: number[][]; loss: number; gradient: number[][] }
  mask: { losses: number[][]; noise: number[][]; hidden: number; masks: Record<string, number[][]> }
}
const matrix = (rows: number[][]) => tensor(rows.flat(), [rows.length, rows[0]!.length])

describe('the loss of the predictor', () => {
  it('and its gradient are PyTorch’s', () => {
    const { predicted, losses, loss, gradient: wanted } = reference.relative
    scope(() => {
      const said = requireGradient(matrix(predicted))
      const made = relativeLoss(said, matrix(losses))
      backward(made)
      expectClose([item(made)], [loss], 1e-6)
      expectClose(numbers(gradient(said)!), wanted.flat(), 1e-6)
    })
  })

  it('begins at that of equal predictions, near ln 2', () => {
    scope(() => {
      const made = relativeLoss(tensor([3, 3, 3], [1, 3]), tensor([0.1, 0.2, 0.3], [1, 3]))
      expectClose([item(made)], [relativeChance], 1e-6)
      expect(relativeChance).toBeCloseTo(Math.LN2, 5)
    })
  })

  it('takes pairs of equal losses as learned, also where there is no other', () => {
    scope(() => {
      const some = relativeLoss(tensor([0, 0, 0], [1, 3]), tensor([1, 1, 2], [1, 3]))
      expectClose([item(some)], [(2 / 3) * relativeChance], 1e-6)
      expect(item(relativeLoss(tensor([0, 1], [1, 2]), tensor([1, 1], [1, 2]))) + 0).toBe(0)
      expect(item(relativeLoss(tensor([0.5], [1, 1]), tensor([1], [1, 1]))) + 0).toBe(0)
    })
  })
})

it.each(Object.entries(reference.mask.masks))(
  'a share of %s hard patches is what plain Python chooses',
  (share, wanted) => {
    const { losses, noise, hidden } = reference.mask
    const hardest = Math.floor(hidden * Number(share))
    const made = scope(() => numbers(hardPatches(matrix(losses), matrix(noise), { hardest, hidden })))
    expect(made).toEqual(wanted.flat())
  },
)

const options: HardPatchesOptions = {
  ...{ predictor: { width: 8, depth: 1, heads: 2 }, from: 0, to: 0.5 },
  momentum: { kind: 'linear', from: 0.9, to: 0.99, over: 4 },
}
const objectives: Record<string, () => MaskedObjective> = {
  mae: () =>
    mae({
      dimensions: tiny,
      decoder: tinyDecoder,
      maskRatio: 0.6,
      device: 'cpu',
      chooser: chooseHardPatches(options),
    }),
  simmim: () =>
    maskTokens({
      ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu', chooser: chooseHardPatches(options) },
      target: predictPixels({ normalize: false, form: 'simmim' }),
    }),
}

describe.each(Object.keys(objectives))('%s', (name) => {
  const objective = objectives[name]!()
  const parameters = initialParameters(allRows(objective), { seed: 1, device: 'cpu' })
  /** Makes the predictor of the teacher say `losses` of the patches, through the bias of its head and positions alone. */
  const weights = weightsOf(parameters)
  const at = (hardShare: number, indices = [0, 1]) => ({
    ...{ seed: 3, samples: { epochs: indices.map(() => 0), indices } },
    value: { hardShare },
  })
  const masked = (hardShare: number) =>
    noGrad(() =>
      scope(() => numbers(maskOf(objective.plan(at(hardShare), { image: viewOf(tinyImages(2)) }, weights)))),
    )

  it('hides what is random at first, and exactly as much later', () => {
    const { chooser: _, ...plain } = { chooser: null }
    const usual = mae({ dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6, device: 'cpu', ...plain })
    const random = scope(() => numbers(maskOf(usual.plan(at(0)))))
    expect(masked(0)).toEqual(random)
    expect(masked(1)).not.toEqual(random)
    for (const share of [0, 0.3, 0.5, 1])
      expect(
        [0, 1].map((b) =>
          masked(share)
            .slice(15 * b, 15 * (b + 1))
            .reduce((x, y) => x + y),
        ),
      ).toEqual([9, 9])
  })

  it('has a second part of the loss, and a teacher beside the encoder that is evaluated', () => {
    const parts = scope(() => {
      const image = viewOf(tinyImages(2))
      const plan = noGrad(() => objective.plan(at(0.5), { image }, weights))
      const { parts } = objective.loss(weights, { image }, plan)
      return Object.entries(parts).map(([part, { mean, weight }]) => [
        part,
        Number.isFinite(item(mean)),
        weight,
      ])
    })
    expect(parts).toEqual([
      ['pixels', true, 1],
      ['order', true, 1],
    ])
    expect(objective.encoder.prefix).toBe('')
    expect(objective.isPlanOfWeights).toBe(true)
    const names = [...parameters.keys()]
    expect(names).toContain('hard_teacher.blocks.0.attn.qkv.weight')
    expect(names).toContain('hard_teacher.loss_predictor.pred.weight')
    expect(names.filter((each) => each.startsWith('hard_teacher.decoder'))).toEqual([])
    expect(objective.metrics!.find((row) => row.name === 'order')).toMatchObject({ chance: relativeChance })
  })
})

it('needs a target with an error of each token', () => {
  const target = predictPixels({ normalize: false, scales: { scales: [2], width: 8 } })
  expect(() =>
    mae({
      dimensions: tiny,
      decoder: tinyDecoder,
      maskRatio: 0.6,
      device: 'cpu',
      target,
      chooser: chooseHardPatches(options),
    }),
  ).toThrow(/mask.kind loss.*no error of single patches/)
})
