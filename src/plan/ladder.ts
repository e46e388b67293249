/**
 * The models that a plan chooses from, from the cheapest to the most capable: a preset, an image size and a patch size that suit the images.
 * Sources of the numbers: docs/plan.md.
 */

import { objectiveOf } from '../config/assemble.ts'
import { withOverride } from '../config/overrides.ts'
import { presetOf } from '../config/presets.ts'
import { dimensionsOf, resolveConfig } from '../config/resolve.ts'
import type { Config, ConfigInput } from '../config/schema.ts'
import { stepFlops } from '../config/step-cost.ts'
import { parameterCount } from '../model/parameters.ts'
import { sidesOf } from '../token/grid.ts'

export interface Rung {
  readonly preset: string
  readonly encoder: string
  /** Of a square image. */
  readonly imageSize: number
  readonly patchSize: number
  /** Assignments beside the preset: `model.imageSize=128`. */
  readonly set: readonly string[]
  /** Fewer different images than this are too few for a model of its size. */
  readonly leastImages: number
  /** Samples of a micro-batch, at most. */
  readonly microBatch: number
  /** With the decoder. */
  readonly parameters: number
  /** Floating-point operations for an image of a training step. */
  readonly flops: number
}

interface Model {
  readonly preset: string
  readonly encoder: string
  readonly leastImages: number
  /** On a CPU, where a larger one is no faster; a GPU needs more samples to be busy. */
  readonly micro: { readonly cpu: number; readonly cuda: number }
  /** Image sizes with their patch, ascending: the largest that the images have is taken. */
  readonly shapes: readonly (readonly [image: number, patch: number])[]
}

/** 8 × 8 patches, as the small presets have: 64 tokens, of which 16 are seen. */
const eight = [32, 48, 64, 96, 128].map((side) => [side, side / 8] as const)
/** Then 12 × 12 and 14 × 14, the paper's. */
const fourteen = [...eight.slice(0, 3), [96, 8], [112, 8], [224, 16]] as const

const ofImages: readonly Model[] = [
  {
    preset: 'mae-tiny-cifar10',
    encoder: 'ViT-Tiny',
    leastImages: 0,
    micro: { cpu: 128, cuda: 512 },
    shapes: eight.slice(0, 3),
  },
  {
    preset: 'mae-small-64',
    encoder: 'ViT-Small',
    leastImages: 2000,
    micro: { cpu: 64, cuda: 512 },
    shapes: eight,
  },
  {
    preset: 'mae-small-64',
    encoder: 'ViT-Small',
    leastImages: 5000,
    micro: { cpu: 32, cuda: 256 },
    shapes: [[224, 16]],
  },
  {
    preset: 'mae-base-224',
    encoder: 'ViT-Base',
    leastImages: 20_000,
    micro: { cpu: 32, cuda: 256 },
    shapes: fourteen,
  },
  {
    preset: 'mae-large-224',
    encoder: 'ViT-Large',
    leastImages: 200_000,
    micro: { cpu: 16, cuda: 128 },
    shapes: fourteen,
  },
  {
    preset: 'mae-huge-224',
    encoder: 'ViT-Huge',
    leastImages: 1_000_000,
    micro: { cpu: 8, cuda: 64 },
    shapes: [[224, 14]],
  },
]

const ofRasters: readonly Model[] = [
  {
    preset: 'satmae-tiny-sentinel2',
    encoder: 'ViT-Tiny',
    leastImages: 0,
    micro: { cpu: 64, cuda: 256 },
    shapes: [
      [32, 4],
      [48, 8],
    ],
  },
  {
    preset: 'satmae-base-sentinel2',
    encoder: 'ViT-Base',
    leastImages: 20_000,
    micro: { cpu: 16, cuda: 64 },
    shapes: [[96, 8]],
  },
]

export interface LadderOptions {
  readonly kind: 'images' | 'rasters'
  /** The shorter side, in pixels, that most images have. */
  readonly side: number
  readonly device: 'cpu' | 'cuda'
  /** Assignments for all of them, such as bands or channels. */
  readonly set: readonly string[]
  /** Only this preset, at its own size. */
  readonly preset?: string | undefined
}

/** Cheapest first. Not empty. */
export function ladderOf({ kind, side, device, set, preset }: LadderOptions): Rung[] {
  const models = kind === 'images' ? ofImages : ofRasters
  if (preset !== undefined) {
    const known = models.find((model) => model.preset === preset)
    const { model = {} } = presetOf(preset).config
    const [imageSize] = [model.imageSize ?? 224].flat() as number[]
    return [rungOf(known ?? { ...models[0]!, preset, encoder: preset }, { device, set, shape: imageSize! })]
  }
  const rungs = models.flatMap((model) => {
    const fitting = model.shapes.filter(([image]) => image <= side)
    // Too small for every shape: the smallest is enlarged, but only of the smallest model.
    const shape = fitting.at(-1) ?? (model === models[0] ? model.shapes[0] : undefined)
    return shape ? [rungOf(model, { device, set, shape })] : []
  })
  return rungs
}

function rungOf(
  model: Model,
  {
    device,
    set,
    shape,
  }: { device: 'cpu' | 'cuda'; set: readonly string[]; shape: readonly [number, number] | number },
): Rung {
  const base = resolveConfig(set.reduce(withOverride, presetOf(model.preset).config))
  const own = dimensionsOf(base)
  const [imageSize, patchSize] =
    typeof shape === 'number' ? [own.imageSize[0], sidesOf(own.patchSize)[0]] : shape
  const sizes = [
    ...(imageSize === own.imageSize[0] ? [] : [`model.imageSize=${imageSize}`]),
    ...(patchSize === sidesOf(own.patchSize)[0] ? [] : [`model.patchSize=${patchSize}`]),
  ]
  const all = [...set, ...sizes]
  const config = resolveConfig(all.reduce(withOverride, presetOf(model.preset).config))
  return {
    ...{ preset: model.preset, encoder: model.encoder, leastImages: model.leastImages, set: all },
    ...{ imageSize, patchSize, microBatch: model.micro[device] },
    parameters: parameterCount(objectiveOf(config, 'cpu').rows),
    flops: stepFlops(config),
  }
}

/** Its configuration with more assignments. */
export const configOf = ({ preset, set }: Rung, more: readonly string[] = []): Config =>
  resolveConfig([...set, ...more].reduce<ConfigInput>(withOverride, presetOf(preset).config))

export const grouped = (n: number): string => n.toLocaleString('en-US')
export const nameOf = ({ encoder, patchSize, imageSize }: Rung): string =>
  `${encoder}/${patchSize} at ${imageSize} pixels`
