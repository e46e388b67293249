/**
 * Writes a folder for `timm.create_model('local-dir:FOLDER', pretrained=True)`: of the function that computes what the encoder does
 * (`timm-classes.ts`); position tables are written out, and the dimensions go into `model_args`.
 */

import { bandsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import type { Head } from '../model/classifier.ts'
import { isOfDecoder } from '../model/decoder/names.ts'
import { shortSize } from '../token/grid.ts'
import type { EncoderRequest } from '../weights/open-encoder.ts'
import type { ExportedFolder } from './export-huggingface.ts'
import { type ExportedModel, inLayout, openExported, writeFolder } from './exported-model.ts'
import { inputSizeOf, timmPreparation, unsaidPreparation } from './image-processor.ts'
import { modelCard } from './model-card.ts'
import { writtenPositions } from './position-table.ts'
import { mlpRatio, type TimmClass, timmClassOf } from './timm-classes.ts'

export interface TimmOptions extends Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'set'> {
  readonly out: string
}

const usageOf = (architecture: string) => `
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
# older versions: timm.create_model("${architecture}", checkpoint_path="FOLDER/model.safetensors", **model_args)
tokens = model.forward_features(pixels)  # cls and registers where there are, then the patches row by row
`

/** What the head or the encoder's own output reads, in timm's words. By default timm norms the mean behind it, and not the tokens. */
function poolOf({ classifier, arrays, config }: ExportedModel, { name }: TimmClass): Record<string, unknown> {
  const head: Head | null = classifier?.head ?? null
  if (head === 'cls') return { global_pool: 'token' }
  if (head === 'mean') return { global_pool: 'avg' }
  const ofTokens =
    name === 'VisionTransformer' ? { fc_norm: false } : name === 'Beit' ? { use_fc_norm: false } : {}
  if (head === 'normed-mean') return { global_pool: 'avg', ...ofTokens }
  if (head !== null)
    throw new SherdError(
      'USAGE',
      head === 'plain-cls'
        ? 'Its head reads the cls token before any norm, and timm has no classifier that does.'
        : `Its head reads "${head}", and timm has no classifier that does.`,
    )
  if (arrays.has('attn_pool.latent')) return { global_pool: 'map' }
  if (arrays.has('fc_norm.weight')) return { global_pool: 'avg' }
  const isMean = !arrays.has('cls_token') || (name !== 'VisionTransformer' && config.model.feature === 'mean')
  return isMean ? { global_pool: 'avg', ...ofTokens } : { global_pool: 'token' }
}

/** The function of timm for a model. Throws `USAGE` where there is none; `cost`: what its epsilon would change, as a sentence. */
export function timmFor(
  model: ExportedModel,
  cost = '',
): { row: TimmClass; pooling: Record<string, unknown> } {
  const row = timmClassOf(model)
  const pooling = poolOf(model, row)
  const { layerNormEpsilon } = model.dimensions
  if (layerNormEpsilon !== row.epsilon)
    throw new SherdError(
      'USAGE',
      `timm's layer norms add ${row.epsilon}, this model's ${layerNormEpsilon}, and its files cannot say another: it would compute something else.${cost} Export it for Hugging Face.`,
    )
  return { row, pooling }
}

/** What another epsilon would change, as a sentence; empty where it is the same, and where LibTorch is missing. */
async function costOf(model: ExportedModel): Promise<string> {
  const { epsilon } = timmClassOf(model)
  if (model.dimensions.layerNormEpsilon === epsilon) return ''
  try {
    const { epsilonCost } = await import('./epsilon-cost.ts')
    const { largest, cosine } = epsilonCost(model, epsilon)
    return ` With timm's, tokens of random images would differ by up to ${largest.toExponential(1)} (smallest cosine ${cosine.toFixed(6)}).`
  } catch {
    return ''
  }
}

/** Throws `USAGE` for a model that timm cannot hold, and errors of reading. */
export async function exportTimm({ out, ...request }: TimmOptions): Promise<ExportedFolder> {
  const model = await openExported(request)
  const { dimensions: d, classifier, statistics } = model
  const bands = bandsOf(model.config)
  const { row, pooling } = timmFor(model, await costOf(model))
  const architecture = row.architecture(model)
  const positions = writtenPositions(model, { resampling: 'cubic-antialias', resamplesItself: true })
  const isOwnSize = positions.imageSize.join() === d.imageSize.join()
  const hasRegisters = model.arrays.has('register_tokens')
  const arrays = inLayout(model, row.layout, {
    wrapper: '',
    isWanted: (name) => !isOfDecoder(name),
    ...{
      positions: positions.table,
      hasClsRow: row.hasClsRow && !hasRegisters,
      ours: row.ours && ((all) => row.ours!(all, model)),
    },
  })
  const classes = classifier?.classes ?? []
  const outputs = arrays.get('head.weight')?.shape[0] ?? 0
  const [height, width] = inputSizeOf(model)
  const [tall, wide] = isOwnSize ? [height, width] : positions.imageSize
  const side = tall === wide ? tall : [tall, wide]
  const prepared = timmPreparation(model)
  const pretrained = {
    tag: 'sherd',
    custom_load: false,
    input_size: [d.channels, height, width],
    fixed_input_size: isOwnSize,
    ...prepared.config,
    ...(!bands && { mean: statistics.mean, std: statistics.std }),
    num_classes: outputs,
    pool_size: null,
    first_conv: 'patch_embed.proj',
    classifier: 'head',
  }
  const json = {
    'config.json': {
      architecture,
      num_classes: outputs,
      num_features: d.width,
      global_pool: pooling.global_pool,
      ...(classes.length > 0 && { label_names: classes }),
      model_args: {
        img_size: side,
        patch_size: shortSize(d.patchSize),
        in_chans: d.channels,
        num_classes: outputs,
        ...pooling,
        embed_dim: d.width,
        depth: d.depth,
        num_heads: d.heads,
        mlp_ratio: mlpRatio(model),
        ...row.args?.(model),
        ...(!isOwnSize && { dynamic_img_size: true }),
      },
      pretrained_cfg: pretrained,
      ...unsaidPreparation(model, { config: { pretrained_cfg: pretrained }, preprocessor: null }),
      ...(bands && { sherd: { bands, ...statistics } }),
    },
  }
  const card = modelCard(model, {
    title: `${row.name} of sherd`,
    tags: {
      library_name: 'timm',
      pipeline_tag: classifier ? 'image-classification' : 'image-feature-extraction',
    },
    usage: usageOf(architecture),
    notes: [
      ...(model.hasDecoder ? ['The decoder is not in this folder: timm has none.'] : []),
      ...(row.notes?.(model) ?? []),
      ...positions.notes,
      ...(bands ? [] : prepared.notes),
    ],
  })
  const files = writeFolder(out, { arrays, json, card })
  const task = classifier ? 'classification' : 'encoder'
  const warnings = [
    ...(model.warnings ?? []),
    ...(classifier?.isMultiLabel
      ? [
          "Its classes do not exclude each other, which timm's configuration cannot say: take the sigmoid of its logits.",
        ]
      : []),
  ]
  return { task, architecture: row.name, files, warnings }
}
