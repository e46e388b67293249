/** Targets with a vector per token, as most but pixels. */
import { SherdError } from '../errors.ts'
import type { HeadWidths } from '../model/decoder/heads.ts'
import type { Weights } from '../model/parameters.ts'
import { pick } from '../model/stem/patch-embedding.ts'
import { cat, reshape, sum, toDtype } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { meanError } from './band-pixels.ts'
import type { Showing } from './showing.ts'
import type { Seen, Target } from './target.ts'

export interface TokenTarget {
  readonly part: string
  readonly widths: HeadWidths
  /** The values of all tokens: [B, places, W] by head. */
  of(seen: Seen, weights: Weights): readonly Tensor[]
  /** [n, W] in float32, and the wanted values → the error of each token [n]. */
  error(predicted: Tensor, wanted: Tensor): Tensor
  /** Default: as errors. */
  readonly shows?: Exclude<Showing, { readonly kind: 'pixels' }>
  /** Of predictions and wanted values what is drawn, such as a code of its logits; default: as they are. */
  readonly drawn?: { said?(x: Tensor): Tensor; wanted?(x: Tensor): Tensor }
}

/** Values by head: of all tokens [B, places, W], and of hidden ones [n, W]. */
export interface TokenValues {
  readonly all: readonly Tensor[]
  readonly wanted: readonly Tensor[]
}

function expectWhole({ cut }: Seen, part: string): void {
  if (cut.valid)
    throw new SherdError(
      'VALUE',
      `target.kind ${part}: it is not known of pixels without data. Leave samples with gaps out with data.minValid 1.`,
    )
}

const asIs = (x: Tensor) => x
const joined = (parts: readonly Tensor[]) => (parts.length === 1 ? parts[0]! : cat(parts, 2))

/** The loss is the mean error of hidden tokens. Throws `VALUE` for views with missing data. */
export function tokenTarget({
  part,
  widths,
  of,
  error,
  shows = { kind: 'errors' },
  drawn: { said: drawSaid = asIs, wanted: drawWanted = asIs } = {},
}: TokenTarget): Target<TokenValues> {
  const errorOf = (predicted: Tensor, wanted: Tensor) => error(toDtype(predicted, 'float32'), wanted)
  const eachOf = (predictions: readonly Tensor[], wanted: readonly Tensor[]) =>
    predictions.map((predicted, g) => errorOf(predicted, wanted[g]!))
  return {
    ...{ part, widths, reads: 'hidden', shows, chance: null },
    of: (asked, weights) => {
      expectWhole(asked, part)
      const all = of(asked, weights)
      return { all, wanted: asked.routes().map((route, g) => pick(all[g]!, route)) }
    },
    loss(predictions, { wanted }) {
      const errors = eachOf(predictions, wanted).map((each) => ({ sum: sum(each), count: each.shape[0]! }))
      return { [part]: { mean: meanError(errors), weight: 1 } }
    },
    each: (predictions, { wanted }) => eachOf(predictions, wanted),
    whole: joined,
    drawn(predictions, seen, weights) {
      expectWhole(seen, part)
      return {
        wanted: joined(of(seen, weights).map(drawWanted)),
        said: joined(predictions.map((predicted) => drawSaid(toDtype(predicted, 'float32')))),
      }
    },
    errors(predictions, seen, weights) {
      expectWhole(seen, part)
      const wanted = of(seen, weights)
      const flat = (x: Tensor) => reshape(x, [x.shape[0]! * x.shape[1]!, x.shape[2]!])
      const each = predictions.map((predicted, g) =>
        reshape(errorOf(flat(predicted), flat(wanted[g]!)), predicted.shape.slice(0, 2)),
      )
      return each.length === 1 ? each[0]! : cat(each, 1)
    },
  }
}
