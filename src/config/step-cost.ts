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

/** The products of the forward pass of one image. */
const products: { readonly [O in ObjectiveName]: Products<O> } = {
  mae: (config) => matrixProducts(autoencoderOf(config), config.mask.ratio, tokensPerLocation(config)),
  simmim: withMaskTokens,
  maskfeat: withMaskTokens,
}

export const stepProducts = (config: Config): MatrixProduct[] =>
  (products[config.objective] as Products<ObjectiveName>)(config)

/** Floating-point operations of a training step for each image. */
export const stepFlops = (config: Config): number => productsFlops(stepProducts(config))
