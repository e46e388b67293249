/**
 * Vector quantisation with a codebook of unit vectors that moves by exponential averages (BEiT v2, Peng et al. 2022, section 3.1; van den
 * Oord et al. 2017, appendix A.1): pure functions of vectors and codebook. The codebook is state: no gradient reaches it. As published, a
 * code that is never used stays where it is; reviving it is the caller's choice (`revived`). Distances are in float32 whatever the precision.
 */
import { call } from '../tensor/call.ts'
import { noGrad, withoutAutocast } from '../tensor/context.ts'
import {
  add,
  cat,
  detach,
  div,
  indexSelect,
  matmul,
  mean,
  mul,
  narrow,
  square,
  sub,
  sum,
  toDevice,
  toDtype,
  transpose,
  unsqueeze,
} from '../tensor/ops.ts'
import { segment } from '../tensor/recompute.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'

/** Rows divided by their length: x / max(‖x‖, 1e-12). */
export const unitRows = (x: Tensor): Tensor =>
  div(x, call('clamp_min', call('norm.ScalarOpt_dim', x, 2, [-1], true), 1e-12))

/** Similarities that are computed at a time: 64 MB. */
const AT_ONCE = 2 ** 24

/** The code of least distance to each unit vector, [M, E] and [K, E] → int64 [M]. The length of a vector changes no order. */
export function nearestCodes(vectors: Tensor, codebook: Tensor, atOnce = AT_ONCE): Tensor {
  const [M, K] = [vectors.shape[0]!, codebook.shape[0]!]
  return noGrad(() =>
    scope(() => {
      const halves = mul(call('sum.dim_IntList', square(codebook), [1], false, null), 0.5)
      const codes = transpose(codebook, 0, 1)
      const of = (x: Tensor) => call('argmax', sub(matmul(x, codes), halves), 1, false)
      const size = Math.max(1, Math.floor(atOnce / K))
      if (M <= size) return of(vectors)
      const parts: Tensor[] = []
      for (let first = 0; first < M; first += size)
        parts.push(scope(() => of(narrow(vectors, 0, first, Math.min(size, M - first)))))
      return cat(parts, 0)
    }),
  )
}

/** How often each of K codes is used, and the sum of its vectors. */
export interface Uses {
  /** [K], float32 */
  readonly uses: Tensor
  /** [K, E] */
  readonly sums: Tensor
}

/** The gradient of looking codes up in a table: it has a fixed order of addition on every device. */
export const usesOf = (vectors: Tensor, codes: Tensor, count: number): Uses => ({
  uses: toDtype(call('bincount', codes, null, count), 'float32'),
  sums: call('embedding_dense_backward', vectors, codes, count, -1, false),
})

export interface Quantized extends Uses {
  /** [M, E] */
  readonly unit: Tensor
  /** int64 [M] */
  readonly codes: Tensor
  /** [M, E] the codes' vectors; their gradient is that of the unit vectors (straight through). */
  readonly quantized: Tensor
  /** The mean of (z − e)², without its factor; its gradient reaches the vectors alone. */
  readonly commitment: Tensor
}

/** Vectors [M, E], before they are made unit vectors, by the codebook [K, E]. */
export const quantize = (vectors: Tensor, codebook: Tensor): Quantized =>
  withoutAutocast(vectors.device, () =>
    scope(() => {
      // A segment, since two things read it: the commitment and what is rebuilt.
      const [unit] = segment([vectors], ([x]) => [unitRows(toDtype(x!, 'float32'))]) as [Tensor]
      const { codes, chosen, difference, ...found } = noGrad(() => {
        const codes = nearestCodes(unit, codebook)
        const chosen = indexSelect(codebook, 0, codes)
        const fixed = detach(unit)
        return {
          ...{ codes, chosen, difference: sub(chosen, fixed) },
          ...usesOf(fixed, codes, codebook.shape[0]!),
        }
      })
      const commitment = mean(square(sub(unit, chosen)))
      return { unit, codes, quantized: add(unit, difference), commitment, ...found }
    }),
  )

/** A codebook and its use: an average of uses a step, which nothing learns from. */
export interface Codebook {
  /** [K, E], unit rows. */
  readonly codebook: Tensor
  /** [K] */
  readonly counts: Tensor
}

export const countsAfter = (counts: Tensor, uses: Tensor, decay: number): Tensor =>
  add(mul(counts, decay), mul(uses, 1 - decay))

const meansOf = ({ uses, sums }: Uses, codebook: Tensor): Tensor => {
  const used = unsqueeze(uses, 1)
  const means = unitRows(div(sums, call('clamp_min', used, 1)))
  return call('where.self', call('gt.Scalar', used, 0), means, codebook)
}

/** The codebook after a step: each code that was used moves towards the mean of its vectors. */
export const codebookAfter = ({ codebook, counts }: Codebook, used: Uses, decay: number): Codebook =>
  noGrad(() =>
    scope(() => ({
      codebook: unitRows(add(mul(codebook, decay), mul(meansOf(used, codebook), 1 - decay))),
      counts: countsAfter(counts, used.uses, decay),
    })),
  )

/** Spherical k-means of unit vectors [M, E] from starting means [K, E]; an empty cluster keeps its mean. */
export const kMeans = (vectors: Tensor, start: Tensor, rounds: number): Codebook =>
  noGrad(() =>
    scope(() => {
      let found: Codebook = { codebook: start, counts: start }
      for (let round = 0; round < rounds; round++)
        found = scope(() => {
          const used = usesOf(vectors, nearestCodes(vectors, found.codebook), start.shape[0]!)
          return { codebook: meansOf(used, found.codebook), counts: used.uses }
        })
      return found
    }),
  )

/** Rows of `vectors` by their numbers. */
export const rowsOf = (vectors: Tensor, numbers: readonly number[]): Tensor =>
  scope(() =>
    indexSelect(
      vectors,
      0,
      toDevice(fromArray(BigInt64Array.from(numbers, BigInt), [numbers.length], 'int64'), vectors.device),
    ),
  )

/**
 * How a codebook is used, from its counts: the perplexity, exp of the entropy of their shares, which is the number of codes if all are used
 * alike; and how many codes were used at least once in the last 1 / (1 − decay) steps.
 */
export const healthOf = (
  counts: Tensor,
  decay: number,
): { readonly perplexity: Tensor; readonly inUse: Tensor } =>
  noGrad(() =>
    scope(() => {
      const shares = div(counts, call('clamp_min', sum(counts), 1e-12))
      const once = (1 - decay) * decay ** (1 / (1 - decay))
      return {
        perplexity: call('exp', mul(sum(call('xlogy.Tensor', shares, shares)), -1)),
        inUse: sum(toDtype(call('ge.Scalar', counts, once), 'float32')),
      }
    }),
  )

/**
 * A codebook in which the codes that are used less than `least` of the mean are put where vectors are: on `candidates`, in their order. Each
 * counts as one of mean use then, so that it has time to be used. Not in the published method, whose unused codes stay where they are.
 */
export const revived = (
  { codebook, counts }: Codebook,
  { candidates, least }: { readonly candidates: Tensor; readonly least: number },
): Codebook =>
  noGrad(() =>
    scope(() => {
      const usual = mean(counts)
      const isDead = call('lt.Tensor', counts, mul(usual, least))
      return {
        codebook: call('where.self', unsqueeze(isDead, 1), candidates, codebook),
        counts: call('where.self', isDead, usual, counts),
      }
    }),
  )
