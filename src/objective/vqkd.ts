/**
 * VQ-KD (Peng et al. 2022, section 3.1): a tokenizer whose codes say what a frozen teacher sees. An encoder, a projection to the codes'
 * width, the codebook, a small transformer on the codes as an image with patches of one pixel, and a head that predicts the teacher's features.
 * Parameters have the names of the authors' checkpoints, but for the last norms of both transformers, which are `norm` here, as in every
 * encoder, and `fc_norm` there.
 */
import { type Adaptation, adaptBackbone } from '../model/adapt.ts'
import { openBackbone } from '../model/backbone.ts'
import { type BackboneShape, plainBackbone } from '../model/backbone-shape.ts'
import { applyLinear, linearRows } from '../model/block.ts'
import type { EncoderDimensions } from '../model/dimensions.ts'
import { encoderRowsWith, encodeTokens } from '../model/encoder.ts'
import { beitInitial, startingBy } from '../model/initial-values.ts'
import { type ParameterRow, type Weights, within } from '../model/parameters.ts'
import { openPatches } from '../model/stem/patches.ts'
import type { Showing } from '../target/showing.ts'
import type { TargetMaker } from '../target/target.ts'
import { call } from '../tensor/call.ts'
import { withoutAutocast } from '../tensor/context.ts'
import { linear } from '../tensor/fused.ts'
import { arange, expand, mean, reshape, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { layoutTokens } from '../token/layout.ts'
import { patchesOf } from '../token/prefix.ts'
import { asInBeit } from './mask-tokens.ts'
import { type CodebookOptions, type TokenizerObjective, tokenizer } from './tokenizer.ts'

export interface VqkdOptions extends Partial<Omit<BackboneShape, 'dimensions'>> {
  readonly dimensions: EncoderDimensions
  /** How the encoder learns; default: all of it. */
  readonly adapt?: Adaptation
  readonly codebook: CodebookOptions
  /** Blocks of the decoder; it is as wide as the encoder. */
  readonly decoderDepth: number
  /** Features of a teacher; a target that knows the error of every token. */
  readonly target: TargetMaker
  readonly device: Device
}

/** Linear, tanh, Linear. */
const taskRows = (name: string, width: number, output: number): ParameterRow[] => [
  ...linearRows(`${name}.0`, width, width),
  ...linearRows(`${name}.2`, width, output),
]
const task = (x: Tensor, weights: Weights): Tensor =>
  applyLinear(call('tanh', applyLinear(x, within(weights, '0'))), within(weights, '2'))

const under = (prefix: string, rows: readonly ParameterRow[]): ParameterRow[] =>
  rows.map((row) => ({ ...row, name: `${prefix}.${row.name}` }))

/** Throws `SHAPE` or `VALUE` if dimensions do not fit. */
export function vqkd(options: VqkdOptions): TokenizerObjective {
  const { codebook, decoderDepth, target: targetOf, adapt = { kind: 'none' }, device, ...given } = options
  const shape: BackboneShape = { ...plainBackbone(options.dimensions), ...given }
  const { width, imageSize } = shape.dimensions
  const backbone = adaptBackbone(openBackbone(shape, device), adapt)
  const { layout, groups } = backbone
  const N = layoutTokens(layout)
  const target = targetOf({ shape, groups, backbone, device })
  const [features] = Object.values(target.widths)

  const behind = { ...shape, dimensions: { ...shape.dimensions, depth: decoderDepth } }
  const stem = openPatches(behind, device)
  const embedding: ParameterRow[] = [
    { name: 'patch_embed.proj.weight', shape: [width, codebook.width, 1, 1], initial: 'xavier' },
    { name: 'patch_embed.proj.bias', shape: [width], initial: 'zeros' },
  ]
  const decoderRows = [...encoderRowsWith(embedding, behind.dimensions), ...stem.positioning]

  const objective = tokenizer(
    {
      rows: startingBy(
        [
          ...under('encoder', backbone.rows),
          ...taskRows('encode_task_layer', width, codebook.width),
          ...under('decoder', decoderRows),
          ...taskRows('decode_task_layer', width, features!),
          ...(target.rows ?? []),
        ],
        beitInitial,
      ),
      groups: asInBeit.groupRows,
      encoder: { prefix: 'encoder.' },
      ...{ imageSize, layout, decodes: 'features' },
      ...(target.frozen && { frozen: target.frozen }),
      vectors: (view, weights) =>
        scope(() => {
          const tokens = patchesOf(backbone.encodeAll(view, within(weights, 'encoder')))
          return withoutAutocast(device, () =>
            task(toDtype(tokens, 'float32'), within(weights, 'encode_task_layer')),
          )
        }),
      decode: (vectors, weights) =>
        scope(() => {
          const own = within(weights, 'decoder')
          const samples = vectors.shape[0]!
          const view = { pixels: vectors, valid: null, times: null, resolution: null }
          const all = expand(arange(N, { dtype: 'int64', device }), [samples, N])
          const embed = within(own, 'patch_embed.proj')
          const weight = { weight: reshape(embed('weight'), [width, codebook.width]), bias: embed('bias') }
          const encoded = encodeTokens(
            () => ({
              x: linear(vectors, weight),
              ...stem.place({ view, samples, patches: [], valid: null, present: null }, all, own),
            }),
            own,
            behind.dimensions,
          )
          return task(patchesOf(encoded), within(weights, 'decode_task_layer'))
        }),
      shown: (decoded, view, weights) => ({
        ...(target.shows as Extract<Showing, { readonly kind: 'features' }>),
        ...target.drawn!([decoded], { view, cut: backbone.cut(view) }, weights),
      }),
      error: (decoded, view, weights) =>
        scope(() => mean(target.errors!([decoded], { view, cut: backbone.cut(view) }, weights))),
    },
    codebook,
  )
  if (!target.first) return objective
  return {
    ...objective,
    first: (weights, batches, at) => ({
      ...objective.first!(weights, batches, at),
      ...target.first!(
        batches.map(({ batch: { image } }) => () => ({ view: image, cut: backbone.cut(image) })),
        at.collective,
      ),
    }),
  }
}
