/**
 * Imports a model for other channels than its file has, on request: the patch embedding is inflated by `model/inflate.ts`, and the decoder's
 * outputs are assigned to the new channels.
 */

import { bandsOf } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { bandShares, mixBands } from '../model/inflate.ts'
import type { ParameterRow } from '../model/parameters.ts'
import { channelNames } from '../source/raster/band-names.ts'
import type { ForeignModel } from './foreign-model.ts'
import type { ForeignParameter } from './foreign-parameter.ts'

/** Canonical names of the channels. */
export interface ChannelChange {
  readonly from: readonly string[]
  readonly to: readonly string[]
}

/** Throws `USAGE` for other channels than the file's without --inflate, or with groups. */
export function expectChannels(
  { config: said }: ForeignModel,
  { data, model }: ConfigInput,
  inflate: boolean,
): void {
  const channels = said.model?.channels // undefined for a file with groups
  if (channels === undefined ? inflate : model?.groups)
    throw new SherdError(
      'USAGE',
      'An embedding of other groups of bands is made where a run begins: import the file as it is, then pretrain with --init.',
    )
  const wanted = data?.bands?.length ?? model?.channels
  if (channels === undefined || wanted === undefined || wanted === channels || inflate) return
  throw new SherdError(
    'USAGE',
    `The file's images have ${channels} channels, and ${wanted} are asked for: --inflate makes an embedding of them, in which a channel that both know keeps its kernel and others get the mean.`,
  )
}

/** From the file's channels to the configuration's; null if they are equal, or in groups. */
export function channelChange({ config: said }: ForeignModel, config: Config): ChannelChange | null {
  const count = said.model?.channels
  if (count === undefined) return null
  const from = channelNames(said.data?.bands ?? null, count)
  const to = channelNames(bandsOf(config), config.model.channels)
  return from.join() === to.join() ? null : { from, to }
}

/** The parameter for the new channels; null if it does not depend on channels. */
export function inflated(
  { name, shape }: ParameterRow,
  found: ForeignParameter,
  { from, to }: ChannelChange,
): { readonly read: () => Promise<Float32Array>; readonly why: string } | null {
  const isEmbedding = name === 'patch_embed.proj.weight' // [D, C, P, P]
  if (!isEmbedding && !name.startsWith('decoder_pred.')) return null // [P·P·C, Dd] and [P·P·C], channels last
  // The embedding sums over bands and keeps its scale; each predicted value belongs to one band.
  const known = from.map((band) => ({ band, shared: isEmbedding ? from.length : to.length }))
  const shares = bandShares(known, to)
  const outer = isEmbedding ? shape[0]! : shape[0]! / to.length
  const kept = to.filter((band) => from.includes(band)).length
  return {
    read: async () => mixBands(await found.read(), { outer, shares }),
    why: `inflated from ${from.length} to ${to.length} channels: ${kept} have their own, ${to.length - kept} the mean of all`,
  }
}
