/**
 * Classifiers of the mean of the patches, in the classes of transformers that compute the same: `BeitForImageClassification` norms the
 * mean, as fine-tuning does; `Dinov2ForImageClassification` normes each token and reads cls beside the mean, as a linear probe does, with
 * zeros for cls. ViTForImageClassification reads cls alone.
 */
import type { StoredArray } from '../checkpoint/arrays.ts'
import { hiddenWidth } from '../model/dimensions.ts'
import type { ExportedModel } from './exported-model.ts'

type Arrays = ReadonlyMap<string, StoredArray>

const filled = (shape: readonly number[], value: number): StoredArray => ({
  ...{ dtype: 'float32', shape },
  data: new Float32Array(shape.reduce((a, b) => a * b)).fill(value),
})

/**
 * Under BEiT's names. Its keys have no bias: q · (k + b) is q · k and a number that is the same for every key, which the softmax takes away.
 */
export const beitArrays = (arrays: Arrays): Map<string, StoredArray> =>
  new Map(
    [...arrays]
      .filter(([name]) => !/\.attention\.attention\.key\.bias$/.test(name))
      .map(([name, array]) => [name.replace(/^fc_norm\./, 'beit.pooler.layernorm.'), array]),
  )

export const beitConfig: Readonly<Record<string, unknown>> = {
  model_type: 'beit',
  use_mean_pooling: true,
  use_absolute_position_embeddings: true,
  use_relative_position_bias: false,
  use_shared_relative_position_bias: false,
  use_mask_token: false,
  layer_scale_init_value: 0,
  drop_path_rate: 0,
}

const dinov2Names: readonly (readonly [RegExp, string])[] = [
  [/\.layernorm_before\./, '.norm1.'],
  [/\.layernorm_after\./, '.norm2.'],
  [/\.intermediate\.dense\./, '.mlp.fc1.'],
  [/(\.layer\.\d+)\.output\.dense\./, '$1.mlp.fc2.'],
]

/** Under DINOv2's names: layers are scaled by 1, and the head's weights of cls are 0. */
export function dinov2Arrays(arrays: Arrays, { dimensions }: ExportedModel): Map<string, StoredArray> {
  const { width, depth } = dimensions
  const made = new Map<string, StoredArray>()
  for (const [name, array] of arrays)
    made.set(
      dinov2Names.reduce((text, [from, to]) => text.replace(from, to), name),
      name === 'classifier.weight' ? besideZeros(array, width) : array,
    )
  made.set('dinov2.embeddings.mask_token', filled([1, width], 0))
  for (let i = 0; i < depth; i++)
    for (const scale of ['layer_scale1', 'layer_scale2'])
      made.set(`dinov2.encoder.layer.${i}.${scale}.lambda1`, filled([width], 1))
  return made
}

/** [classes, D] → [classes, 2 D], zeros first. */
function besideZeros({ shape, data }: StoredArray, width: number): StoredArray {
  const classes = shape[0]!
  const wide = new Float32Array(classes * 2 * width)
  for (let row = 0; row < classes; row++)
    wide.set((data as Float32Array).subarray(row * width, (row + 1) * width), (2 * row + 1) * width)
  return { dtype: 'float32', shape: [classes, 2 * width], data: wide }
}

export const dinov2Config = ({ dimensions }: ExportedModel): Readonly<Record<string, unknown>> => ({
  model_type: 'dinov2',
  mlp_ratio: hiddenWidth(dimensions) / dimensions.width,
  layerscale_value: 1,
  drop_path_rate: 0,
  use_swiglu_ffn: false,
  use_mask_token: true,
})
