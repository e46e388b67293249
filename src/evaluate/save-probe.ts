/** Saves a linear probe as a classifier (`sherd evaluate linear --save`). */

import type { StoredArray } from '../checkpoint/arrays.ts'
import { headReading } from '../model/classifier.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { saveClassifier } from '../weights/open-classifier.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import type { ChosenMap } from './evaluate.ts'

/** Throws `RUN`. */
export function saveProbe(
  path: string,
  encoder: OpenedEncoder,
  { map, classes }: { readonly map: ChosenMap; readonly classes: readonly string[] },
): void {
  const { parameters, dimensions, origin, norm = 'norm' } = encoder
  const shape = [classes.length, dimensions.width]
  const all = new Map<string, Tensor | StoredArray>(parameters)
  all.set('head.weight', { dtype: 'float32', shape, data: map.weight })
  all.set('head.bias', { dtype: 'float32', shape: [classes.length], data: map.bias })
  saveClassifier(path, encoder, {
    ...{ classes, head: headReading(map.pooling, norm), protocol: 'linear', step: origin.step },
    parameters: all,
  })
}
