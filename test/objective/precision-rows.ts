/** Every objective and option with the tiny models, and what a step and a prediction of each give, in a precision, on a path, on a device. */
import { expect } from 'vitest'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import { headNames } from '../../src/model/classifier.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { type ClassificationOptions, classification } from '../../src/objective/classification.ts'
import { type MaeOptions, mae } from '../../src/objective/mae.ts'
import type { MaskedObjective } from '../../src/objective/masked.ts'
import type { Address, At, Objective } from '../../src/objective/objective.ts'
import { type View, viewOf } from '../../src/prepare/view.ts'
import { bandStatistics } from '../../src/target/band-pixels.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { autocast, gradient, noGrad, requireGradient } from '../../src/tensor/context.ts'
import { type Kernels, withKernels } from '../../src/tensor/fused.ts'
import { detach, toDevice, toDtype } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { type Device, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import type { MaskPlan } from '../../src/token/mask.ts'
import { sharings } from '../../src/token/mask-design.ts'
import type { Precision } from '../../src/train/trainee.ts'
import { stirredParameters, tiny, tinyDecoder, tinyImages } from '../model/tiny-model.ts'
import {
  bands,
  H,
  series,
  seriesDimensions,
  seriesValues,
  T,
  values,
  viewsOfValues,
  W,
} from '../model/tiny-series.ts'
import { numbers, product, wave } from '../tolerance.ts'
import { collectGradients } from '../train/tiny-training.ts'

const B = 3
const samples = { epochs: [0, 0, 0], indices: [4, 9, 2] }

export interface Row {
  readonly objective: (
    device: Device,
  ) => Objective<never, unknown> & Partial<Pick<MaskedObjective, 'predict'>>
  /** On the CPU. Called inside a scope. */
  readonly images: () => View
  /** What a batch holds beside its images. */
  readonly targets?: (device: Device) => Tensor
  /** Whether its loss has absolute differences: their gradients are signs, which a little rounding turns. */
  readonly isAbsolute?: boolean
}

function masked(options: Partial<MaeOptions>, images: () => View): Row {
  const usual = { dimensions: tiny, decoder: tinyDecoder, maskRatio: 0.6 }
  const objective = (device: Device) => mae({ ...usual, ...options, device }) as never
  return { objective, images }
}

const learned = { ...plainBackbone(tiny), positions: 'learned' } as const
const plain = (options: Partial<MaeOptions> = {}) => masked(options, () => viewOf(tinyImages(B)))

/** Values of two dates. With gaps every 23rd is missing, and all of the first sample's second date. */
const valuesOf = (gaps: boolean) =>
  seriesValues(B).map((value, i) =>
    gaps && (i % 23 === 0 || Math.floor((i * T) / values) === 1) ? Number.NaN : value,
  )

/** Two dates and two groups of four bands, but for what `over` says. */
const ofSeries = (over: Partial<MaeOptions> = {}, gaps = false): Row =>
  masked({ ...series, ...over }, () => {
    const views = viewsOfValues(B, valuesOf(gaps))
    return { ...views, resolution: over.referenceResolution ? Float64Array.of(10, 20, Number.NaN) : null }
  })

const grouped = { dimensions: seriesDimensions, groups: [[3, 0], [1]], groupWidth: 4 }
const ofLarger = (scales: readonly number[], options: Partial<MaeOptions> = {}): Row => {
  const { imageSize, channels } = options.dimensions ?? tiny
  const shape = [B, channels, ...imageSize.map((side) => side * scales.at(-1)!)]
  const scaled = { ...options, target: predictPixels({ normalize: false, scales: { scales, width: 8 } }) }
  return { ...masked(scaled, () => viewOf(tensor(wave(product(shape), 5), shape))), isAbsolute: true }
}

/** `pooled` is of an encoder with an output of its own. */
const projected = { ...tiny, variant: { projection: 8 } }

const classified = (
  head: (typeof headNames)[number],
  over: Partial<ClassificationOptions> = {},
  gaps = false,
): Row => ({
  objective: (device) =>
    classification({
      ...{
        backbone: plainBackbone(head === 'pooled' ? projected : tiny),
        classes: 4,
        head,
        device,
        dropPath: 0,
      },
      ...over,
    }) as never,
  images: () => (over.backbone === series ? viewsOfValues(B, valuesOf(gaps)) : viewOf(tinyImages(B))),
  targets: (device) => toDevice(tensor([1, 0, 0, 0, 0, 0.5, 0.5, 0, 0, 0, 0, 1], [B, 4]), device),
})

/** By what they are. */
export const rows: Record<string, () => Row> = {
  'plain images': () => plain(),
  'raw targets': () => plain({ target: predictPixels({ normalize: false }) }),
  'learned positions': () => plain(learned),
  'patches that are no squares': () => plain({ dimensions: { ...tiny, patchSize: [3, 5] } }),
  'every token embedded': () => plain({ embed: 'all' }),
  'heads of an odd width': () =>
    plain({ dimensions: { ...tiny, heads: 8 }, decoder: { ...tinyDecoder, heads: 16 } }),
  'a band that no group has': () => masked(grouped, () => viewOf(tensor(wave(B * 96, 5), [B, bands, H, W]))),
  ...Object.fromEntries(
    bandStatistics.flatMap((statistics) => [
      [`series, normalised by ${statistics}`, () => ofSeries({ target: predictPixels({ statistics }) })],
      [
        `series with gaps, normalised by ${statistics}`,
        () => ofSeries({ target: predictPixels({ statistics }) }, true),
      ],
    ]),
  ),
  'series with gaps, raw targets': () => ofSeries({ target: predictPixels({ normalize: false }) }, true),
  'series without groups': () => ofSeries({ groups: null }),
  'series without dates': () => ofSeries({ time: null }),
  'positions that know the scale': () => ofSeries({ referenceResolution: 10 }),
  ...Object.fromEntries(
    sharings.flatMap((ofGroups) =>
      sharings.map((frames) => [
        `${ofGroups} groups, ${frames} frames`,
        () => ofSeries({ mask: { groups: ofGroups, frames, perFrame: frames === 'independent' } }),
      ]),
    ),
  ),
  'pictures of two sizes': () => ofLarger([2]),
  'pictures of three sizes, in groups': () => ofLarger([2, 4], grouped),
  'bands of the released code': () =>
    masked(
      {
        ...grouped,
        groups: [
          [3, 0],
          [1, 2],
        ],
        decoder: { ...tinyDecoder, compat: 'satmae' },
        target: predictPixels({ compat: 'satmae' }),
      },
      () => viewOf(tensor(wave(B * 96, 5), [B, bands, H, W])),
    ),
  ...Object.fromEntries(headNames.map((head) => [`classes from ${head}`, () => classified(head)])),
  'classes, drop path': () => classified('mean', { dropPath: 0.6 }),
  'classes, learned positions': () => classified('mean', { backbone: learned }),
  'classes of series': () => classified('mean', { backbone: series }),
  'classes of series with gaps': () => classified('mean', { backbone: series }, true),
  'classes of one group of bands': () => classified('mean', { backbone: series, only: [1] }),
}

export interface Made {
  readonly loss: number
  readonly gradients: readonly (readonly number[])[]
  readonly predicted: readonly (readonly number[])[]
}

export interface Way {
  readonly kernels: Kernels
  readonly precision: Precision
  readonly recompute?: boolean
  readonly device?: Device
}

const moved = ({ pixels, valid, ...rest }: View, device: Device): View => ({
  ...{ ...rest, pixels: toDevice(pixels, device), valid: valid && toDevice(valid, device) },
})
const onCpu = (x: Tensor) => numbers(toDevice(toDtype(x, 'float32'), 'cpu'))

/** Everything that is asked of a batch of a row: its objective, parameters, and the batch itself, made again in each scope. */
export function prepared(row: Row, device: Device) {
  const objective = row.objective(device)
  const made = stirredParameters(objective)
  const parameters = new Map(
    [...made].map(([name, x]) => [name, requireGradient(detach(toDevice(x, device)))] as const),
  )
  const make = () => {
    const image = moved(row.images(), device)
    const batch = row.targets ? { image, targets: row.targets(device) } : { image }
    return { image, batch: batch as never, samples }
  }
  const at: Address = { seed: 1, samples }
  const planOf = (batch: never) => objective.plan(at as At, batch, weightsOf(parameters))
  return { objective, parameters, make, at, planOf }
}

export function measure(row: Row, { kernels, precision, recompute = false, device = 'cpu' }: Way): Made {
  const { objective, parameters, make, planOf } = prepared(row, device)
  const collected = collectGradients(objective, parameters, {
    ...{ micro: [make], device, precision, kernels, recompute },
  })
  // What a head or a choice of bands does not read has no gradient.
  const gradients = scope(() => [...parameters.values()].flatMap((x) => gradient(x) ?? []).map(onCpu))
  const says = () => {
    const { image, batch } = make()
    return objective.predict?.(weightsOf(parameters), image, planOf(batch) as MaskPlan)
  }
  const predicted = noGrad(() =>
    scope(() => {
      const said = withKernels(kernels, () => autocast({ device, dtype: precision }, says))
      return said ? [said.latent, said.prediction].map(onCpu) : []
    }),
  )
  return { loss: collected.loss, gradients, predicted }
}

const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0))
/** How far two lists are apart, as a share of the first one's norm. */
export const apart = (a: readonly number[], b: readonly number[]) => {
  expect(b.length).toBe(a.length)
  return norm(a.map((x, i) => x - b[i]!)) / norm(a)
}
