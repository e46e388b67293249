/** The stem of pictures: patches of any height and width, in groups of bands and in frames (He et al. 2021; Cong et al. 2022). */
import type { View } from '../../prepare/view.ts'
import { narrow } from '../../tensor/ops.ts'
import { expectShape } from '../../tensor/shape.ts'
import type { Device, Tensor } from '../../tensor/tensor.ts'
import { tokenCount } from '../../token/grid.ts'
import { layoutTokens } from '../../token/layout.ts'
import { presentTokens } from '../../token/mask-design.ts'
import { patchifyGroups, patchifyValid } from '../../token/patchify.ts'
import { positionedLength } from '../../token/prefix.ts'
import { resamplePositions } from '../../token/resample-positions.ts'
import { openPositions, rowsOf } from '../../token/sample-positions.ts'
import {
  type BackboneShape,
  encoderWidths,
  groupsOf,
  layoutOf,
  learnedGridOf,
  positionOptions,
} from '../backbone-shape.ts'
import { prefixOf } from '../dimensions.ts'
import type { ParameterRow } from '../parameters.ts'
import { embedGroups, embedRows } from './patch-embedding.ts'
import type { CutInput, Stem } from './stem.ts'

/** A view cut into patches. */
export interface CutView extends CutInput {
  readonly view: View
  /** Of each group [B, places, P·P·|g|]. */
  readonly patches: readonly Tensor[]
  /** [B, places, P·P] 1 where there is data; null where it is everywhere. */
  readonly valid: Tensor | null
}

/** The parameters of the stem, which are known without a device. */
export const patchRows = (shape: BackboneShape): Pick<Stem<View, CutView>, 'embedding' | 'positioning'> => ({
  embedding: groupsOf(shape).flatMap(({ embed, bands }) => embedRows(embed, bands.length, shape.dimensions)),
  positioning: shape.positions === 'learned' ? [learnedPositions(shape)] : [],
})

const learnedPositions = (shape: BackboneShape): ParameterRow => ({
  name: 'pos_embed',
  shape: [
    positionedLength(prefixOf(shape.dimensions)) + tokenCount(learnedGridOf(shape)),
    shape.dimensions.width,
  ],
  initial: 'token',
})

export function openPatches(shape: BackboneShape, device: Device): Stem<View, CutView> {
  const { dimensions: d, frames } = shape
  const layout = layoutOf(shape)
  const groups = groupsOf(shape)
  const positionsOf =
    shape.positions === 'fixed' ? openPositions(positionOptions(shape), encoderWidths(shape), device) : null
  const change = { from: learnedGridOf(shape), to: layout.grid, by: shape.resampling ?? 'cubic' }
  return {
    ...patchRows(shape),
    layout,
    cut(view) {
      const [B] = expectShape(view.pixels, ['B', frames, d.channels, ...d.imageSize], 'images')
      const patches = patchifyGroups(
        view.pixels,
        groups.map(({ bands }) => bands),
        d.patchSize,
      )
      if (!view.valid) return { view, samples: B, patches, valid: null, present: null }
      expectShape(view.valid, [B, frames, ...d.imageSize], 'images: valid')
      const valid = patchifyValid(view.valid, d.patchSize)
      return { view, samples: B, patches, valid, present: presentTokens(valid, groups.length) }
    },
    embed({ patches }, which, weights, only = null) {
      const hasBias = d.variant?.patchBias ?? true
      if (only === null) return embedGroups(patches, which, groups, weights, hasBias)
      return embedGroups(
        only.map((g) => patches[g]!),
        which,
        only.map((g) => groups[g]!),
        ...[weights, hasBias],
      )
    },
    place({ view, samples }, which, weights) {
      if (positionsOf) {
        const where = positionsOf(view, samples)
        return { positions: where.table, kept: rowsOf(where, which) }
      }
      if (shape.positions === 'none') return { positions: null, kept: which }
      const [table, R] = [resamplePositions(weights('pos_embed'), change), positionedLength(prefixOf(d))]
      if (R === 0) return { positions: table, kept: which }
      return {
        positions: narrow(table, 0, R, layoutTokens(layout)),
        kept: which,
        prefixPositions: narrow(table, 0, 0, R),
      }
    },
  }
}
