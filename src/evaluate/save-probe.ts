/** Saves a linear probe as a classifier (`sherd evaluate linear --save`). */

import type { StoredArray } from '../checkpoint/arrays.ts'
import { configOfDepth } from '../config/resolve.ts'
import { headReading } from '../model/classifier.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { layerOf, type VectorFeature } from '../token/feature.ts'
import { saveClassifier } from '../weights/open-classifier.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import type { ChosenMap } from './evaluate.ts'

/** What is needed for a feature: of a block's output, which its mean and the final norm follow, the blocks up to it and `mean`. */
function encoderFor(encoder: OpenedEncoder, feature: VectorFeature): [OpenedEncoder, VectorFeature] {
  const block = layerOf(feature)
  if (block === null) return [encoder, feature]
  const numberOf = (name: string) => Number(name.match(/^blocks\.(\d+)\./)?.[1] ?? -1)
  const parameters = new Map([...encoder.parameters].filter(([name]) => numberOf(name) <= block))
  return [{ ...encoder, config: configOfDepth(encoder.config, block + 1), parameters }, 'mean']
}

/** Throws `RUN`. */
export function saveProbe(
  path: string,
  whole: OpenedEncoder,
  { map, classes }: { readonly map: ChosenMap; readonly classes: readonly string[] },
): void {
  const [encoder, feature] = encoderFor(whole, map.pooling)
  const { parameters, origin, norm = 'norm' } = encoder
  const all = new Map<string, Tensor | StoredArray>(parameters)
  const [count, width] = [classes.length, map.weight.length / classes.length]
  all.set('head.weight', { dtype: 'float32', shape: [count, width], data: map.weight })
  all.set('head.bias', { dtype: 'float32', shape: [count], data: map.bias })
  saveClassifier(path, encoder, {
    ...{ classes, head: headReading(feature, norm), protocol: 'linear', step: origin.step },
    parameters: all,
  })
}
