/**
 * Writes a folder for Hugging Face's transformers: `ViTMAEForPreTraining`, `ViTModel` or `ViTForImageClassification`. Names follow the
 * layout's rows; fixed position tables are written out.
 */

import type { StoredArray } from '../checkpoint/arrays.ts'
import { autoencoderOf, bandsOf, pixelTargetOf } from '../config/resolve.ts'
import { messageOf, pause, SherdError } from '../errors.ts'
import { modules } from '../import/layouts/layout.ts'
import { type Layout, layouts } from '../import/layouts.ts'
import type { Head } from '../model/classifier.ts'
import { decoderBlocks, hiddenWidth } from '../model/dimensions.ts'
import { shortSize } from '../token/grid.ts'
import type { EncoderRequest } from '../weights/open-encoder.ts'
import { type ExportedModel, inLayout, openExported, writeFolder } from './exported-model.ts'
import type { HuggingfaceOutput } from './huggingface-graph.ts'
import {
  type FolderWatch,
  type HuggingfaceDtype,
  type HuggingfaceOnnx,
  preferredDtype,
  removeOnnx,
  writeOnnx,
} from './huggingface-onnx.ts'
import { beitArrays, beitConfig, dinov2Arrays, dinov2Config } from './mean-pooled.ts'
import { modelCard } from './model-card.ts'

const huggingfaceTasks = ['pretraining', 'encoder', 'classification'] as const
export type HuggingfaceTask = (typeof huggingfaceTasks)[number]

export interface HuggingfaceOptions
  extends Pick<EncoderRequest, 'model' | 'config' | 'statistics'>,
    FolderWatch {
  readonly out: string
  /** By default by the weights: a classifier if they have a head, else an autoencoder if they have a decoder, else an encoder. */
  readonly task?: HuggingfaceTask | undefined
  /**
   * The graphs for transformers.js, whose tracing needs LibTorch; none if empty. By default float32 if LibTorch is found, else none with
   * a warning.
   */
  readonly onnx?: readonly HuggingfaceDtype[] | undefined
}

export interface ExportedFolder {
  readonly task: string
  /** The class of transformers that loads it. */
  readonly architecture: string
  readonly files: readonly string[]
  readonly onnx?: readonly HuggingfaceOnnx[]
  readonly warnings: readonly string[]
}

interface TaskRow {
  readonly architecture: string
  readonly wrapper: string
  readonly isWanted: (name: string) => boolean
  readonly pipeline: string
  /** Output of the graph for transformers.js. */
  readonly output: HuggingfaceOutput
  /** Why a model cannot be exported so, or null. */
  readonly refuses: (model: ExportedModel) => string | null
  readonly config: (model: ExportedModel) => Record<string, unknown>
  readonly usage: string
  readonly notes: readonly string[]
  /** Of arrays under the names of ViT. */
  readonly rename?: (
    arrays: ReadonlyMap<string, StoredArray>,
    model: ExportedModel,
  ) => Map<string, StoredArray>
}

/** The names of ViT, and one for the norm of the mean. */
const withPooler: Layout = {
  ...layouts.huggingface,
  rows: [...layouts.huggingface.rows, ...modules('fc_norm')],
}

const isHead = (name: string) => /^(?:head|fc_norm)\./.test(name)
const isOfDecoder = (name: string) => /^(?:decoder_|mask_token$)/.test(name)

const usageOf = (architecture: string, result: string, more = '') => `
from transformers import AutoImageProcessor, ${architecture}

model = ${architecture}.from_pretrained(FOLDER${more}).eval()
inputs = AutoImageProcessor.from_pretrained(FOLDER)(image, return_tensors="pt")
${result}
`

const tasks: Record<HuggingfaceTask, TaskRow> = {
  pretraining: {
    architecture: 'ViTMAEForPreTraining',
    wrapper: 'vit.',
    isWanted: (name) => !isHead(name),
    pipeline: 'image-feature-extraction',
    output: 'last_hidden_state',
    refuses: ({ hasDecoder, config, dimensions: { imageSize, patchSize } }) => {
      if (!hasDecoder) return 'The weights have no decoder'
      const target = pixelTargetOf(config)
      if (!target) return 'A decoder that predicts something else than pixels is in no class of transformers'
      if (target.scales) return 'A decoder of several scales is in no class of transformers'
      return [imageSize, patchSize].every(([h, w]) => h === w)
        ? null
        : "transformers' ViTMAE takes square images and patches only"
    },
    config: ({ config }) => ({
      model_type: 'vit_mae',
      decoder_hidden_size: config.decoder.width,
      decoder_num_hidden_layers: config.decoder.depth,
      decoder_num_attention_heads: config.decoder.heads,
      decoder_intermediate_size: hiddenWidth(decoderBlocks(autoencoderOf(config))),
      mask_ratio: config.mask.ratio,
      norm_pix_loss: pixelTargetOf(config)!.normalize,
    }),
    usage: usageOf('ViTMAEForPreTraining', 'loss = model(**inputs).loss  # masks at random'),
    notes: [
      "transformers' ViTMAE masks at random each time, for features as well: pass `noise` for the same mask. `onnx/` masks nothing.",
    ],
  },
  encoder: {
    architecture: 'ViTModel',
    wrapper: '',
    isWanted: (name) => !isHead(name) && !isOfDecoder(name),
    pipeline: 'image-feature-extraction',
    output: 'last_hidden_state',
    refuses: ({ arrays }) =>
      arrays.has('norm.weight')
        ? null
        : 'A classifier of the mean of patches has no norm behind its encoder: leave --task out, and it is exported with its head',
    config: () => ({ model_type: 'vit' }),
    usage: usageOf(
      'ViTModel',
      'tokens = model(**inputs).last_hidden_state  # cls, then the patches row by row',
      ', add_pooling_layer=False',
    ),
    notes: [
      'There is no pooling layer: transformers makes one of random weights unless `add_pooling_layer=False`.',
    ],
  },
  classification: {
    architecture: 'ViTForImageClassification',
    wrapper: 'vit.',
    isWanted: (name) => !isOfDecoder(name),
    pipeline: 'image-classification',
    output: 'logits',
    refuses: ({ classifier }) => {
      if (!classifier) return 'The weights have no head of a classifier'
      return classifier.head === 'plain-cls'
        ? 'Its head reads cls before the norm, which no class of transformers does: export it as ONNX (sherd export onnx)'
        : null
    },
    config: (model) => ({ model_type: 'vit', ...classesOf(model) }),
    usage: usageOf(
      'ViTForImageClassification',
      'label = model.config.id2label[model(**inputs).logits.argmax().item()]',
    ),
    notes: [],
  },
}

const classesOf = ({ classifier }: ExportedModel): Record<string, unknown> => ({
  ...(classifier!.isMultiLabel && { problem_type: 'multi_label_classification' }),
  id2label: Object.fromEntries(classifier!.classes.map((name, i) => [String(i), name])),
  label2id: Object.fromEntries(classifier!.classes.map((name, i) => [name, i])),
})

/** Classifiers whose head does not read cls, by what it reads. */
const meanPooled: Partial<Record<Head, TaskRow>> = {
  mean: {
    ...tasks.classification,
    ...{ architecture: 'BeitForImageClassification', wrapper: 'beit.', rename: beitArrays },
    config: (model) => ({ ...beitConfig, ...classesOf(model) }),
    usage: usageOf(
      'BeitForImageClassification',
      'label = model.config.id2label[model(**inputs).logits.argmax().item()]',
    ),
    notes: [
      'BEiT is the class of transformers that norms the mean of the patches, as this head does. It has no bias of keys, which changes no attention: it adds the same number for every key.',
    ],
  },
  'normed-mean': {
    ...tasks.classification,
    ...{ architecture: 'Dinov2ForImageClassification', wrapper: 'dinov2.', rename: dinov2Arrays },
    refuses: ({ dimensions: { imageSize, patchSize } }) =>
      [imageSize, patchSize].every(([h, w]) => h === w)
        ? null
        : "transformers' DINOv2 takes square images and patches only: export it as ONNX (sherd export onnx)",
    config: (model) => ({ ...dinov2Config(model), ...classesOf(model) }),
    usage: usageOf(
      'Dinov2ForImageClassification',
      'label = model.config.id2label[model(**inputs).logits.argmax().item()]',
    ),
    notes: [
      'DINOv2 is the class of transformers whose head reads the mean of the patches behind the norm. It reads cls, too, with weights of 0, and scales its layers, by 1.',
    ],
  },
}

const rowOf = (task: HuggingfaceTask, { classifier }: ExportedModel): TaskRow =>
  (task === 'classification' && classifier && meanPooled[classifier.head]) || tasks[task]

const usualTask = ({ classifier, hasDecoder }: ExportedModel): HuggingfaceTask =>
  classifier ? 'classification' : hasDecoder ? 'pretraining' : 'encoder'

const sideOf = ([height, width]: readonly [number, number]) => (height === width ? height : [height, width])

function configOf(model: ExportedModel, row: TaskRow): Record<string, unknown> {
  const { dimensions: d, statistics } = model
  const bands = bandsOf(model.config)
  return {
    architectures: [row.architecture],
    ...row.config(model),
    hidden_size: d.width,
    num_hidden_layers: d.depth,
    num_attention_heads: d.heads,
    intermediate_size: hiddenWidth(d),
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    initializer_range: 0.02,
    layer_norm_eps: d.layerNormEpsilon,
    image_size: sideOf(d.imageSize),
    patch_size: shortSize(d.patchSize),
    num_channels: d.channels,
    qkv_bias: true,
    torch_dtype: 'float32',
    ...(bands && { sherd: { bands, ...statistics } }),
  }
}

/**
 * Prepares images as evaluation does here: the largest centre crop, resized bicubically. For models that are not square images are
 * stretched, since no processor crops by aspect ratio. Rasters have no preprocessor.
 */
function preprocessorOf({
  dimensions: { imageSize },
  statistics,
}: Pick<ExportedModel, 'dimensions' | 'statistics'>): Record<string, unknown> {
  const [height, width] = imageSize
  const crop = { do_center_crop: true, crop_size: { height, width }, size: { shortest_edge: height } }
  return {
    image_processor_type: height === width ? 'BitImageProcessor' : 'ViTImageProcessor',
    do_convert_rgb: statistics.mean.length === 3,
    do_resize: true,
    ...(height === width ? crop : { size: { height, width } }),
    resample: 3, // bicubic
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: statistics.mean,
    image_std: statistics.std,
  }
}

const webPackage = JSON.stringify('@huggingface/transformers') // quoted in the card, not imported

const webUsage = (pipeline: string) => `
import { pipeline } from ${webPackage}

const run = await pipeline("${pipeline}", FOLDER)
run.processor.image_processor.resample = 1 // Lanczos: in Node its bicubic has no antialiasing
${pipeline === 'image-classification' ? 'const [{ label, score }] = await run(image)' : 'const tokens = await run(image)  // [1, 1 + patches, width]: cls, then the patches row by row'}
`

interface Graphs {
  readonly onnx: readonly HuggingfaceOnnx[]
  readonly warnings: readonly string[]
}

/** The requested graphs; by default those that can be made. */
async function graphsOf(
  model: ExportedModel,
  { out, onnx: wanted, ...watch }: Pick<HuggingfaceOptions, 'out' | 'onnx'> & FolderWatch,
  { output }: TaskRow,
): Promise<Graphs> {
  if (watch.proofs === undefined) removeOnnx(out)
  const dtypes = wanted ?? ['fp32']
  if (dtypes.length === 0) return { onnx: [], warnings: [] }
  try {
    return { onnx: await writeOnnx(model, { out, dtypes, output }, watch), warnings: [] }
  } catch (error) {
    const isMissing =
      error instanceof SherdError && (error.code === 'ENGINE_MISSING' || error.code === 'ENGINE_BUILD')
    if (wanted || !isMissing) throw error
    const [why] = messageOf(error).split(/(?<=\.)\s|\n/) // without the installation hints
    return { onnx: [], warnings: [`No onnx/ for transformers.js was written: ${why} The rest is complete.`] }
  }
}

/** Throws `USAGE` for a model that transformers cannot hold, errors of reading, and as `writeOnnx`. */
export async function exportHuggingface({
  out,
  task,
  onnx: wanted,
  proofs,
  onPhase,
  onProgress,
  signal,
  ...request
}: HuggingfaceOptions): Promise<ExportedFolder> {
  const watch = { proofs, onPhase, onProgress, signal }
  const nothing = { done: 0, of: 1, unit: 'folders', continues: false }
  onPhase?.('reading the weights')
  await pause(signal, nothing)
  const model = await openExported(request)
  const chosen = task ?? usualTask(model)
  const row = rowOf(chosen, model)
  const refusal = row.refuses(model)
  if (refusal !== null) throw new SherdError('USAGE', `--task ${chosen}: ${refusal}.`)
  const named = inLayout(model, row.rename === beitArrays ? withPooler : layouts.huggingface, row)
  const arrays = row.rename?.(named, model) ?? named
  const isRaster = model.config.data.kind === 'rasters'
  const [height, width] = model.dimensions.imageSize
  const { onnx, warnings } = await graphsOf(model, { out, onnx: wanted, ...watch }, row)
  const card = modelCard(model, {
    title: `${row.architecture} of sherd`,
    tags: { library_name: 'transformers', pipeline_tag: row.pipeline },
    usage: isRaster
      ? row.usage.replace(/^inputs = .*$/m, 'inputs = {"pixel_values": bands}  # [B, C, H, W], see below')
      : row.usage,
    ...(onnx.length > 0 && !isRaster && { webUsage: webUsage(row.pipeline) }),
    notes: [
      ...row.notes,
      ...(height === width || isRaster
        ? []
        : ["The processor stretches images to the model's sides; sherd crops them first."]),
      ...(onnx.length > 0 && !isRaster
        ? [
            'transformers.js resizes in its own way: features of images that are not yet of this size differ from those of Python and of sherd. Give it images of this size where that matters.',
          ]
        : []),
    ],
  })
  const json = {
    ...(!isRaster && { 'preprocessor_config.json': preprocessorOf(model) }),
    'config.json': { ...configOf(model, row), ...preferredDtype(onnx.map(({ dtype }) => dtype)) },
  }
  onPhase?.('writing the weights')
  const kept = { done: onnx.length, of: onnx.length, unit: 'graphs', continues: proofs !== undefined }
  await pause(signal, onnx.length > 0 ? kept : nothing)
  const files = [...writeFolder(out, { arrays, json, card }), ...onnx.map(({ file }) => file)]
  return {
    ...{ task: chosen, architecture: row.architecture, files, onnx },
    warnings: [...(model.warnings ?? []), ...warnings],
  }
}
