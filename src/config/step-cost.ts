/** What a training step of each objective computes, from its configuration. */
import { type MatrixProduct, matrixProducts, productsFlops } from '../model/flops.ts'
import { autoencoderOf, dimensionsOf, tokensPerLocation } from './resolve.ts'
import type { Config } from './schema.ts'
import type { ObjectiveName } from './tables.ts'

type Products<O extends ObjectiveName> = (config: Config<O>) => MatrixProduct[]

/** An encoder of all tokens and one linear head. */
const withMaskTokens: Products<'simmim' | 'maskfeat'> = (config) =>
  matrixProducts(
    { encoder: dimensionsOf(config), decoder: null },
    config.mask.ratio,
    tokensPerLocation(config),
  )

/** An encoder of seen tokens and a decoder. */
const withDecoder: Products<'mae' | 'crossmae'> = (config) =>
  matrixProducts(autoencoderOf(config), config.mask.ratio, tokensPerLocation(config))

/** The products of the forward pass of one image. */
const products: { readonly [O in ObjectiveName]: Products<O> } = {
  mae: withDecoder,
  simmim: withMaskTokens,
  maskfeat: withMaskTokens,
  crossmae: withDecoder,
}

export const stepProducts = (config: Config): MatrixProduct[] =>
  (products[config.objective] as Products<ObjectiveName>)(config)

/** Floating-point operations of a training step for each image. */
export const stepFlops = (config: Config): number => productsFlops(stepProducts(config))
