/**
 * Features of a frozen encoder on the whole view as the target. Outputs of blocks are averaged, optionally with layer norms (without weights)
 * before and after, as in data2vec (Baevski et al. 2022), whose teacher is an EMA instead.
 */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { limits } from '../model/dimensions.ts'
import type { Weights } from '../model/parameters.ts'
import { call } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import {
  add,
  cat,
  div,
  meanOver,
  narrow,
  reshape,
  select,
  sqrt,
  sub,
  toDtype,
  varianceOver,
} from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { layoutInWords, placeCount } from '../token/layout.ts'
import { type Averaging, averageOf, type FeatureError, featureErrors, layersKey } from './block-features.ts'
import type { FeatureModel } from './frozen-model.ts'
import { onGrid, resizedPixels } from './resized.ts'
import type { Seen, Target, TargetMaker } from './target.ts'
import { targetRow } from './target-row.ts'
import { tokenTarget } from './token-target.ts'

/** A cosine looks at directions alone. */
const ofLengthOne = (x: Tensor): Tensor => div(x, call('clamp', norms(x), 1e-8, null))
const norms = (x: Tensor) => call('linalg_vector_norm', x, 2, [-1], true, null)

const lossNames = ['smooth-l1', 'mse', 'cosine'] as const satisfies readonly FeatureError[]

export interface FeatureOptions extends Averaging {
  /** Width of the teacher's tokens. */
  readonly width: number
  /** Its blocks, from 0; null: the last one, after the final norm. */
  readonly layers: readonly number[] | null
  /** Whether images are brought to the teacher's size, and its features to the model's grid. */
  readonly resample: boolean
  /** Whether each number of a token is brought to mean 0 and deviation 1 over the tokens of the first step. */
  readonly standardize?: boolean
  readonly loss: FeatureError
  /** Threshold of smooth L1, as in PyTorch. */
  readonly beta: number
}

/** Throws `CONFIG` at the first use if the teacher has another token grid or width, or too few blocks. */
export const predictFeatures =
  (open: () => FeatureModel, options: FeatureOptions): TargetMaker =>
  ({ shape, groups }) => {
    const { width, layers, resample, standardize = false, loss, beta } = options
    const layout = layoutOf(shape)
    const places = placeCount(layout)
    let opened: FeatureModel | undefined
    const teacher = () => {
      opened ??= open()
      const { imageSize } = shape.dimensions
      expectFit(opened, { layout, width, layers, imageSize, resample })
      return opened
    }
    const featuresAt = ({ cut: { view }, plan }: Seen): Tensor => {
      const { features, imageSize, layout: from } = teacher()
      const given = { ...view, pixels: resizedPixels(view.pixels, imageSize) }
      const whole = averageOf(plan?.taught ?? features(resample ? given : view, layers), options) // [B, N, width]
      return resample ? onGrid(whole, from.grid, layout.grid) : whole
    }
    const target = tokenTarget({
      part: 'features',
      shows: { kind: 'features' },
      ...(loss === 'cosine' && { drawn: { said: ofLengthOne, wanted: ofLengthOne } }),
      widths: Object.fromEntries(groups.map(({ head }) => [head, width])),
      of(seen, weights) {
        const found = featuresAt(seen)
        const wanted = standardize ? standardized(found, weights) : found
        return groups.map((_, g) => narrow(wanted, 1, g * places, places))
      },
      error: (predicted, wanted) => featureErrors[loss](predicted, wanted, beta),
    })
    return {
      ...target,
      ...(standardize && standardizing(width, featuresAt)),
      frozen: { 'target.model': teacher },
      ...(!resample && { taught: { by: teacher, blocks: layers } }),
    }
  }

const names = { mean: 'target.mean', deviation: 'target.deviation' } as const
const within = { unbiased: false }
const LEAST = 1e-6 // of a deviation: a number that never changes stays near 0

const standardized = (x: Tensor, weights: Weights): Tensor =>
  div(sub(x, weights(names.mean)), weights(names.deviation))

/** Mean and deviation of each number of a token as state: the encoder is frozen, so that those of the first step hold for all. */
const standardizing = (
  width: number,
  featuresAt: (seen: Seen) => Tensor,
): Required<Pick<Target, 'rows' | 'first'>> => ({
  rows: [
    { name: names.mean, shape: [width], initial: 'zeros', role: 'state' },
    { name: names.deviation, shape: [width], initial: 'ones', role: 'state' },
  ],
  first: (batches, { gather }) =>
    noGrad(() =>
      scope(() => {
        // Micro-batches are of one size, so that the means of all are the mean of theirs.
        const each = batches.map((seen) =>
          scope(() => {
            const tokens = reshape(toDtype(featuresAt(seen()), 'float32'), [-1, width])
            return reshape(cat([meanOver(tokens, [0]), varianceOver(tokens, [0], within)], 0), [1, 2, width])
          }),
        )
        const all = gather(cat(each, 0))
        const [means, variances] = [select(all, 1, 0), select(all, 1, 1)]
        const variance = add(meanOver(variances, [0]), varianceOver(means, [0], within))
        return {
          [names.mean]: meanOver(means, [0]),
          [names.deviation]: call('clamp_min', sqrt(variance), LEAST),
        }
      }),
    ),
})

type Wanted = Pick<FeatureModel, 'layout' | 'width' | 'imageSize'> &
  Pick<FeatureOptions, 'layers' | 'resample'>

function expectFit({ layout, width, depth, imageSize }: FeatureModel, wanted: Wanted): void {
  const refuse = (what: string) => {
    throw new SherdError('CONFIG', `target.model: ${what}`)
  }
  const [own, model] = [layoutInWords(layout), layoutInWords(wanted.layout)]
  const size = ([h, w]: FeatureModel['imageSize']) => `images of ${h} × ${w} pixels`
  const isPlain = [layout, wanted.layout].every(({ frames, groups }) => frames === 1 && groups === 1)
  const both = (what: string, own: string, models: string) =>
    `the teacher ${what} ${own}, and the model ${models}: `
  const help = isPlain
    ? "set target.resample=true, which brings images to the teacher's size and its features to the model's grid, or set model.imageSize and model.patchSize to its own"
    : 'set model.imageSize, model.patchSize and bands to its own'
  if (wanted.resample && !isPlain)
    refuse(
      'target.resample is for one frame and one group of bands, which the teacher and the model must have',
    )
  if (!wanted.resample && own !== model) refuse(both('has', own, model) + help)
  if (!wanted.resample && size(imageSize) !== size(wanted.imageSize))
    refuse(both('takes', size(imageSize), size(wanted.imageSize)) + help)
  if (width !== wanted.width) refuse(`its tokens have ${width} numbers, and target.width is ${wanted.width}`)
  const missing = wanted.layers?.find((block) => block >= depth)
  if (missing !== undefined) refuse(`it has blocks 0 to ${depth - 1}, and target.layers has ${missing}`)
}

export const featuresRow = targetRow({
  keys: {
    model: z
      .string({ error: 'expected the path of a run, a checkpoint or a .safetensors file of weights' })
      .min(1)
      .meta({ allowed: 'path' })
      .describe('the frozen encoder: a run, a checkpoint, or a file of weights'),
    width: z
      .int()
      .min(1)
      .max(limits.width)
      .nullable()
      .default(null)
      .describe('numbers of its token; found when a run begins'),
    layers: layersKey('the last one, after the final norm'),
    layerNorm: z.boolean().default(false).describe('norm the output of each block first (data2vec)'),
    norm: z.boolean().default(false).describe('norm their mean'),
    resample: z
      .boolean()
      .default(false)
      .describe(
        "bring images to the encoder's size and its features to the model's grid, where these differ",
      ),
    standardize: z
      .boolean()
      .default(false)
      .describe(
        'bring each number of a token to mean 0 and deviation 1, by those of the first step: for encoders whose tokens are much alike',
      ),
    loss: z.enum(lossNames).default('smooth-l1').describe('how far a prediction is from the features'),
    beta: z.number().positive().default(1).describe('where smooth-l1 turns from squares to distances'),
  },
  open({ model, width, ...options }, { frozen }) {
    if (width === null)
      throw new SherdError(
        'CONFIG',
        'target.width: expected the numbers of a token of target.model; a run that begins finds them',
      )
    return predictFeatures(() => frozen(model), { ...options, width })
  },
  async complete({ model, ...keys }, locate) {
    const { path, width } = await locate.frozen(model)
    return { ...keys, model: path, width }
  },
  width: ({ width }) => width,
  models: ({ model }) => ({ frozen: [model] }),
  wholeSamples: () => 'target.kind features',
  inWords: () => 'features of a frozen encoder',
})
