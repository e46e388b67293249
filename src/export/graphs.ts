/** The table of graphs: how each is traced, and its reference in LibTorch. */
import { SherdError } from '../errors.ts'
import { attentionTaps } from '../model/attention-rows.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { weightsOf } from '../model/parameters.ts'
import type { SegmentationHead } from '../model/segmentation-heads.ts'
import type { TokenizerObjective } from '../objective/tokenizer.ts'
import type { Graph } from '../onnx/graph.ts'
import type { Pixels } from '../prepare/pixels.ts'
import { draws } from '../random/draws.ts'
import { noGrad } from '../tensor/context.ts'
import { toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor, toFloats } from '../tensor/tensor.ts'
import { shortSize } from '../token/grid.ts'
import { layoutTokens } from '../token/layout.ts'
import { planFromIndices } from '../token/mask.ts'
import { patchesOf } from '../token/prefix.ts'
import { type FrozenClassifier, logitsOf, probabilitiesOf } from '../weights/frozen-classifier.ts'
import { tokensOf, viewFor } from '../weights/frozen-encoder.ts'
import { pixelLogitsOf } from '../weights/frozen-segmenter.ts'
import { type Autoencoder, autoencoderGraph } from './autoencoder-graph.ts'
import { type ImageSize, largestSide, proofSizes } from './dynamic-grid.ts'
import { attentionOutputs, type EncoderGraphOptions, encoderGraph, encoderOutputs } from './encoder-graph.ts'
import { vectorsOf, vectorWidths } from './encoder-vectors.ts'
import type { GraphName } from './formats.ts'
import {
  classifierGraph,
  type ExportedClassifier,
  type ExportedSegmenter,
  segmenterGraph,
} from './head-graphs.ts'
import { type ExportedEncoder, type PixelsInput, pixelsInput } from './pixels-input.ts'
import { needsPositions, positionsName, positionsOf } from './positions-input.ts'
import { codesOf, decodedOf, decodeGraph, encodeGraph } from './tokenizer-graphs.ts'

export interface ModelParts extends ExportedEncoder {
  /** If the weights include a decoder. */
  readonly autoencoder?: Autoencoder | undefined
  /** If the weights have a classification head; its `head.*` are among the parameters. */
  readonly classifier?: Pick<FrozenClassifier, 'head' | 'classes' | 'isMultiLabel'> | undefined
  /** If the weights have a segmentation head; its `decode_head.*` are among the parameters. */
  /** If the model is a tokenizer; its parameters are among those of the encoder. */
  readonly tokenizer?: TokenizerObjective | undefined
  readonly segmenter?: { readonly head: SegmentationHead; readonly classes: readonly string[] } | undefined
}

export type GraphOptions = EncoderGraphOptions

/** Token indices [B, n]. */
export interface Indices {
  readonly values: BigInt64Array
  readonly shape: readonly number[]
}
export type MoreInputs = Readonly<
  Record<string, Indices | { readonly values: Float32Array; readonly shape: readonly number[] }>
>

export interface GraphRow {
  /** Whether it can be made for images of any size. */
  readonly isOfAnySize: boolean
  /** Whether it is written in float32 alone; default false. */
  readonly isExact?: boolean
  /** Whether pixels are an input; default true. */
  readonly hasPixels?: boolean
  /** Outputs of whole numbers, which near ties may change; default none. */
  readonly ids?: readonly string[]
  /** Throws `VALUE` for models that cannot be exported. */
  readonly graph: (model: ModelParts, options: GraphOptions) => Graph
  readonly input: (model: ModelParts, options: GraphOptions) => PixelsInput
  /** Sizes of images for the comparison; the first is the model's own. */
  readonly sizes: (model: ModelParts, options: GraphOptions) => readonly ImageSize[]
  readonly outputs: (model: ModelParts, options: GraphOptions) => readonly string[]
  /** Inputs besides the pixels of the i-th batch of the comparison. */
  readonly more: (model: ModelParts, pixels: Pixels, i: number) => MoreInputs
  /** The outputs by LibTorch, with the kernels of training and evaluation. */
  readonly reference: (
    model: ModelParts,
    wanted: readonly string[],
  ) => (pixels: Pixels, more: MoreInputs) => Record<string, Float32Array>
  /** Outputs that are also compared by cosine, with the width of their vectors. */
  readonly vectors: (model: ModelParts) => Readonly<Record<string, number>>
  /** The outputs for the timing. */
  readonly timed: (model: ModelParts) => readonly string[]
}

const ownSize = ({ dimensions }: ModelParts): readonly ImageSize[] => [dimensions.imageSize]

const positionsAsGiven: GraphRow['more'] = ({ shape }, pixels) =>
  needsPositions(shape) ? { [positionsName]: positionsOf(shape, pixels) } : {}

const ofAnySize: Pick<GraphRow, 'isOfAnySize' | 'input' | 'sizes'> = {
  isOfAnySize: true,
  input: (model, { dynamicGrid }) => ({
    ...pixelsInput(model),
    ...(dynamicGrid && {
      grid: { multipleOf: shortSize(model.dimensions.patchSize), most: largestSide(model, dynamicGrid) },
    }),
  }),
  sizes: (model, { dynamicGrid }) => (dynamicGrid ? proofSizes(model, dynamicGrid) : ownSize(model)),
}
const ofOneSize = { isOfAnySize: false, input: pixelsInput, sizes: ownSize } as const

const encoderRow: GraphRow = {
  ...ofAnySize,
  graph: encoderGraph,
  outputs: encoderOutputs,
  more: positionsAsGiven,
  reference: (model, wanted) => (pixels) =>
    scope(() => {
      const taps = wanted.includes('attention') ? attentionTaps(model.dimensions) : []
      const made = tokensOf(model, { taps })(pixels)
      const all: Readonly<Record<string, Tensor>> = {
        ...vectorsOf(model, made),
        ...{ patches: patchesOf(made), ...(taps.length > 0 && attentionOutputs(model, made)) },
      }
      return Object.fromEntries(wanted.map((name) => [name, toFloats(all[name]!)]))
    }),
  vectors: vectorWidths,
  timed: (model) => Object.keys(vectorWidths(model)),
}

const RATIOS = [0.75, 0.5, 0.9, 0.25]

const autoencoderOf = ({ autoencoder }: ModelParts): Autoencoder => {
  if (!autoencoder)
    throw new SherdError(
      'VALUE',
      'There are no weights of a decoder: an autoencoder is exported from a run of pretraining, a checkpoint of it, or a file that has both.',
    )
  return autoencoder
}

const autoencoderRow: GraphRow = {
  ...ofOneSize,
  graph: (model) => autoencoderGraph(model, autoencoderOf(model)),
  outputs: () => ['prediction'],
  more({ shape }, { shape: [B] }, i) {
    const N = layoutTokens(layoutOf(shape))
    const K = Math.min(N - 1, Math.max(1, Math.round(N * (1 - RATIOS[i % RATIOS.length]!))))
    const { uniform } = draws({ seed: 0, stream: 'export/masks', epoch: B, index: i })
    const orders = Array.from({ length: B }, () =>
      Array.from({ length: N }, (_, n) => [uniform(), BigInt(n)] as const)
        .sort(([a], [b]) => a - b)
        .map(([, n]) => n),
    )
    const part = (from: number, to: number): Indices => ({
      values: BigInt64Array.from(orders.flatMap((order) => order.slice(from, to))),
      shape: [B, to - from],
    })
    return { kept: part(0, K), hidden: part(K, N) }
  },
  reference: (model) => (pixels, more) =>
    noGrad(() =>
      scope(() => {
        const { objective, parameters } = autoencoderOf(model)
        const [kept, hidden] = [more.kept!, more.hidden!].map(({ values, shape }) =>
          fromArray(values as BigInt64Array, shape, 'int64'),
        ) as [Tensor, Tensor]
        const plan = planFromIndices(kept, hidden)
        const { prediction } = objective.predict(weightsOf(parameters), viewFor(model, pixels), plan)
        return { prediction: toFloats(prediction) }
      }),
    ),
  vectors: ({ dimensions: { imageSize, channels }, shape: { frames } }) => ({
    prediction: frames * channels * imageSize[0] * imageSize[1],
  }),
  timed: () => ['prediction'],
}

const classifierOf = ({ classifier, ...model }: ModelParts): ExportedClassifier => {
  if (!classifier)
    throw new SherdError(
      'VALUE',
      'There is no head of a classifier: it is exported from a file of "sherd evaluate finetune --save", or an imported classifier.',
    )
  return { ...model, ...classifier }
}

const classifierRow: GraphRow = {
  ...ofAnySize,
  graph: (model, { dynamicGrid }) => classifierGraph(classifierOf(model), dynamicGrid),
  outputs: () => ['logits', 'probabilities'],
  more: positionsAsGiven,
  reference: (model) => {
    const classifier = classifierOf(model)
    const logits = logitsOf(classifier)
    return (pixels) =>
      scope(() => {
        const made = logits(pixels)
        return {
          logits: toFloats(made),
          probabilities: noGrad(() => toFloats(probabilitiesOf(classifier, made))),
        }
      })
  },
  vectors: (model) => ({ logits: classifierOf(model).classes.length }),
  timed: () => ['logits'],
}

const segmenterOf = ({ segmenter, ...model }: ModelParts): ExportedSegmenter => {
  if (!segmenter)
    throw new SherdError(
      'VALUE',
      'There is no head of segmentation: it is exported from a file of "sherd evaluate segment --save".',
    )
  return { ...model, segmenter: segmenter.head, classes: segmenter.classes }
}

const segmenterRow: GraphRow = {
  ...ofOneSize,
  graph: (model) => segmenterGraph(segmenterOf(model)),
  outputs: () => ['logits'],
  more: positionsAsGiven,
  reference: (model) => {
    const logits = pixelLogitsOf(segmenterOf(model))
    return (pixels) => scope(() => ({ logits: toFloats(logits(pixels)) }))
  },
  vectors: (model) => {
    const [height, width] = model.dimensions.imageSize
    return { logits: segmenterOf(model).classes.length * height * width }
  },
  timed: () => ['logits'],
}

const tokenizerOf = ({ tokenizer }: ModelParts): TokenizerObjective => {
  if (!tokenizer)
    throw new SherdError(
      'VALUE',
      'This is no tokenizer: encode and decode are of runs of objective vqkd or vq-pixels.',
    )
  return tokenizer
}

const encodeRow: GraphRow = {
  ...ofOneSize,
  ...{ isExact: true, ids: ['codes'] },
  graph: (model) => encodeGraph(model, tokenizerOf(model)),
  outputs: () => ['codes', 'similarity'],
  more: () => ({}),
  reference: (model) => (pixels) =>
    noGrad(() =>
      scope(() => {
        const made = codesOf(model, tokenizerOf(model), viewFor(model, pixels))
        return { codes: toFloats(toDtype(made.codes, 'float32')), similarity: toFloats(made.similarity) }
      }),
    ),
  vectors: () => ({}),
  timed: () => ['codes'],
}

const decodedName = (model: ModelParts) => (tokenizerOf(model).decodes === 'pixels' ? 'images' : 'features')

const decodeRow: GraphRow = {
  ...ofOneSize,
  ...{ isExact: true, hasPixels: false },
  graph: (model) => decodeGraph(model, tokenizerOf(model)),
  outputs: (model) => [decodedName(model)],
  more(model, { shape: [B] }, i) {
    const { tokens, codes } = tokenizerOf(model)
    const { below } = draws({ seed: 0, stream: 'export/codes', epoch: B, index: i })
    return {
      codes: {
        values: BigInt64Array.from({ length: B * tokens }, () => BigInt(below(codes))),
        shape: [B, tokens],
      },
    }
  },
  reference:
    (model) =>
    (_, { codes }) =>
      noGrad(() =>
        scope(() => {
          const given = fromArray(codes!.values as BigInt64Array, codes!.shape, 'int64')
          return { [decodedName(model)]: toFloats(decodedOf(model, tokenizerOf(model), given)) }
        }),
      ),
  vectors: () => ({}),
  timed: (model) => [decodedName(model)],
}

/** A new graph is one row here, and one in `formats.ts`. */
export const graphs: Readonly<Record<GraphName, GraphRow>> = {
  encoder: encoderRow,
  autoencoder: autoencoderRow,
  classifier: classifierRow,
  segmenter: segmenterRow,
  encode: encodeRow,
  decode: decodeRow,
}
