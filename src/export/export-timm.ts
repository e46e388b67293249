/**
 * Writes a folder for `timm.create_model('local-dir:FOLDER', pretrained=True)`. timm's VisionTransformer has the same names; the
 * position table is written out, and the dimensions go into `model_args`.
 */

import { bandsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { layouts } from '../import/layouts.ts'
import { shortSize } from '../token/grid.ts'
import type { EncoderRequest } from '../weights/open-encoder.ts'
import type { ExportedFolder } from './export-huggingface.ts'
import { inLayout, openExported, writeFolder } from './exported-model.ts'
import { modelCard } from './model-card.ts'

export interface TimmOptions extends Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'set'> {
  readonly out: string
}

/** Any ViT of timm: `model_args` overrides all of it. */
const ARCHITECTURE = 'vit_base_patch16_224'
const EPSILON = 1e-6 // fixed in timm

const usage = `
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
# older versions: timm.create_model("${ARCHITECTURE}", checkpoint_path="FOLDER/model.safetensors", **model_args)
tokens = model.forward_features(pixels)  # cls, then the patches row by row
`

/** Throws `USAGE` for a model that timm cannot hold, and errors of reading. */
export async function exportTimm({ out, ...request }: TimmOptions): Promise<ExportedFolder> {
  const model = await openExported(request)
  const { dimensions: d, classifier, statistics } = model
  const bands = bandsOf(model.config)
  if (d.layerNormEpsilon !== EPSILON)
    throw new SherdError(
      'USAGE',
      `timm's layer norms add ${EPSILON}, this model's ${d.layerNormEpsilon}: it would compute something else. Export it for Hugging Face.`,
    )
  const arrays = inLayout(model, layouts.timm, {
    wrapper: '',
    isWanted: (name) => !/^(?:decoder_|mask_token$|upscale\.)/.test(name),
  })
  if (classifier?.head === 'plain-cls')
    throw new SherdError(
      'USAGE',
      'Its head reads the cls token before any norm, and timm has no classifier that does.',
    )
  const pooling = classifier?.head ?? 'cls'
  const pool = pooling === 'cls' ? 'token' : 'avg'
  const classes = classifier?.classes ?? []
  const [height, width] = d.imageSize
  const side = height === width ? height : [height, width]
  const json = {
    'config.json': {
      architecture: ARCHITECTURE,
      num_classes: classes.length,
      num_features: d.width,
      global_pool: pool,
      ...(classes.length > 0 && { label_names: classes }),
      model_args: {
        img_size: side,
        patch_size: shortSize(d.patchSize),
        in_chans: d.channels,
        num_classes: classes.length,
        global_pool: pool,
        ...(pooling === 'normed-mean' && { fc_norm: false }), // by default timm norms the mean instead
        embed_dim: d.width,
        depth: d.depth,
        num_heads: d.heads,
        mlp_ratio: d.mlpRatio,
      },
      pretrained_cfg: {
        tag: 'sherd',
        custom_load: false,
        input_size: [d.channels, height, width],
        fixed_input_size: true,
        interpolation: 'bicubic',
        crop_pct: 1,
        crop_mode: 'center',
        ...(!bands && { mean: statistics.mean, std: statistics.std }),
        num_classes: classes.length,
        pool_size: null,
        first_conv: 'patch_embed.proj',
        classifier: 'head',
      },
      ...(bands && { sherd: { bands, ...statistics } }),
    },
  }
  const card = modelCard(model, {
    title: 'VisionTransformer of sherd',
    tags: {
      library_name: 'timm',
      pipeline_tag: classifier ? 'image-classification' : 'image-feature-extraction',
    },
    usage,
    notes: model.hasDecoder ? ['The decoder is not in this folder: timm has none.'] : [],
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
  return { task, architecture: 'VisionTransformer', files, warnings }
}
