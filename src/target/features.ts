/**
 * Features of a frozen encoder on the whole view as the target. Outputs of blocks are averaged, optionally with layer norms (without weights)
 * before and after, as in data2vec (Baevski et al. 2022), whose teacher is an EMA instead.
 */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { limits } from '../model/dimensions.ts'
import { call } from '../tensor/call.ts'
import { div, narrow } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { layoutInWords, placeCount } from '../token/layout.ts'
import { type Averaging, averageOf, type FeatureError, featureErrors } from './block-features.ts'
import type { FeatureModel } from './frozen-model.ts'
import { onGrid, resizedPixels } from './resized.ts'
import type { TargetMaker } from './target.ts'
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
  readonly loss: FeatureError
  /** Threshold of smooth L1, as in PyTorch. */
  readonly beta: number
}

/** Throws `CONFIG` at the first use if the teacher has another token grid or width, or too few blocks. */
export const predictFeatures =
  (open: () => FeatureModel, options: FeatureOptions): TargetMaker =>
  ({ shape, groups }) => {
    const { width, layers, resample, loss, beta } = options
    const layout = layoutOf(shape)
    const places = placeCount(layout)
    let opened: FeatureModel | undefined
    const teacher = () => {
      opened ??= open()
      const { imageSize } = shape.dimensions
      expectFit(opened, { layout, width, layers, imageSize, resample })
      return opened
    }
    const target = tokenTarget({
      part: 'features',
      shows: { kind: 'features' },
      ...(loss === 'cosine' && { drawn: { said: ofLengthOne, wanted: ofLengthOne } }),
      widths: Object.fromEntries(groups.map(({ head }) => [head, width])),
      of({ cut: { view }, plan }) {
        const { features, imageSize, layout: from } = teacher()
        const given = { ...view, pixels: resizedPixels(view.pixels, imageSize) }
        const whole = averageOf(plan?.taught ?? features(resample ? given : view, layers), options) // [B, N, width]
        const wanted = resample ? onGrid(whole, from.grid, layout.grid) : whole
        return groups.map((_, g) => narrow(wanted, 1, g * places, places))
      },
      error: (predicted, wanted) => featureErrors[loss](predicted, wanted, beta),
    })
    return {
      ...target,
      frozen: { 'target.model': teacher },
      ...(!resample && { taught: { by: teacher, blocks: layers } }),
    }
  }

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
    layers: z
      .array(
        z
          .int()
          .min(0)
          .max(limits.depth - 1),
      )
      .min(1)
      .max(limits.depth)
      .nullable()
      .default(null)
      .describe('blocks whose outputs are averaged, from 0; null: the last one, after the final norm'),
    layerNorm: z.boolean().default(false).describe('norm the output of each block first (data2vec)'),
    norm: z.boolean().default(false).describe('norm their mean'),
    resample: z
      .boolean()
      .default(false)
      .describe(
        "bring images to the encoder's size and its features to the model's grid, where these differ",
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
