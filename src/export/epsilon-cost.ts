/** What another epsilon in its layer norms would make of a model's tokens. */
import { backboneOf } from '../config/resolve.ts'
import { openBackbone } from '../model/backbone.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import { normedRows } from '../model/classifier.ts'
import { loadParameters, weightsOf } from '../model/parameters.ts'
import { viewOf } from '../prepare/view.ts'
import { draws } from '../random/draws.ts'
import { noGrad } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, toFloats } from '../tensor/tensor.ts'
import { encoderNorm } from '../weights/open-encoder.ts'
import type { ExportedModel } from './exported-model.ts'
import { smallestCosine } from './feature-cost.ts'
import type { Agreement } from './precision.ts'
import { differenceOrNaN } from './prove-onnx.ts'

/** On two images of normally distributed pixels. Needs LibTorch. */
export function epsilonCost({ config, arrays }: ExportedModel, epsilon: number): Agreement {
  const shape = backboneOf(config)
  const norm = encoderNorm((name) => arrays.has(name))
  const { channels, imageSize, width } = shape.dimensions
  const size = [2, channels, ...imageSize]
  const { normal } = draws({ seed: 0, stream: 'export/pixels', epoch: 0, index: 0 })
  const pixels = Float32Array.from({ length: size.reduce((a, b) => a * b) }, normal)
  return noGrad(() =>
    scope(() => {
      const rows = normedRows(shape, norm)
      const tensors = rows.flatMap(({ name }) => {
        const array = arrays.get(name)
        return array ? [[name, fromArray(array.data, array.shape, 'float32')] as const] : []
      })
      const weights = weightsOf(loadParameters(rows, new Map(tensors), 'cpu'))
      const tokens = (of: BackboneShape) =>
        toFloats(
          openBackbone(of, 'cpu').encodeAll(viewOf(fromArray(pixels, size, 'float32')), weights, {
            norm: norm === 'norm',
          }).sequence,
        )
      const [own, other] = [
        tokens(shape),
        tokens({ ...shape, dimensions: { ...shape.dimensions, layerNormEpsilon: epsilon } }),
      ]
      return { largest: differenceOrNaN(own, other), cosine: smallestCosine(own, other, width) }
    }),
  )
}
