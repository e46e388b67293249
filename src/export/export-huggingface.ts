/**
 * Writes a folder for Hugging Face's transformers: an autoencoder, or the class that computes what the encoder does (`huggingface-classes.ts`),
 * with or without a head. Names follow the layout's rows; fixed position tables are written out.
 */

import type { FloatArray } from '../checkpoint/arrays.ts'
import { autoencoderOf, bandsOf, decoderKeysOf, pixelTargetOf } from '../config/resolve.ts'
import { messageOf, pause, SherdError } from '../errors.ts'
import type { Head } from '../model/classifier.ts'
import { isOfDecoder } from '../model/decoder/names.ts'
import { decoderBlocks, encoderBlocks, hiddenWidth } from '../model/dimensions.ts'
import { shortSize } from '../token/grid.ts'
import { meanRatio } from '../token/mask-ratio.ts'
import type { EncoderRequest } from '../weights/open-encoder.ts'
import { cardScores } from './card-scores.ts'
import { type ExportedModel, inLayout, openExported, writeFolder } from './exported-model.ts'
import {
  activationName,
  beit,
  classFor,
  type EncoderClass,
  ijepa,
  squaresAlone,
  vit,
} from './huggingface-classes.ts'
import type { HuggingfaceOutput } from './huggingface-graph.ts'
import {
  type FolderWatch,
  type HuggingfaceDtype,
  type HuggingfaceOnnx,
  preferredDtype,
  removeOnnx,
  writeOnnx,
} from './huggingface-onnx.ts'
import { huggingfaceProcessor, inputSizeOf, unsaidPreparation } from './image-processor.ts'
import { modelCard } from './model-card.ts'
import { writtenPositions } from './position-table.ts'
import { isPlain, traitsOf } from './traits.ts'

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
  /** Leaves `preprocessor_config.json` out, for models whose images no processor of transformers prepares. */
  readonly withoutProcessor?: boolean
  /** Reports of `sherd evaluate` on these weights, for the model card. */
  readonly reports?: readonly string[] | undefined
  /** For the model card, as the hub names it. */
  readonly license?: string | undefined
}

export interface ExportedFolder {
  readonly task: string
  /** The class of transformers that loads it. */
  readonly architecture: string
  readonly files: readonly string[]
  readonly onnx?: readonly HuggingfaceOnnx[]
  readonly warnings: readonly string[]
}

/** What is written for a task. */
interface Task {
  readonly architecture: string
  readonly of: EncoderClass
  readonly wrapper: string
  readonly isWanted: (name: string) => boolean
  readonly pipeline: string
  /** Output of the graph for transformers.js; null: there is none. */
  readonly output: HuggingfaceOutput | null
  readonly config: Readonly<Record<string, unknown>>
  readonly usage: string
  readonly notes: readonly string[]
}

const isHead = (name: string) => /^(?:head|fc_norm)\./.test(name)

const usageOf = (architecture: string, result: string, more = '') => `
from transformers import AutoImageProcessor, ${architecture}

model = ${architecture}.from_pretrained(FOLDER${more}).eval()
inputs = AutoImageProcessor.from_pretrained(FOLDER)(image, return_tensors="pt")
${result}
`

const refused = (task: HuggingfaceTask, why: string): never => {
  throw new SherdError('USAGE', `--task ${task}: ${why}.`)
}
const orRefused = (task: HuggingfaceTask, why: string | null) => why !== null && refused(task, why)

/** Throws `USAGE` for a model that no class of transformers computes. */
function classOf(task: HuggingfaceTask, model: ExportedModel, head: Head | null = null): EncoderClass {
  const { found, ...not } = classFor(traitsOf(model), head)
  if (!found) return refused(task, `${'why' in not ? not.why : ''}: export it as ONNX (sherd export onnx)`)
  orRefused(task, found.refuses(model))
  return found
}

/** How each task is made of a model; throws `USAGE` where it cannot be. */
const tasks: Record<HuggingfaceTask, (model: ExportedModel) => Task> = {
  pretraining(model) {
    const { config } = model
    const decoder = decoderKeysOf(config)
    if (decoder && decoder.kind !== 'transformer')
      return refused('pretraining', `A decoder of ${decoder.kind} is in no class of transformers`)
    if (!model.hasDecoder || !('decoder' in config))
      return refused('pretraining', 'The weights have no decoder')
    const target = pixelTargetOf(config)
    if (!target)
      return refused(
        'pretraining',
        'A decoder that predicts something else than pixels is in no class of transformers',
      )
    if (target.scales)
      return refused('pretraining', 'A decoder of several scales is in no class of transformers')
    if (!isPlain(traitsOf(model)))
      return refused(
        'pretraining',
        "transformers' ViTMAE has a plain ViT only: --task encoder exports its encoder",
      )
    orRefused('pretraining', squaresAlone('ViTMAE')(model))
    return {
      ...{
        architecture: 'ViTMAEForPreTraining',
        of: vit,
        wrapper: 'vit.',
        isWanted: (name) => !isHead(name),
      },
      ...{ pipeline: 'image-feature-extraction', output: 'last_hidden_state' },
      config: {
        model_type: 'vit_mae',
        decoder_hidden_size: config.decoder.width,
        decoder_num_hidden_layers: config.decoder.depth,
        decoder_num_attention_heads: config.decoder.heads,
        decoder_intermediate_size: hiddenWidth(decoderBlocks(autoencoderOf(config))),
        mask_ratio: meanRatio(config.mask),
        norm_pix_loss: target.normalize,
        qkv_bias: true,
      },
      usage: usageOf('ViTMAEForPreTraining', 'loss = model(**inputs).loss  # masks at random'),
      notes: [
        "transformers' ViTMAE masks at random each time, for features as well: pass `noise` for the same mask. `onnx/` masks nothing.",
      ],
    }
  },
  encoder(model) {
    const { arrays } = model
    const of = classOf('encoder', model)
    if (of === beit && !model.dimensions.variant?.relativePositions && !arrays.has('norm.weight'))
      return refused(
        'encoder',
        'A classifier of the mean of patches has no norm behind its encoder: leave --task out, and it is exported with its head',
      )
    const architecture = (arrays.has('projection.weight') && of.projected) || of.architecture
    const result = architecture === of.projected ? 'image_embeds' : 'last_hidden_state'
    return {
      ...{ architecture, of, wrapper: of.wrapper ?? '' },
      isWanted: (name) => !/^head\./.test(name) && !isOfDecoder(name),
      pipeline: 'image-feature-extraction',
      output: of.givesTokens ? 'last_hidden_state' : null,
      config: of.config(model),
      usage: usageOf(
        architecture,
        result === 'image_embeds'
          ? 'features = model(**inputs).image_embeds'
          : 'tokens = model(**inputs).last_hidden_state  # cls and registers where there are, then the patches row by row',
        of.usage,
      ),
      notes: of.notes ?? [],
    }
  },
  classification(model) {
    const { classifier } = model
    if (!classifier) return refused('classification', 'The weights have no head of a classifier')
    const of = classOf('classification', model, classifier.head)
    const { architecture, wrapper } = of.classifier!
    return {
      ...{ architecture, of, wrapper, isWanted: (name) => !isOfDecoder(name) },
      ...{ pipeline: 'image-classification', output: 'logits' },
      config: { ...of.config(model), ...classesOf(model) },
      usage: usageOf(architecture, 'label = model.config.id2label[model(**inputs).logits.argmax().item()]'),
      notes: of === vit || of === ijepa ? [] : (of.notes ?? []),
    }
  },
}

/** The class of transformers for a classifier. Throws `USAGE` where there is none, or no processor that prepares images as it was measured. */
export function classifierClass(model: ExportedModel): string {
  huggingfaceProcessor(model)
  return tasks.classification(model).architecture
}

const classesOf = ({ classifier }: ExportedModel): Record<string, unknown> => ({
  ...(classifier!.isMultiLabel && { problem_type: 'multi_label_classification' }),
  id2label: Object.fromEntries(classifier!.classes.map((name, i) => [String(i), name])),
  label2id: Object.fromEntries(classifier!.classes.map((name, i) => [name, i])),
})

/** The head's weights as the class has them, beside what the class makes of the encoder's. */
const oursFor =
  (task: HuggingfaceTask, { of }: Task, model: ExportedModel) =>
  (arrays: ExportedModel['arrays']): Map<string, FloatArray> => {
    const made = new Map(of.ours?.(arrays, model) ?? arrays)
    const change = task === 'classification' && of.classifier?.heads[model.classifier!.head]
    const weight = made.get('head.weight')
    if (change && weight) made.set('head.weight', change(weight))
    return made
  }

const usualTask = ({ classifier, hasDecoder }: ExportedModel): HuggingfaceTask =>
  classifier ? 'classification' : hasDecoder ? 'pretraining' : 'encoder'

const sideOf = ([height, width]: readonly [number, number]) => (height === width ? height : [height, width])

function configOf(
  model: ExportedModel,
  { architecture, config }: Task,
  imageSize: readonly [number, number],
): Record<string, unknown> {
  const { dimensions: d, statistics } = model
  const bands = bandsOf(model.config)
  return {
    architectures: [architecture],
    ...config,
    hidden_size: d.width,
    num_hidden_layers: d.depth,
    num_attention_heads: d.heads,
    intermediate_size: hiddenWidth(encoderBlocks(d)),
    hidden_act: activationName(model),
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    attention_dropout: 0,
    initializer_range: 0.02,
    layer_norm_eps: d.layerNormEpsilon,
    image_size: sideOf(imageSize),
    patch_size: shortSize(d.patchSize),
    num_channels: d.channels,
    torch_dtype: 'float32',
    ...(bands && { sherd: { bands, ...statistics } }),
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
  { architecture, output }: Task,
): Promise<Graphs> {
  if (watch.proofs === undefined) removeOnnx(out)
  const dtypes = wanted ?? ['fp32']
  if (output === null && wanted && wanted.length > 0)
    throw new SherdError(
      'USAGE',
      `No graph for transformers.js is made of ${architecture}, whose inputs or outputs are others than sherd's: leave --onnx out, or take "sherd export onnx".`,
    )
  if (dtypes.length === 0 || output === null) return { onnx: [], warnings: [] }
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
  withoutProcessor = false,
  reports = [],
  license,
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
  const scores = cardScores(reports, { model: request.model, found: model })
  const chosen = task ?? usualTask(model)
  const row = tasks[chosen](model)
  const { of, wrapper, isWanted } = row
  const written = writtenPositions(model, of)
  const arrays = inLayout(model, of.layout, {
    ...{ wrapper, isWanted, hasClsRow: of.hasClsRow, positions: written.table },
    ours: oursFor(chosen, row, model),
  })
  for (const [name, { shape, data }] of Object.entries(of.more?.(model) ?? {}))
    arrays.set(wrapper + name, { dtype: 'float32', shape, data })
  const isRaster = model.config.data.kind === 'rasters'
  const processor = isRaster || withoutProcessor ? null : huggingfaceProcessor(model)
  const { onnx, warnings } = await graphsOf(model, { out, onnx: wanted, ...watch }, row)
  const card = modelCard(model, {
    title: `${row.architecture} of sherd`,
    tags: { library_name: 'transformers', pipeline_tag: row.pipeline },
    ...{ scores, license },
    usage: isRaster
      ? row.usage.replace(/^inputs = .*$/m, 'inputs = {"pixel_values": bands}  # [B, C, H, W], see below')
      : row.usage,
    ...(onnx.length > 0 && !isRaster && { webUsage: webUsage(row.pipeline) }),
    notes: [
      ...row.notes,
      ...(of.notesOf?.(model) ?? []),
      ...written.notes,
      ...(processor?.notes ?? []),
      ...(processor || isRaster ? [] : ['It has no preprocessor_config.json: images must be of its size.']),
      ...(onnx.length > 0 && !isRaster
        ? [
            'transformers.js resizes in its own way: features of images that are not yet of this size differ from those of Python and of sherd. Give it images of this size where that matters.',
          ]
        : []),
    ],
  })
  const isOwnSize = written.imageSize.join() === model.dimensions.imageSize.join()
  const usual = isOwnSize ? inputSizeOf(model) : written.imageSize
  const config = configOf(model, row, of.imageSize?.(model) ?? usual)
  const json = {
    ...(processor && { 'preprocessor_config.json': processor.config }),
    'config.json': {
      ...config,
      ...unsaidPreparation(model, { config, preprocessor: processor?.config ?? null }),
      ...preferredDtype(onnx.map(({ dtype }) => dtype)),
    },
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
