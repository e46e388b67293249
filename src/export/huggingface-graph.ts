/**
 * The graph for transformers.js in a Hugging Face folder: takes normalised pixels and returns what the Python class does. Normalisation
 * is left to `preprocessor_config.json`.
 */

import { openBackbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import { classify, type Head } from '../model/classifier.ts'
import { type Parameters, weightsOf } from '../model/parameters.ts'
import type { Graph } from '../onnx/graph.ts'
import { viewOf } from '../prepare/view.ts'
import { narrow } from '../tensor/ops.ts'
import { record } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { generalTape } from './general-tape.ts'
import { translate } from './translate.ts'

/** `last_hidden_state` [B, 1 + N, D]: cls, then all patches row by row, unmasked. `logits` [B, classes]: by the head. */
export type HuggingfaceOutput = 'last_hidden_state' | 'logits'

export interface HuggingfaceModel {
  /** Of images, not rasters. */
  readonly shape: BackboneShape
  /** What the processor gives; what no patch is filled by is left out (data.inputSize). */
  readonly inputSize: readonly [height: number, width: number]
  /** On the CPU, including the head for logits. */
  readonly parameters: Parameters
  readonly output: HuggingfaceOutput
  /** Of a classifier. */
  readonly head: Head
}

/** float32 [B, C, H, W], (x − mean) / deviation. */
const huggingfaceInput = 'pixel_values'

/** Takes normalised pixels [B, C, H, W]. */
export function huggingfaceForward({
  shape,
  inputSize,
  parameters,
  output,
  head,
}: HuggingfaceModel): (pixels: Tensor) => Tensor {
  const backbone = openBackbone(shape, 'cpu')
  const weights = weightsOf(parameters)
  const { imageSize } = shape.dimensions
  const isWhole = imageSize.join() === inputSize.join()
  const view = (pixels: Tensor) =>
    viewOf(
      isWhole ? pixels : imageSize.reduce((image, side, axis) => narrow(image, 2 + axis, 0, side), pixels),
    )
  return {
    last_hidden_state: (pixels: Tensor) => backbone.encodeAll(view(pixels), weights).sequence,
    logits: (pixels: Tensor) => classify(view(pixels), weights, { backbone, head }),
  }[output]
}

/** For any batch size. */
export function huggingfaceGraph(model: HuggingfaceModel): Graph {
  const image = [model.shape.dimensions.channels, ...model.inputSize]
  const forward = huggingfaceForward(model)
  const tape = generalTape({ batch: [2, 3, 5] }, ({ batch }) =>
    scope(() => {
      const zeros = new Float32Array(image.reduce((a, b) => a * b, batch!))
      const pixels = tensor(zeros, [batch!, ...image])
      return record({ inputs: { [huggingfaceInput]: pixels }, named: model.parameters }, () => ({
        [model.output]: forward(pixels),
      }))
    }),
  )
  return translate('huggingface', tape)
}
