/**
 * The second head of BEiT v2 (Peng et al. 2022, section 3.3): blocks of its own on the cls token of the last block and the patches of an early
 * one, so that cls has to know the picture.
 */
import { SherdError } from '../errors.ts'
import { type EncoderDimensions, prefixOf } from './dimensions.ts'

export interface EarlyHead {
  /** The number of blocks behind which it reads the patches. */
  readonly layers: number
  /** Of its own. */
  readonly depth: number
  /** Whether its norm and its linear map are those of the first head. */
  readonly shared: boolean
}

/** The ninth of twelve blocks, as published. */
export const usualEarlyLayers = (depth: number): number => Math.max(1, Math.round((3 * depth) / 4))

/** Throws `VALUE` where it does not fit the encoder. */
export function checkEarlyHead({ layers, depth }: EarlyHead, d: EncoderDimensions): void {
  const refuse = (what: string) => {
    throw new SherdError('VALUE', what)
  }
  if (!(Number.isInteger(layers) && layers >= 1 && layers <= d.depth))
    refuse(`early.layers: expected a block from 1 to model.depth, ${d.depth}, got ${layers}`)
  if (!(Number.isInteger(depth) && depth >= 1)) refuse(`early.depth: expected at least 1 block, got ${depth}`)
  if (!prefixOf(d).some(({ kind }) => kind === 'cls'))
    refuse('The second head of BEiT v2 reads the cls token: expected model.cls true')
}
