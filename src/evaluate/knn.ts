/**
 * Weighted kNN classification (Wu et al. 2018, section 3.4, as in DINO): the `k` training vectors of largest cosine similarity s vote
 * for their class with weight exp(s / T).
 */
import { SherdError } from '../errors.ts'
import { type Breath, unwatched } from '../files/pieces.ts'
import { call, callMany } from '../tensor/call.ts'
import { noGrad } from '../tensor/context.ts'
import { div, matmul, narrow, toDevice, transpose } from '../tensor/ops.ts'
import { disposeAll, scope, unscoped } from '../tensor/scope.ts'
import { type Device, type Tensor, tensor, toArray, toFloats } from '../tensor/tensor.ts'
import type { Labelled } from './labelled-features.ts'

export interface KnnOptions {
  readonly neighbours: readonly number[]
  /** T */
  readonly temperature: number
  readonly device: Device
}

/** As in DINO (Caron et al. 2021). */
export const knnDefaults = { neighbours: [10, 20, 100, 200], temperature: 0.07 } as const

const ROWS = 512 // test vectors per matrix product

const unit = (x: Tensor): Tensor =>
  div(x, call('clamp_min', call('linalg_vector_norm', x, 2, [-1], true), 1e-12))

/** Votes [test images, classes] for each k. Throws `VALUE` if there are fewer training images. */
export async function knnVotes(
  train: Labelled,
  test: Labelled,
  classes: number,
  { neighbours, temperature, device }: KnnOptions,
  breath: Breath = unwatched,
): Promise<Map<number, Float64Array>> {
  const most = Math.max(...neighbours)
  if (most > train.count)
    throw new SherdError(
      'VALUE',
      `${most} neighbours were asked for, but there are ${train.count} training images. Take fewer with --neighbours.`,
    )
  const votes = new Map(neighbours.map((k) => [k, new Float64Array(test.count * classes)]))
  const load = ({ vectors, count, width }: Labelled) =>
    unit(toDevice(tensor(vectors, [count, width]), device))
  const [known, asked] = noGrad(() =>
    unscoped(() => scope(() => [transpose(load(train), 0, 1), load(test)] as const)),
  )
  try {
    for (let first = 0; first < test.count; first += ROWS) {
      const rows = Math.min(ROWS, test.count - first)
      noGrad(() =>
        scope(() => {
          const similar = matmul(narrow(asked, 0, first, rows), known) // [rows, train]
          const [values, places] = callMany('topk', similar, most, -1, true, true) as [Tensor, Tensor]
          const [weights, which] = [toFloats(values), toArray(places) as BigInt64Array]
          for (let row = 0; row < rows; row++)
            for (const [k, all] of votes)
              for (let i = 0; i < k; i++) {
                const label = train.labels[Number(which[row * most + i])]!
                all[(first + row) * classes + label]! += Math.exp(weights[row * most + i]! / temperature)
              }
        }),
      )
      await breath((first + rows) / test.count)
    }
  } finally {
    disposeAll([known, asked])
  }
  return votes
}
