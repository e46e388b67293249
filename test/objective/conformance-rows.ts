/** Every objective, in each of its forms, with samples for the suite. */
import { layoutOf, plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EarlyHead } from '../../src/model/early-head.ts'
import { type AttentionMaskOptions, chooseByAttention } from '../../src/objective/attention-mask.ts'
import { classification } from '../../src/objective/classification.ts'
import { chooseHardPatches } from '../../src/objective/hard-patches.ts'
import { ijepa } from '../../src/objective/ijepa.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import type { MaskChooserMaker } from '../../src/objective/mask-chooser.ts'
import { asInBeit, asInBeitv2, maskTokens } from '../../src/objective/mask-tokens.ts'
import type { ImageBatch } from '../../src/objective/objective.ts'
import { vqPixels } from '../../src/objective/vq-pixels.ts'
import { vqkd } from '../../src/objective/vqkd.ts'
import { type View, viewOf } from '../../src/prepare/view.ts'
import { draws } from '../../src/random/draws.ts'
import { predictCodes } from '../../src/target/codes.ts'
import { predictFeatures } from '../../src/target/features.ts'
import type { FrozenModel } from '../../src/target/frozen-model.ts'
import { predictHog } from '../../src/target/hog.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { predictTeacher, type TeacherOptions } from '../../src/target/teacher.ts'
import { add, meanOver, reshape, sigmoid } from '../../src/tensor/ops.ts'
import { tensor, toFloats } from '../../src/tensor/tensor.ts'
import { layoutTokens } from '../../src/token/layout.ts'
import { planFromMask } from '../../src/token/mask.ts'
import { randomMask } from '../../src/token/mask-design.ts'
import type { AttentionRuleName } from '../../src/token/mask-rules.ts'
import { patchifyGroups } from '../../src/token/patchify.ts'
import { tiny, tinyDecoder } from '../model/tiny-model.ts'
import { series, values, viewsOfValues } from '../model/tiny-series.ts'
import { toyTokenizer } from '../target/toy-tokenizer.ts'
import { wave } from '../tolerance.ts'
import type { Conforming } from './conformance.ts'
import { toyObjective } from './toy.ts'

const pixels = (indices: readonly number[], seed: number) =>
  tensor(
    indices.flatMap((index) => wave(180, index + seed)),
    [indices.length, 3, 6, 10],
  )
const usual = { decoder: tinyDecoder, maskRatio: 0.6, device: 'cpu' } as const
const masked = (
  options: MaeOptions,
  view: (indices: readonly number[]) => View,
): Conforming<ImageBatch, never> => ({
  objective: () => mae(options) as never,
  batch: (indices) => ({ image: view(indices) }),
})

/**
 * Values of two dates. With gaps a share of them that is another one for each sample, and the second dates of the first five: micro-batches
 * then count differently.
 */
const ofSeries = (indices: readonly number[], gaps: boolean): View => {
  const all = indices.flatMap((index) =>
    wave(values, index).map((value, i) =>
      gaps && ((i + index) % (7 + (index % 5)) === 0 || (index < 5 && i >= values / 2)) ? Number.NaN : value,
    ),
  )
  return viewsOfValues(indices.length, all)
}

const blocks = { ...randomMask(0.4), shape: { kind: 'block' } } as const
const gradients = predictHog({ cellSize: 1, bins: 5, gaussianWindow: 0 })
/** Says the mean of each channel of a patch, and attends to bright ones. */
const teacher: FrozenModel = {
  ...{ hash: '', width: 3, depth: 1, imageSize: tiny.imageSize, layout: layoutOf(plainBackbone(tiny)) },
  features: ({ pixels: x }) => [
    meanOver(reshape(patchifyGroups(x, [[0, 1, 2]], tiny.patchSize)[0]!, [x.shape[0]!, 15, 4, 3]), [2]),
  ],
  attention(view, also) {
    const features = teacher.features(view, null)
    return { attention: sigmoid(meanOver(features[0]!, [2])), features: also ? features : [] }
  },
}
const features = predictFeatures(() => teacher, {
  ...{ width: 3, layers: null, layerNorm: false, norm: false, resample: false, loss: 'smooth-l1', beta: 1 },
})
const byAttention = (rule: AttentionRuleName, more: Partial<AttentionMaskOptions> = {}) =>
  chooseByAttention({
    ...{ rule, teacher: () => teacher, maskingProb: 1, showMax: 0.2, throwRatio: 0.3 },
    ...{ fromEpoch: 0, ratioBefore: 0.6, ...more },
  })
const byHardness = chooseHardPatches({
  ...{ predictor: { width: 8, depth: 1, heads: 2 }, from: 0.2, to: 0.6 },
  momentum: { kind: 'linear', from: 0.9, to: 0.99, over: 4 },
})
const simmimPixels = predictPixels({ normalize: false, form: 'simmim' })
const codes = predictCodes(() => toyTokenizer(tiny), { codes: 4 })
const tokens = {
  device: 'cpu',
  codebook: { size: 8, width: 4, decay: 0.9, commitment: 1, revive: null },
} as const
/** Most of their patches have the same code, which is soon learned. */
const brighter = (indices: readonly number[]) => ({ image: viewOf(add(pixels(indices, 0), 0.25)) })
/** BEiT's encoder, and in BEiT v2 a second head. */
const beit = (tables: 'shared' | 'per-block', early: EarlyHead | null) => () =>
  maskTokens({
    ...{ maskRatio: 0.4, mask: blocks, positions: 'none', device: 'cpu', target: codes, early },
    dimensions: {
      ...tiny,
      variant: {
        ...{
          relativePositions: { tables, grid: { h: 3, w: 5 } },
          qkvBias: 'qv',
          layerScale: { initial: 0.1 },
        },
      },
    },
    ...(early ? asInBeitv2(early) : asInBeit),
  })
/** Three tokens or more are hidden and up to three thrown, of each sample another number; those without data are hidden. */
const unevenMasks: MaskChooserMaker = ({ backbone }) => ({
  isUneven: true,
  plan({ seed, samples: { epochs, indices } }, cut) {
    const N = layoutTokens(backbone.layout)
    const present = cut?.present ? toFloats(cut.present) : null
    const states = Array.from(indices, (index, b) => {
      const draw = draws({ seed, stream: 'uneven', epoch: epochs[b]!, index })
      const order = draw.permutation(N)
      const [hidden, thrown] = [3 + draw.below(N - 8), draw.below(4)]
      const isThere = (n: number) => present?.[b * N + n] !== 0
      const kept = order.findIndex((place, n) => place >= hidden + thrown && isThere(n))
      return Array.from(order, (place, n) => {
        if (n === Math.max(kept, 0)) return 0 // where there is no data at all, too
        return !isThere(n) || place < hidden ? 1 : place < hidden + thrown ? -1 : 0
      })
    })
    return planFromMask(states)
  },
})
const taught = (options: Partial<TeacherOptions>): Conforming<ImageBatch, never> => ({
  objective: () =>
    maskTokens({
      ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu' },
      target: predictTeacher({
        ...{ layers: null, layerNorm: true, norm: true, beta: 2, scale: 'mean', head: true, scope: 'model' },
        ...{ momentum: { from: 0.9, to: 1, over: null }, ...options },
      }),
    }) as never,
  batch: (indices) => ({ image: viewOf(pixels(indices, 0)) }),
})
const classes = 3
const classified: Conforming<unknown, unknown> = {
  objective: () =>
    classification({
      ...{ backbone: plainBackbone(tiny), classes, head: 'mean', device: 'cpu' },
      dropPath: 0.1,
      fixed: (name) => name.startsWith('blocks.0.'),
      averages: [{ prefix: 'average.', from: '', momentum: 0.9, when: 'after-step' }],
    }) as never,
  batch: (indices) => ({
    image: viewOf(pixels(indices, 0)),
    targets: tensor(
      indices.flatMap((index) => Array.from({ length: classes }, (_, c) => (index % classes === c ? 1 : 0))),
      [indices.length, classes],
    ),
  }),
}

export const rows: Record<string, Conforming<never, never>> = {
  'mae of images': masked({ dimensions: tiny, ...usual }, (indices) => viewOf(pixels(indices, 0))) as never,
  'cross-attention, a part decoded': masked(
    {
      ...usual,
      dimensions: tiny,
      decoder: {
        ...{ kind: 'cross-attention', width: 16, depth: 2, heads: 2 },
        ...{ featureMaps: null, useInput: true, decodeRatio: 0.3 },
      },
    },
    (indices) => viewOf(pixels(indices, 0)),
  ) as never,
  'cross-attention of the final norm, bands and dates with gaps': masked(
    {
      ...{ ...usual, ...series },
      decoder: {
        ...{ kind: 'cross-attention', width: 16, depth: 2, heads: 2, groupWidth: 4, timeWidth: 4 },
        ...{ featureMaps: [], useInput: false, decodeRatio: 0.4 },
      },
    },
    (indices) => ofSeries(indices, true),
  ) as never,
  'mae of bands and dates': masked({ ...usual, ...series }, (indices) => ofSeries(indices, false)) as never,
  'mae of bands and dates with gaps': masked({ ...usual, ...series }, (indices) =>
    ofSeries(indices, true),
  ) as never,
  'mae of larger pictures of bands': masked(
    {
      ...{
        ...usual,
        dimensions: tiny,
        target: predictPixels({ normalize: false, scales: { scales: [2], width: 8 } }),
      },
      ...{ groups: [[2, 0], [1]], groupWidth: 4 },
    },
    (indices) =>
      viewOf(
        tensor(
          indices.flatMap((index) => wave(720, index)),
          [indices.length, 3, 12, 20],
        ),
      ),
  ) as never,
  'mae of a ratio that changes': masked(
    { dimensions: tiny, ...usual, maskSchedule: { kind: 'uniform', from: 0.4, to: 0.7 } },
    (indices) => viewOf(pixels(indices, 0)),
  ) as never,
  'mae of masks of unequal counts': masked({ dimensions: tiny, ...usual, chooser: unevenMasks }, (indices) =>
    viewOf(pixels(indices, 0)),
  ) as never,
  'mae of bands and dates with gaps under masks of unequal counts': masked(
    { ...usual, ...series, chooser: unevenMasks },
    (indices) => ofSeries(indices, true),
  ) as never,
  'mae of gradients': masked({ dimensions: tiny, ...usual, target: gradients }, (indices) =>
    viewOf(pixels(indices, 0)),
  ) as never,
  'mae of gradients of bands and dates': masked({ ...usual, ...series, target: gradients }, (indices) =>
    ofSeries(indices, false),
  ) as never,
  'mae of features': masked({ dimensions: tiny, ...usual, target: features }, (indices) =>
    viewOf(pixels(indices, 0)),
  ) as never,
  'mae of codes': masked({ dimensions: tiny, ...usual, target: codes }, (indices) =>
    viewOf(pixels(indices, 0)),
  ) as never,
  simmim: {
    objective: () =>
      maskTokens({
        ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu' },
        target: predictPixels({ normalize: false, form: 'simmim' }),
      }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  'mae with AttMask of a teacher, on some samples': masked(
    {
      ...{ dimensions: tiny, ...usual },
      chooser: byAttention('attmask-hint', { maskingProb: 0.95, showMax: 0.5 }),
    },
    (indices) => viewOf(pixels(indices, 0)),
  ) as never,
  "mae with a teacher's features and mask, as MILAN": masked(
    { dimensions: tiny, ...usual, target: features, chooser: byAttention('milan') },
    (indices) => viewOf(pixels(indices, 0)),
  ) as never,
  'mae with AMT by its own attention': masked(
    { ...{ dimensions: tiny, ...usual }, chooser: byAttention('amt', { teacher: null }) },
    (indices) => viewOf(pixels(indices, 0)),
  ) as never,
  'mae of hard patches': masked({ dimensions: tiny, ...usual, chooser: byHardness }, (indices) =>
    viewOf(pixels(indices, 0)),
  ) as never,
  'simmim of hard patches': {
    objective: () =>
      maskTokens({
        ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu', chooser: byHardness, target: simmimPixels },
      }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  maskfeat: {
    objective: () => maskTokens({ dimensions: tiny, maskRatio: 0.4, device: 'cpu', target: gradients }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  'mask tokens under masks of unequal counts': {
    objective: () =>
      maskTokens({
        ...{ dimensions: tiny, maskRatio: 0.4, device: 'cpu' },
        ...{ target: gradients, chooser: unevenMasks },
      }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  beit: {
    objective: beit('per-block', null),
    batch: brighter,
  } as never,
  'beit v2': {
    objective: beit('shared', { layers: 1, depth: 1, shared: false }),
    batch: brighter,
  } as never,
  data2vec: taught({}) as never,
  'data2vec of an encoder, with the embeddings and the norm of its student': taught({
    ...{ layers: [1], layerNorm: false, scale: 'root-width', beta: 0 },
    ...{ head: false, scope: 'encoder' },
  }) as never,
  ijepa: {
    objective: () =>
      ijepa({
        dimensions: { ...tiny, variant: { prefix: [] } },
        predictor: { width: 16, depth: 1, heads: 2 },
        mask: {
          ...{ targets: 2, targetScale: [0.1, 0.2], targetAspect: [0.75, 1.5] },
          ...{ contexts: 2, contextScale: [0.85, 1], contextAspect: [1, 1], minKeep: 1 },
        },
        momentum: { from: 0.9, to: 1, over: null },
        device: 'cpu',
      }) as never,
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  'mask tokens of bands and dates with gaps': {
    objective: () =>
      maskTokens({
        ...{ ...series, maskRatio: 0.6, device: 'cpu' },
        target: predictPixels({ normalize: false, form: 'simmim' }),
      }),
    batch: (indices: readonly number[]) => ({ image: ofSeries(indices, true) }),
  } as never,
  vqkd: {
    objective: () => vqkd({ ...tokens, dimensions: tiny, decoderDepth: 1, target: features }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  'vqkd that revives codes': {
    objective: () =>
      vqkd({
        ...{ ...tokens, dimensions: tiny, decoderDepth: 1, target: features, positions: 'learned' },
        codebook: { ...tokens.codebook, revive: 0.2 },
      }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  'vq-pixels': {
    objective: () =>
      vqPixels({
        ...{ imageSize: [6, 10], channels: 3, patchSize: [2, 2], width: 8 },
        ...{ depth: { encoder: 1, decoder: 1 }, codebook: tokens.codebook },
      }),
    batch: (indices: readonly number[]) => ({ image: viewOf(pixels(indices, 0)) }),
  } as never,
  classification: classified as never,
  'an objective that has everything': {
    objective: toyObjective,
    batch: (indices: readonly number[]) => ({ one: pixels(indices, 0), other: pixels(indices, 100) }),
  } as never,
}
