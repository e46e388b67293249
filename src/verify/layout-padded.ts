/** SigLIP 2's batches of patches of images of any shape, which are padded to one number of tokens (NaFlex, Tschannen et al. 2025). */
import { learnedGridOf } from '../model/backbone-shape.ts'
import { encode } from '../model/encoder.ts'
import { weightsOf, within } from '../model/parameters.ts'
import { embedPatches } from '../model/stem/patch-embedding.ts'
import { inFloat32 } from '../tensor/context.ts'
import { add, cat, expand, narrow, toDevice, toDtype, unsqueeze } from '../tensor/ops.ts'
import { toArray } from '../tensor/tensor.ts'
import { resamplePositions } from '../token/resample-positions.ts'
import { type LayoutGiven, type LayoutOutputs, stacked, tapsOf } from './layout-given.ts'

/** `input.pixel_patches` [B, M, P·P·C], of which the first rows · columns of `input.spatial_shapes` [B, 2] are an image's; the others have position 0. */
export function outputsOfPadded({ encoder, tensors }: LayoutGiven, at: string): LayoutOutputs {
  const { shape, device, parameters } = encoder
  const d = shape.dimensions
  const input = (name: string) => toDevice(tensors.get(`input.${at}${name}`)!, device)
  const weights = weightsOf(parameters)
  const patches = input('pixel_patches')
  const [B, M] = patches.shape as readonly [number, number]
  const sides = [...(toArray(tensors.get(`input.${at}spatial_shapes`)!) as BigInt64Array)].map(Number)
  const positions = Array.from({ length: B }, (_, sample) => {
    const [h, w] = sides.slice(2 * sample, 2 * sample + 2) as [number, number]
    const change = { from: learnedGridOf(shape), to: { h, w }, by: shape.resampling ?? 'cubic' } as const
    const table = resamplePositions(weights('pos_embed'), change)
    const rest = expand(narrow(table, 0, 0, 1), [M - h * w, d.width])
    return unsqueeze(cat([table, rest], 0), 0)
  })
  const embedded = inFloat32(() =>
    embedPatches(patches, within(weights, 'patch_embed'), d.variant?.patchBias ?? true),
  )
  const present = toDtype(input('pixel_attention_mask'), 'float32')
  const { taps } = encode(add(embedded, cat(positions, 0)), weights, d, {
    ...{ present, norm: false, taps: tapsOf(d.depth) },
  })
  return { intermediate: stacked(taps.slice(0, d.depth)), attention: taps[d.depth]! }
}
