/** What an encoder says of images, under the names that a layout's file has for it. */
import { openForeign } from '../import/foreign.ts'
import { floatsOf } from '../import/foreign-parameter.ts'
import { openBackbone } from '../model/backbone.ts'
import { backboneAt } from '../model/backbone-shape.ts'
import { finalNorm } from '../model/encoder.ts'
import { applyLinear } from '../model/linear.ts'
import { outputWidth, ownOutput } from '../model/own-output.ts'
import { type ParameterRow, type Parameters, weightsOf, within } from '../model/parameters.ts'
import { viewOf } from '../prepare/view.ts'
import { call } from '../tensor/call.ts'
import { autocastFrozen } from '../tensor/context.ts'
import { cat, layerNorm, toDevice, toDtype } from '../tensor/ops.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { pool } from '../token/pool.ts'
import type { Prefixed } from '../token/prefix.ts'
import { findWeights, loadRows } from '../weights/open-encoder.ts'
import { type LayoutGiven, type LayoutOutputs, stacked, tapsOf } from './layout-given.ts'
import { outputsOfPadded } from './layout-padded.ts'

/** Tensors of the folder under its own names, in float32. */
export async function rawTensors(
  folder: string,
  isWanted: (name: string) => boolean,
): Promise<ReadonlyMap<string, Tensor>> {
  const weights = await openForeign(folder)
  try {
    const made = new Map<string, Tensor>()
    for (const [name, array] of weights.arrays)
      if (isWanted(name)) {
        const { shape, data } = await floatsOf(name, array)
        made.set(name, fromArray(data, shape, 'float32'))
      }
    return made
  } finally {
    await weights.close()
  }
}

/** CLIP returns its tokens before the last norm; with timm it does not. */
const returnsRawTokens = ({ class: name, library }: LayoutGiven) =>
  /^CLIP/.test(name) && !library.startsWith('timm')

interface ReadHead {
  readonly parameters: Parameters
  /** cls and the mean of the patches side by side, as DINOv2's. */
  readonly readsBoth: boolean
}

/** The layer behind a classifier's vector. */
async function headOf({ folder, encoder, base }: LayoutGiven): Promise<ReadHead | null> {
  const found = await findWeights({ model: folder, base })
  if (!found.stored.has('head.weight')) return null
  const rows = ['head.weight', 'head.bias'].map(
    (name): ParameterRow => ({ name, shape: found.stored.get(name)!.shape, initial: 'zeros' }),
  )
  const head = found.classifier?.head
  return { parameters: await loadRows(rows, found, encoder.device), readsBoth: head === 'cls+mean' }
}

/** The images at their own size, and at another where the file has them. */
export async function outputsOfImages(given: LayoutGiven): Promise<() => LayoutOutputs> {
  const { encoder, tensors } = given
  if (tensors.has('input.noise') || tensors.has('input.masked')) return () => ({})
  const pooler = await rawTensors(given.folder, (name) => /(?:^|\.)pooler\.dense\./.test(name))
  const layers = { pooler, head: await headOf(given) }
  return () =>
    Object.fromEntries(
      ['', 'resized.'].flatMap((at) => {
        const images = tensors.get(`input.${at}pixel_values`)
        if (!images) return []
        const made = {
          ...outputsOf(given, toDevice(images, encoder.device), layers),
          ...(tensors.has(`input.${at}pixel_patches`) && computing(given, () => outputsOfPadded(given, at))),
        }
        return Object.entries<Tensor>(made).map(([name, x]) => [at + name, toDtype(x, 'float32')] as const)
      }),
    )
}

interface Layers {
  /** Of transformers' ViT, by its own names. */
  readonly pooler: ReadonlyMap<string, Tensor>
  readonly head: ReadHead | null
}

const computing = <T>({ encoder: { device, precision } }: LayoutGiven, body: () => T): T =>
  autocastFrozen({ device, dtype: precision }, body)

function outputsOf(given: LayoutGiven, images: Tensor, { pooler, head }: Layers): LayoutOutputs {
  const { encoder } = given
  const { device, norm = 'norm', config } = encoder
  const [, , height, width] = images.shape as readonly [number, number, number, number]
  const shape = backboneAt(encoder.shape, [height, width])
  const d = shape.dimensions
  const weights = weightsOf(encoder.parameters)
  const options = { norm: false, taps: tapsOf(d.depth) }
  const raw = computing(given, () => openBackbone(shape, device).encodeAll(viewOf(images), weights, options))
  const normed = () => finalNorm(raw.sequence, weights, d)
  // What is behind the tokens is computed in float32, as features are.
  const tokens: Prefixed =
    norm === 'norm' ? { ...raw, sequence: toDtype(computing(given, normed), 'float32') } : raw
  const mean = () =>
    norm === 'norm'
      ? pool.mean(tokens)
      : layerNorm(pool.mean(raw), weights('fc_norm.weight'), weights('fc_norm.bias'), d.layerNormEpsilon)
  const own = outputWidth(d) === null ? null : ownOutput(tokens, weights, d)
  const pooled = () => {
    if (d.variant?.attentionPool) return own!
    if (config.model.feature === 'mean' || !config.model.cls) return mean()
    const cls = pool.cls(tokens)
    const dense = (name: string) =>
      toDevice(pooler.get([...pooler.keys()].find((key) => key.endsWith(name))!)!, device)
    if (given.class !== 'ViTModel') return cls
    return call('tanh', call('linear', cls, dense('dense.weight'), dense('dense.bias')))
  }
  const vector = pooled()
  return {
    last_hidden_state: returnsRawTokens(given) ? raw.sequence : tokens.sequence,
    intermediate: stacked(raw.taps.slice(0, d.depth)),
    attention: raw.taps[d.depth]!,
    pooled: vector,
    ...(own && { image_embeds: own }),
    ...(own && d.variant?.projection && { logits: own }),
    ...(head && {
      logits: applyLinear(
        head.readsBoth ? cat([pool.cls(tokens), pool.mean(tokens)], 1) : vector,
        within(weightsOf(head.parameters), 'head'),
      ),
    }),
  }
}
