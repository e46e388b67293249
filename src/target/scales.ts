/** Multi-scale reconstruction of SatMAE++ (Noman et al. 2024): targets and losses of the larger images. */
import { SherdError } from '../errors.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import { gridOfModel } from '../model/dimensions.ts'
import type { Weights } from '../model/parameters.ts'
import { type BandGroup, pick } from '../model/stem/patch-embedding.ts'
import { type UpscaleShape, upscale, upscaleRows } from '../model/upscale.ts'
import type { View } from '../prepare/view.ts'
import { call } from '../tensor/call.ts'
import { abs, indexSelect, mean, reshape, sub, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { unpatchify } from '../token/patchify.ts'
import type { Route } from '../token/spectral-groups.ts'
import { inBandOrder } from './band-order.ts'
import { type BandPatches, bandError, meanError } from './band-pixels.ts'
import { patchesAt, pixelWidths } from './band-target.ts'
import type { Parts, Target, TargetSpace } from './target.ts'

export interface ScalesTarget {
  /** 2, then 4 …: each twice the one before. Training images are as much larger as the last says. */
  readonly scales: readonly number[]
  /** Channels between the convolutions. */
  readonly width: number
}

const WEIGHT = 0.5 // of each larger picture's mean absolute error, as in the paper's code

/** Throws `VALUE` for scales that are not 2, 4, …. */
export function checkScales({ scales, width }: ScalesTarget): void {
  if (scales.length === 0 || scales.some((scale, i) => scale !== 2 ** (i + 1)) || !(width >= 1))
    throw new SherdError(
      'VALUE',
      `target.scales: expected [2], [2, 4] or [2, 4, 8] …, each twice the one before, got ${JSON.stringify(scales)}`,
    )
}

const declared = (groups: readonly BandGroup[]) => groups.flatMap(({ bands }) => bands).sort((a, b) => a - b)

export const upscaleShape = (target: ScalesTarget, groups: readonly BandGroup[]): UpscaleShape => {
  checkScales(target)
  return { bands: declared(groups).length, width: target.width, doublings: target.scales.length }
}

const shrink = (pixels: Tensor, factor: number): Tensor => {
  if (factor === 1) return pixels
  const [B, T, C, H, W] = pixels.shape as readonly [number, number, number, number, number]
  const small = call(
    'avg_pool2d',
    reshape(pixels, [B * T, C, H, W]),
    [factor, factor],
    [factor, factor],
    [0, 0],
    false,
    true,
    null,
  )
  return reshape(small, [B, T, C, H / factor, W / factor])
}

/** A view of the model's size: the area means of a larger one. Throws `VALUE` where a larger one lacks data. */
export function atModelSize(view: View, { scales }: ScalesTarget, [height]: readonly [number, number]): View {
  const factor = view.pixels.shape[3]! / height
  if (factor === 1) return view
  const largest = scales.at(-1)!
  if (factor !== largest)
    throw new SherdError(
      'SHAPE',
      `target.scales: expected images of ${height} or ${height * largest} rows, got ${view.pixels.shape[3]}`,
    )
  if (view.valid)
    throw new SherdError(
      'VALUE',
      'target.scales: pixels without data cannot be shrunk. Leave such samples out with data.minValid 1, or train without target.scales.',
    )
  return { ...view, pixels: shrink(view.pixels, largest) }
}

/** What the larger pictures add to the loss, `scale2` …, from the predictions [B, places, P·P·|g|] of all groups everywhere. */
export function scalesLosses(
  parts: readonly Tensor[],
  { pixels }: Pick<View, 'pixels'>,
  { scales, width }: ScalesTarget,
  { shape, groups, weights }: { shape: BackboneShape; groups: readonly BandGroup[]; weights: Weights },
): Parts {
  return scope(() => {
    const { dimensions: d, frames } = shape
    const B = pixels.shape[0]!
    const rows = d.imageSize[0] * scales.at(-1)!
    if (pixels.shape[3] !== rows)
      throw new SherdError(
        'SHAPE',
        `target.scales: the loss needs images of ${rows} rows, got ${pixels.shape[3]}`,
      )
    const bands = declared(groups)
    const which = toDevice(
      fromArray(BigInt64Array.from(bands, BigInt), [bands.length], 'int64'),
      pixels.device,
    )
    const ofFrames = (x: Tensor) => reshape(x, [B * frames, d.channels, ...x.shape.slice(3)])
    const grid = gridOfModel(d)
    const whole = reshape(inBandOrder(parts, groups, d), [B * frames, grid.h * grid.w, -1])
    const predicted = indexSelect(unpatchify(whole, { patchSize: d.patchSize, grid }), 1, which)
    const larger = upscale(predicted, weights, { bands: bands.length, width, doublings: scales.length })
    return Object.fromEntries(
      scales.map((scale, i) => {
        const target = indexSelect(ofFrames(shrink(pixels, scales.at(-1)! / scale)), 1, which)
        const error = mean(abs(sub(toDtype(larger[i]!, 'float32'), target)))
        return [`scale${scale}`, { mean: error, weight: WEIGHT }]
      }),
    )
  })
}

interface ScaledValues {
  readonly routes: readonly Route[]
  readonly patches: readonly BandPatches[]
  readonly view: View
}

/** The pixels of hidden patches, unnormalised, and of the whole of larger pictures. */
export function scaledPixels(scales: ScalesTarget, space: TargetSpace): Target {
  const { shape, groups } = space
  const { dimensions: d } = shape
  const target: Target<ScaledValues> = {
    part: 'pixels',
    moreParts: scales.scales.map((scale) => `scale${scale}`),
    widths: pixelWidths(space),
    reads: 'all',
    rows: upscaleRows(upscaleShape(scales, groups)),
    factor: scales.scales.at(-1)!,
    atModelSize: (view) => atModelSize(view, scales, d.imageSize),
    of(asked) {
      const routes = asked.routes()
      return {
        routes,
        patches: routes.map((route, g) => patchesAt(asked, space, route, g)),
        view: asked.view,
      }
    },
    loss(predictions, { routes, patches, view }, weights) {
      const base = meanError(
        routes.map((route, g) => bandError(pick(predictions[g]!, route), patches[g]!, null)),
      )
      const larger = scalesLosses(predictions, view, scales, { shape, groups, weights })
      return { pixels: { mean: base, weight: 1 }, ...larger }
    },
    whole: (predictions) => inBandOrder(predictions, groups, d),
    shows: { kind: 'pixels', statistics: null },
    chance: null,
  }
  return target
}
