/**
 * Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): an image becomes a mixture with its partner, and so does its label.
 * Partners are neighbours in the stream of samples (rows 2j and 2j + 1), so a mixture depends on the samples' addresses, and
 * not on the batch. One of the two ways is drawn for each sample, each with its own share.
 */
import { betaDraw } from '../../random/beta.ts'
import { draws } from '../../random/draws.ts'
import type { Size } from '../../source/box.ts'
import { call } from '../../tensor/call.ts'
import { add, arange, indexSelect, mul, reshape, toDevice } from '../../tensor/ops.ts'
import { scope } from '../../tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../tensor/tensor.ts'

export interface MixOptions {
  /** α of mixup's share; 0 for none. */
  readonly mixup: number
  /** α of CutMix's share; 0 for none. */
  readonly cutmix: number
  readonly seed: number
}

export interface Mix {
  /** [B] The row of the partner; the row itself without one. */
  readonly partners: Int32Array
  /** [B] Share of the row's own label. */
  readonly shares: Float32Array
  /** [B, 4] top, left, bottom, right of what its partner's pixels replace; empty for mixup. */
  readonly boxes: Float32Array
}

/** A box of about `1 − share` of the image around a random point, cut off at the borders. */
function cutBox(
  share: number,
  { height, width }: Size,
  uniform: () => number,
): [number, number, number, number] {
  const side = Math.sqrt(1 - share)
  const [h, w] = [Math.floor(height * side), Math.floor(width * side)]
  const [y, x] = [Math.floor(uniform() * height), Math.floor(uniform() * width)]
  const clip = (value: number, most: number) => Math.min(most, Math.max(0, value))
  return [
    clip(y - (h >> 1), height),
    clip(x - (w >> 1), width),
    clip(y - (h >> 1) + h, height),
    clip(x - (w >> 1) + w, width),
  ]
}

/** Draws the mixtures of a batch, each a pure function of (seed, epoch, index) of its sample. */
export function drawMix(
  { mixup, cutmix, seed }: MixOptions,
  { epochs, indices }: { readonly epochs: ArrayLike<number>; readonly indices: ArrayLike<number> },
  image: Size,
): Mix {
  const B = indices.length
  const mix: Mix = {
    partners: Int32Array.from({ length: B }, (_, i) => ((i ^ 1) < B ? i ^ 1 : i)),
    shares: new Float32Array(B).fill(1),
    boxes: new Float32Array(4 * B),
  }
  if (mixup === 0 && cutmix === 0) return mix
  for (let i = 0; i < B; i++) {
    if (mix.partners[i] === i) continue
    const own = draws({ seed, stream: 'mix', epoch: epochs[i]!, index: indices[i]! })
    const cuts = mixup === 0 || (cutmix > 0 && own.uniform() < 0.5)
    const share = betaDraw(own, cuts ? cutmix : mixup)
    if (!cuts) mix.shares[i] = share
    else {
      const box = cutBox(share, image, () => own.uniform())
      mix.boxes.set(box, 4 * i)
      mix.shares[i] = 1 - ((box[2] - box[0]) * (box[3] - box[1])) / (image.height * image.width)
    }
  }
  return mix
}

/** Mixes images [B, C, H, W] on their device. */
export function mixImages(images: Tensor, { partners, shares, boxes }: Mix): Tensor {
  return scope(() => {
    const { device } = images
    const [B, , H, W] = images.shape as [number, number, number, number]
    const column = (values: Float32Array | number[]) => toDevice(tensor(values, [B, 1, 1, 1]), device)
    const edge = (which: number) => column(Array.from({ length: B }, (_, i) => boxes[4 * i + which]!))
    const rows = reshape(arange(H, { dtype: 'float32', device }), [1, 1, H, 1])
    const columns = reshape(arange(W, { dtype: 'float32', device }), [1, 1, 1, W])
    const within = (x: Tensor, from: number, to: number) =>
      call('logical_and', call('ge.Tensor', x, edge(from)), call('lt.Tensor', x, edge(to)))
    const isCut = call('logical_and', within(rows, 0, 2), within(columns, 1, 3)) // [B, 1, H, W]
    // Outside of a box a cut image is its own; a mixed one is its share everywhere.
    const outside = column(Array.from(shares, (share, i) => (boxes[4 * i + 2]! > boxes[4 * i]! ? 1 : share)))
    const own = call('masked_fill.Scalar', call('expand', outside, [B, 1, H, W]), isCut, 0)
    const which = fromArray(BigInt64Array.from(partners, BigInt), [B], 'int64')
    const others = indexSelect(images, 0, toDevice(which, device))
    return add(mul(images, own), mul(others, add(mul(own, -1), 1)))
  })
}

/**
 * What is asked of each row: class probabilities [B, classes]. Label smoothing (Szegedy et al. 2016) gives every class
 * `smoothing / classes`.
 */
export function mixTargets(
  labels: Int32Array,
  { partners, shares }: Mix,
  { classes, smoothing }: { classes: number; smoothing: number },
): Float32Array {
  const targets = new Float32Array(labels.length * classes).fill(smoothing / classes)
  for (const [i, label] of labels.entries()) {
    targets[i * classes + label]! += (1 - smoothing) * shares[i]!
    targets[i * classes + labels[partners[i]!]!]! += (1 - smoothing) * (1 - shares[i]!)
  }
  return targets
}
