/** What a training step of each objective computes, from its configuration. */

import { gridOfModel } from '../model/dimensions.ts'
import {
  convolutionalProducts,
  ijepaProducts,
  type MatrixProduct,
  matrixProducts,
  productsFlops,
  teacherProducts,
  vqkdProducts,
} from '../model/flops.ts'
import { targetOf } from '../target/targets.ts'
import { sidesOf } from '../token/grid.ts'
import { meanRatio } from '../token/mask-ratio.ts'
import { blocksOfStep } from '../token/multi-block.ts'
import {
  autoencoderOf,
  dimensionsOf,
  earlyHeadOf,
  effectiveBatch,
  targetKeysOf,
  tokensPerLocation,
} from './resolve.ts'
import type { Config } from './schema.ts'
import type { MaskTokenName, ObjectiveName } from './tables.ts'

type Products<O extends ObjectiveName> = (config: Config<O>) => MatrixProduct[]

/** An encoder of all tokens and one linear head. */
const withMaskTokens: Products<MaskTokenName> = (config) =>
  matrixProducts(
    { encoder: dimensionsOf(config), decoder: null },
    meanRatio(config.mask),
    tokensPerLocation(config),
  )

/** With the blocks of the second head, and its linear map. */
const withEarlyHead: Products<'beitv2'> = (config) => {
  const own = withMaskTokens(config)
  const { depth } = earlyHeadOf(config)
  const blocks = own.filter(({ name }) => name.startsWith('blocks.'))
  return [
    ...own,
    ...blocks.map((product) => ({
      ...product,
      name: product.name.replace('blocks.', 'cls_pt_layers.'),
      count: (product.count / config.model.depth) * depth,
    })),
    ...own.filter(({ name }) => name === 'decoder_pred'),
  ]
}

/** An encoder of seen tokens and a decoder. */
const withDecoder: Products<'mae' | 'crossmae'> = (config) =>
  matrixProducts(autoencoderOf(config), meanRatio(config.mask), tokensPerLocation(config))

/** The products of the forward pass of one image. */
const products: { readonly [O in ObjectiveName]: Products<O> } = {
  mae: withDecoder,
  simmim: withMaskTokens,
  maskfeat: withMaskTokens,
  beit: withMaskTokens,
  beitv2: withEarlyHead,
  crossmae: withDecoder,
  data2vec: withMaskTokens,
  ijepa(config) {
    const { blocks: shape, predictor } = config
    const encoder = dimensionsOf(config)
    const grid = gridOfModel(encoder)
    const { sizes, kept } = blocksOfStep(grid, shape, { seed: 0, step: 0, rows: effectiveBatch(config) })
    const { rows, columns } = sizes.target
    return ijepaProducts(encoder, { ...shape, predictor, kept, patches: rows * columns })
  },
  vqkd: (config) =>
    vqkdProducts(dimensionsOf(config), {
      ...config.codebook,
      features: config.target.width ?? config.model.width,
    }),
  'vq-pixels': (config) => {
    const { patchSize, ...model } = config.model
    return convolutionalProducts(
      {
        ...{ ...model, patchSize: sidesOf(patchSize), between: config.codebook.width },
        depth: { encoder: model.depth, decoder: config.codebook.decoderDepth },
      },
      { imageSize: model.imageSize, codes: config.codebook.size },
    )
  },
}

/** Heads are as wide as the target says, where it is not the pixels. */
export function stepProducts(config: Config): MatrixProduct[] {
  const all = (products[config.objective] as Products<ObjectiveName>)(config)
  const keys = targetKeysOf(config)
  const isOfTeacher = keys?.kind === 'teacher'
  const columns = isOfTeacher ? config.model.width : keys && targetOf(keys).width
  const wide = columns ? all.map((each) => (each.name === 'decoder_pred' ? { ...each, columns } : each)) : all
  return isOfTeacher ? [...wide, ...teacherProducts(dimensionsOf(config), tokensPerLocation(config))] : wide
}

/** Floating-point operations of a training step for each image. */
export const stepFlops = (config: Config): number => productsFlops(stepProducts(config))
