/**
 * A tokenizer as two graphs, traced from the objective that trains it: from pixels to codes (`encode`), and from codes to images or features
 * (`decode`). Both are for any batch size.
 */
import { weightsOf } from '../model/parameters.ts'
import type { TokenizerObjective } from '../objective/tokenizer.ts'
import type { Graph } from '../onnx/graph.ts'
import { imageBytes } from '../prepare/normalize.ts'
import type { View } from '../prepare/view.ts'
import { record } from '../tensor/record.ts'
import { scope } from '../tensor/scope.ts'
import { fromArray, type Tensor } from '../tensor/tensor.ts'
import { generalTape } from './general-tape.ts'
import {
  blankPixels,
  checkRecordable,
  type ExportedEncoder,
  inputName,
  viewOfPixels,
} from './pixels-input.ts'
import { translate } from './translate.ts'

/** The codes [B, N], and the cosine of each patch to its code. */
export const codesOf = (
  { parameters }: Pick<ExportedEncoder, 'parameters'>,
  tokenizer: TokenizerObjective,
  view: View,
): { readonly codes: Tensor; readonly similarity: Tensor } =>
  tokenizer.encodeWithSimilarity(view, weightsOf(parameters))

/** What codes [B, N] say: images as in files, or features. */
export function decodedOf(
  { parameters, statistics }: Pick<ExportedEncoder, 'parameters' | 'statistics'>,
  tokenizer: TokenizerObjective,
  codes: Tensor,
): Tensor {
  const made = tokenizer.decode(codes, weightsOf(parameters))
  return tokenizer.decodes === 'pixels' ? imageBytes(made, statistics) : made
}

/** Throws `VALUE` for models that cannot be exported. */
export function encodeGraph(model: ExportedEncoder, tokenizer: TokenizerObjective): Graph {
  checkRecordable(model)
  const tape = generalTape({ batch: [2, 3, 5] }, ({ batch = 0 }) =>
    scope(() => {
      const pixels = blankPixels(model, batch)
      return record({ inputs: { [inputName]: pixels }, named: model.parameters }, () => ({
        ...codesOf(model, tokenizer, viewOfPixels(model, pixels)),
      }))
    }),
  )
  return translate('encode', tape)
}

/** Throws `VALUE` for models that cannot be exported. */
export function decodeGraph(model: ExportedEncoder, tokenizer: TokenizerObjective): Graph {
  checkRecordable(model)
  const name = tokenizer.decodes === 'pixels' ? 'images' : 'features'
  const { tokens, codes: size } = tokenizer
  const tape = generalTape({ batch: [2, 3, 5] }, ({ batch = 0 }) =>
    scope(() => {
      const values = BigInt64Array.from({ length: batch * tokens }, (_, i) => BigInt(i % size))
      const codes = fromArray(values, [batch, tokens], 'int64')
      return record({ inputs: { codes }, named: model.parameters }, () => ({
        [name]: decodedOf(model, tokenizer, codes),
      }))
    }),
  )
  return translate('decode', tape)
}
