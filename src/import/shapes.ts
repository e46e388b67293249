/** The dimensions of a model, as the shapes of its parameters show them. */
import type { ConfigInput } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { limits } from '../model/dimensions.ts'
import { type FeedForward, feedForwards } from '../model/feed-forward.ts'
import type { Shape } from '../tensor/tensor.ts'
import { type PatchSize, shortSize } from '../token/grid.ts'
import type { ModelInput, Stated } from './layouts/facts.ts'
import { templateOf } from './layouts/layout.ts'
import { expectFitting } from './misfit.ts'
import type { Named } from './translate-names.ts'

type DecoderInput = NonNullable<ConfigInput['decoder']>

export interface Shapes {
  readonly width: number
  readonly patchSize: PatchSize
  /** Number of each group's bands. */
  readonly channels: readonly number[]
  readonly feedForward: FeedForward
  /** Of a block's feed-forward. */
  readonly hidden: number
  readonly model: ModelInput
  readonly decoder: DecoderInput | null
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

function depthOf(parameters: Named['parameters'], prefix: string): number {
  const numbers = [...parameters.keys()]
    .filter((name) => name.startsWith(`${prefix}.`))
    .map((name) => Number(name.split('.')[1]))
  const depth = Math.max(-1, ...numbers) + 1
  return depth <= limits.depth ? depth : refuse(`it has a block number ${depth - 1}`)
}

/** A ratio that gives the hidden width again, after rounding down. */
const ratioOf = (hidden: number, width: number) =>
  Math.floor(width * (hidden / width)) === hidden ? hidden / width : (hidden + 0.5) / width

const inputs: Readonly<Record<FeedForward, string>> = { mlp: 'fc1', swiglu: 'w12', gated: 'w1' }

export interface ShapeHints {
  readonly missingNames: (ours: string) => readonly string[]
  readonly stated: Stated
}

/** Throws `CHECKPOINT` where parameters that show them are missing, or differ. */
export function readShapes({ parameters, misshapen }: Named, { missingNames, stated }: ShapeHints): Shapes {
  const shapes = new Map<string, Shape>()
  for (const [name, { shape }] of parameters) {
    const { template } = templateOf(name)
    if (!shapes.has(template)) shapes.set(template, shape)
  }
  /** Of the first of these that is there, in any block. */
  const shapeOf = (...names: readonly string[]): Shape => {
    const found = names.map((name) => shapes.get(name)).find((shape) => shape !== undefined)
    if (!found) expectFitting({ misshapen, missing: missingNames(names[0]!.replace('{i}', '0')) })
    return found!
  }
  const block = (part: string) => `blocks.{i}.${part}`
  const width = shapeOf(
    'norm.weight',
    block('norm1.weight'),
    block('norm2.weight'),
    block('attn.proj.bias'),
  ).at(-1)!
  const embeds = [...parameters.keys()].filter((name) => /^patch_embed\b.*\.proj\.weight$/.test(name)).sort()
  const kernels =
    embeds.length > 0
      ? embeds.map((name) => parameters.get(name)!.shape)
      : [shapeOf('patch_embed.proj.weight')]
  const [, , h, w] = kernels[0]!
  if (h === undefined || w === undefined || kernels.some((kernel) => kernel.length !== 4))
    refuse(
      `its patches are embedded by [${kernels[0]!.join(', ')}], expected [width, channels, height, width]`,
    )
  const patchSize: PatchSize = [h!, w!]
  const feedForward =
    (Object.keys(inputs) as FeedForward[]).find((kind) =>
      ['weight', 'bias'].some((part) => shapes.has(block(`mlp.${inputs[kind]}.${part}`))),
    ) ?? 'mlp'
  const input = block(`mlp.${inputs[feedForward]}`)
  const rows = shapeOf(`${input}.weight`, `${input}.bias`)[0]!
  const hidden = feedForward === 'swiglu' ? rows / 2 : rows
  const depth = stated.depth ?? depthOf(parameters, 'blocks')
  const ratio = ratioOf(hidden, width)
  const model: ModelInput = {
    patchSize: shortSize(patchSize),
    ...{ width, depth },
    ...(feedForward === 'mlp' ? { mlpRatio: ratio } : { feedForward }),
    ...(feedForward !== 'mlp' && feedForwards[feedForward].hidden(width, 4) !== hidden && { hidden }),
  }
  const channels = kernels.map((kernel) => kernel[1]!)
  const found = { width, patchSize, channels, feedForward, hidden, model }
  if (!shapes.has('decoder_embed.weight') && !shapes.has('decoder_embed.bias'))
    return { ...found, decoder: null }
  const decoderWidth = shapeOf('decoder_embed.weight', 'decoder_embed.bias')[0]!
  const decoderHidden = shapeOf('decoder_blocks.{i}.mlp.fc1.weight', 'decoder_blocks.{i}.mlp.fc1.bias')[0]!
  if (Math.floor(decoderWidth * ratio) !== decoderHidden)
    refuse(
      `its decoder's blocks widen ${decoderWidth} to ${decoderHidden}, the encoder's ${width} to ${hidden}: sherd has one ratio for both`,
    )
  const decoder = { width: decoderWidth, depth: depthOf(parameters, 'decoder_blocks') }
  return { ...found, decoder }
}
