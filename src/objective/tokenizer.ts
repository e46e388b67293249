/**
 * What tokenizers share that are trained here: a vector for each place, a codebook (`quantizer.ts`), and something that is rebuilt from the
 * codes' vectors. The loss is its error and the commitment. They differ in their two halves and in what they rebuild.
 */
import { SherdError } from '../errors.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import {
  type Codebook,
  codebookAfter,
  healthOf,
  kMeans,
  nearestCodes,
  quantize,
  revived,
  rowsOf,
  unitRows,
} from '../model/quantizer.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { View } from '../prepare/view.ts'
import { draws } from '../random/draws.ts'
import type { Shown } from '../target/showing.ts'
import type { Target } from '../target/target.ts'
import { call } from '../tensor/call.ts'
import { noGrad, withoutAutocast } from '../tensor/context.ts'
import { cat, indexSelect, mul, reshape, toDtype, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { layoutTokens, type TokenLayout } from '../token/layout.ts'
import type { ImageObjective } from './image-objective.ts'

export interface CodebookOptions {
  /** K */
  readonly size: number
  /** E, the numbers of a code. */
  readonly width: number
  /** Share of a code that stays in a step. */
  readonly decay: number
  /** β, the factor of the commitment. */
  readonly commitment: number
  /** Codes that are used less than this share of the mean are put where vectors are; null: none, as published. */
  readonly revive: number | null
}

/** The halves of a tokenizer. */
export interface Halves {
  /** All but the codebook. */
  readonly rows: readonly ParameterRow[]
  readonly encoder: { readonly prefix: string }
  readonly groups?: readonly GroupRow[]
  readonly imageSize: readonly [height: number, width: number]
  readonly layout: TokenLayout
  /** [B, N, E], of any length. */
  vectors(view: View, weights: Weights): Tensor
  /** From the vectors of codes [B, N, E]. */
  decode(vectors: Tensor, weights: Weights): Tensor
  /** The mean error of what was decoded, a float32 scalar. */
  error(decoded: Tensor, view: View, weights: Weights): Tensor
  /** Of what was decoded, for pictures. */
  shown(decoded: Tensor, view: View, weights: Weights): Shown
  readonly frozen?: NonNullable<Target['frozen']>
  /** What is decoded: images [B, C, H, W], or features [B, N, W]. */
  readonly decodes: 'pixels' | 'features'
}

/** [B, N] each. */
export interface Encoding {
  readonly codes: Tensor
  readonly similarity: Tensor
}

export interface TokenizerObjective extends ImageObjective<null, never> {
  readonly layout: TokenLayout
  /** K */
  readonly codes: number
  readonly decodes: Halves['decodes']
  /** [B, N] int64. */
  encode(view: View, weights: Weights): Tensor
  /** The same, with the cosine [B, N] of each patch to its code. */
  encodeWithSimilarity(view: View, weights: Weights): Encoding
  /** Of codes [B, N] int64; see `decodes`. */
  decode(codes: Tensor, weights: Weights): Tensor
}

export const isTokenizer = (objective: ImageObjective): objective is TokenizerObjective =>
  'decodes' in objective

/** Names of the authors' checkpoints. */
const names = { codebook: 'quantize.embedding.weight', counts: 'quantize.cluster_size' } as const
const ROUNDS = 10 // of k-means, as published
/** Below this share of the codes the perplexity is an alarm. */
const COLLAPSED = 0.05

const collapse = (size: number, decodes: Halves['decodes']) =>
  `the codebook collapses: only a few of its ${size} codes are used. What helps: ${decodes === 'features' ? "target.standardize=true, which takes away what all of the teacher's tokens have in common; " : ''}codebook.revive=0.1, which puts unused codes onto vectors of the step; a smaller learning rate or a longer warm-up; fewer codes (codebook.size); a larger batch`

/** Throws `CONFIG` where the first step has fewer patches than there are codes. */
function expectEnough(patches: number, size: number, images: number): void {
  if (patches < size)
    throw new SherdError(
      'CONFIG',
      `codebook.size ${size}: the ${images} images of the first step have ${patches} patches, from which the codes begin. Expected at most so many codes: set codebook.size lower, train.batchSize or train.accumulate higher, or take more images.`,
    )
}

/** Throws `VALUE` for a codebook that cannot be. */
function checkCodebook({ size, width, decay, commitment, revive }: CodebookOptions): void {
  const isCount = (n: number) => Number.isInteger(n) && n >= 1
  if (!isCount(width) || !isCount(size) || size < 2)
    throw new SherdError(
      'VALUE',
      `codebook: expected at least 2 codes of at least 1 number, got ${size} of ${width}`,
    )
  if (!(decay > 0 && decay < 1) || !(commitment > 0))
    throw new SherdError(
      'VALUE',
      `codebook: expected a decay between 0 and 1 and a positive commitment, got ${decay} and ${commitment}`,
    )
  if (revive !== null && !(revive > 0 && revive < 1))
    throw new SherdError('VALUE', `codebook.revive: expected a share between 0 and 1, got ${revive}`)
}

export function tokenizer(halves: Halves, codebook: CodebookOptions): TokenizerObjective {
  checkCodebook(codebook)
  const { size, width, decay, commitment: beta, revive } = codebook
  const { layout, imageSize, decodes, frozen, groups } = halves
  const N = layoutTokens(layout)
  const stateOf = (weights: Weights): Codebook => ({
    codebook: weights(names.codebook),
    counts: weights(names.counts),
  })
  const flat = (x: Tensor) => reshape(x, [-1, width])
  const unitVectors = (view: View, weights: Weights) =>
    noGrad(() => {
      const vectors = halves.vectors(view, weights)
      return withoutAutocast(vectors.device, () => unitRows(flat(toDtype(vectors, 'float32'))))
    })
  const picked = (
    vectors: Tensor,
    { seed, stream, index }: { seed: number; stream: string; index: number },
  ) => {
    const order = draws({ seed, stream, epoch: 0, index }).permutation(vectors.shape[0]!)
    return rowsOf(
      vectors,
      Array.from({ length: size }, (_, code) => order[code % order.length]!),
    )
  }

  const encoding = (view: View, weights: Weights): Encoding =>
    noGrad(() =>
      scope(() => {
        const [vectors, codebook] = [unitVectors(view, weights), weights(names.codebook)]
        const codes = nearestCodes(vectors, codebook)
        const cosines = call(
          'sum.dim_IntList',
          mul(vectors, indexSelect(codebook, 0, codes)),
          [1],
          false,
          null,
        )
        const shape = [view.pixels.shape[0]!, N]
        return { codes: reshape(codes, shape), similarity: reshape(cosines, shape) }
      }),
    )
  const decoded = (codes: Tensor, weights: Weights): Tensor =>
    noGrad(() =>
      scope(() => {
        const vectors = indexSelect(weights(names.codebook), 0, reshape(codes, [-1]))
        return halves.decode(reshape(vectors, [...codes.shape, width]), weights)
      }),
    )

  return {
    rows: [
      ...halves.rows,
      { name: names.codebook, shape: [size, width], initial: 'token', role: 'state' },
      { name: names.counts, shape: [size], initial: 'zeros', role: 'state' },
    ],
    ...{ layout, decodes, codes: size, tokens: N, encoder: halves.encoder },
    ...{ ...(frozen && { frozen }), ...(groups && { groups }) },
    views: { image: { kind: 'crop', count: 1, size: [...imageSize] } },
    metrics: [
      { name: 'reconstruction', kind: 'loss', unit: '' },
      { name: 'commit', kind: 'loss', unit: '' },
      { name: 'codesInUse', kind: 'health', unit: 'codes' },
      {
        ...{ name: 'perplexity', kind: 'health', unit: 'codes' },
        alarm: { below: COLLAPSED * size, forSteps: 200, text: collapse(size, decodes) },
      },
    ],
    plan: () => null,
    stats: { uses: 'sum', sums: 'sum', ...(revive !== null && { vectors: 'rows' as const }) },
    loss: (weights, { image }) =>
      scope(() => {
        const vectors = halves.vectors(image, weights)
        const state = stateOf(weights)
        const { quantized, commitment, uses, sums, unit } = quantize(flat(vectors), state.codebook)
        const decoded = halves.decode(reshape(quantized, vectors.shape), weights)
        const { perplexity, inUse } = healthOf(state.counts, decay)
        return {
          parts: {
            reconstruction: { mean: halves.error(decoded, image, weights), weight: 1 },
            commit: { mean: mul(commitment, beta), weight: 1 },
          },
          stats: { uses, sums, ...(revive !== null && { vectors: unit }) },
          metrics: { codesInUse: inUse, perplexity },
        }
      }),
    first: (weights, batches, at) =>
      scope(() => {
        const vectors = at.collective.gather(
          cat(
            batches.map(({ batch }) => scope(() => unitVectors(batch.image, weights))),
            0,
          ),
        )
        const images = new Set(Array.from(at.samples.indices)).size * at.collective.world
        expectEnough(Math.min(vectors.shape[0]!, images * N), size, images)
        const start = picked(vectors, { seed: at.seed, stream: 'codebook', index: 0 })
        const found = kMeans(vectors, start, ROUNDS)
        return { [names.codebook]: found.codebook, [names.counts]: found.counts }
      }),
    update: (weights, { uses, sums, vectors }, at) =>
      scope(() => {
        const moved = codebookAfter(stateOf(weights), { uses: uses!, sums: sums! }, decay)
        const candidates = () => picked(vectors!, { seed: at.seed, stream: 'revive', index: at.step })
        const next = revive === null ? moved : revived(moved, { candidates: candidates(), least: revive })
        return { [names.codebook]: next.codebook, [names.counts]: next.counts }
      }),
    show: (weights, { image }) =>
      scope(() => {
        const { codes } = encoding(image, weights)
        return {
          ...{ hidden: null, predicted: null },
          shown: [
            { kind: 'codes', codes: size, wanted: unsqueeze(codes, 2), said: null },
            halves.shown(decoded(codes, weights), image, weights),
          ],
        }
      }),
    encode: (view, weights) => scope(() => encoding(view, weights).codes),
    encodeWithSimilarity: encoding,
    decode: decoded,
  }
}
