/**
 * A session that checks outputs against the file's metadata: type, shape, finite values. The graph may have been edited, or belong to
 * another model.
 */

import { backboneOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import type { GraphName } from '../export/formats.ts'
import { inputName } from '../export/pixels-input.ts'
import { patchWidth, prefixOf } from '../model/dimensions.ts'
import { outputWidth } from '../model/own-output.ts'
import { isOneInput, type Output, type Session } from '../onnx/session.ts'
import { prefixLength } from '../token/prefix.ts'

export interface CheckedModel {
  readonly path: string
  readonly graph: GraphName
  readonly config: Config
  /** Of the pixels, without the batch. */
  readonly shape: readonly number[]
  readonly classes: number
}

/** Null for unknown lengths. */
type Sizes = readonly (number | null)[]

/** The sizes of all outputs for pixels [B, C, H, W] or [B, T, C, H, W]. */
function sizesOf(
  { graph, config, classes }: CheckedModel,
  pixels: readonly number[],
): Readonly<Record<string, Sizes>> {
  const { dimensions, frames, groups } = backboneOf(config)
  const { width: D, depth, heads, patchSize, channels } = dimensions
  const [B] = pixels as [number]
  const [C, H, W] = pixels.slice(-3) as [number, number, number]
  const L = (H / patchSize[0]) * (W / patchSize[1])
  // A file for some of the bands has only complete groups.
  const isWhole = C === channels
  const N = isWhole ? L * frames * (groups?.length ?? 1) : null
  const tokens = N === null ? null : prefixLength(prefixOf(dimensions)) + N
  switch (graph) {
    case 'encoder':
      return {
        cls: [B, D],
        mean: [B, D],
        patches: [B, N, D],
        pooled: [B, outputWidth(dimensions)],
        attention: [B, depth, heads, tokens],
        poolingAttention: [B, heads, tokens],
      }
    case 'autoencoder':
      return { prediction: [B, L * frames, isWhole ? patchWidth(dimensions) : null] }
    case 'classifier':
      return { logits: [B, classes], probabilities: [B, classes] }
    case 'segmenter':
      return { logits: [B, classes, H, W] }
    case 'encode':
      return { codes: [B, N], similarity: [B, N] }
    case 'decode':
      return {} // takes no pixels
    default:
      return graph satisfies never
  }
}

function expectOutput(name: string, { shape, values }: Output, sizes: Sizes | undefined, path: string): void {
  const refuse = (what: string): never => {
    throw new SherdError(
      'CHECKPOINT',
      `${path}: its output "${name}" ${what}: it is not what the file says. Export it again.`,
    )
  }
  if (!(values instanceof Float32Array)) refuse('is not of float32')
  const isRight =
    sizes?.length === shape.length && sizes.every((size, i) => size === null || size === shape[i])
  if (sizes && !isRight)
    refuse(`is [${shape.join(', ')}], expected [${sizes.map((size) => size ?? 'any').join(', ')}]`)
  if (values.length !== shape.reduce((a, b) => a * b, 1))
    refuse(`has ${values.length} numbers for [${shape.join(', ')}]`)
  const at = values.findIndex((value) => !Number.isFinite(value))
  if (at >= 0)
    throw new SherdError(
      'NON_FINITE',
      `${path}: its output "${name}" has ${values[at]} for sample number ${Math.floor(at / (values.length / shape[0]!))} of a batch: the weights or statistics in it are wrong.`,
    )
}

/** Throws `CHECKPOINT` if the file's input differs from its configuration. */
function expectInput({ path, config, shape }: CheckedModel): void {
  const { dimensions, frames } = backboneOf(config)
  const [T, C] = [shape.length === 4 ? shape[0] : 1, shape.at(-3)]
  const isRight =
    (shape.length === 3 || shape.length === 4) &&
    T === frames &&
    C! <= dimensions.channels &&
    shape.slice(-2).join() === dimensions.imageSize.join()
  if (!isRight)
    throw new SherdError(
      'CHECKPOINT',
      `${path}: it takes pixels of [${shape.join(', ')}], which its model of ${frames} × ${dimensions.channels} × ${dimensions.imageSize.join(' × ')} does not: export it again.`,
    )
}

/** Throws `CHECKPOINT`; runs throw `CHECKPOINT` and `NON_FINITE`. */
export function checkedSession<T extends Session>(session: T, model: CheckedModel): T {
  expectInput(model)
  return {
    ...session,
    async run(inputs, wanted, signal) {
      const pixels = isOneInput(inputs) ? inputs : inputs[inputName]
      const shape = [...(pixels?.shape ?? [])] // inputs may be transferred to another thread
      const outputs = await session.run(inputs, wanted, signal)
      const sizes = pixels ? sizesOf(model, shape) : {}
      for (const name of wanted) expectOutput(name, outputs[name], sizes[name], model.path)
      return outputs
    },
  } as T
}
