/** The image processors of transformers whose steps are done here, with what they do where a file does not say. */

export interface Processor {
  /** What an old file's single number means: both sides, or the shorter one. */
  readonly isSquare: boolean
  readonly size: number
  readonly cropSize: number | null
  readonly resample: 2 | 3
  readonly statistics: 'half' | 'imagenet' | 'clip'
  /** Scales before it resizes, so that resized values are never rounded. */
  readonly isExact?: boolean
  /** Sizes follow each image, within a number of patches. */
  readonly isOfPatches?: boolean
}

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const clip = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
}
const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }

/** Of published encoders, by name. */
export const knownStatistics = { imagenet, clip, half } as const

const squashed = { isSquare: true, size: 224, cropSize: null } as const
const cut = { isSquare: false, size: 224, cropSize: 224, resample: 3 } as const

/** By class, without `ImageProcessor` or `FeatureExtractor`. From transformers 5.24. */
export const processors: Readonly<Record<string, Processor>> = {
  ViT: { ...squashed, resample: 2, statistics: 'half' },
  Beit: { ...squashed, resample: 3, statistics: 'half' },
  DeiT: { isSquare: true, size: 256, cropSize: 224, resample: 3, statistics: 'half' },
  Siglip: { ...squashed, resample: 3, statistics: 'half' },
  Siglip2: { ...squashed, resample: 2, statistics: 'half', isOfPatches: true },
  Bit: { ...cut, statistics: 'clip' },
  CLIP: { ...cut, statistics: 'clip' },
  DINOv3ViT: { ...squashed, resample: 2, statistics: 'imagenet', isExact: true },
}

/** The processor of a model's type, for files that do not name theirs. */
export const processorOfModel: Readonly<Record<string, string>> = {
  ...{ vit: 'ViT', vit_mae: 'ViT', vit_msn: 'ViT', ijepa: 'ViT', deit: 'DeiT' },
  ...{ beit: 'Beit', 'data2vec-vision': 'Beit', dinov2: 'Bit', dinov2_with_registers: 'Bit' },
  ...{ dinov3_vit: 'DINOv3ViT', clip: 'CLIP', clip_vision_model: 'CLIP' },
  ...{ siglip: 'Siglip', siglip_vision_model: 'Siglip', siglip2: 'Siglip2', siglip2_vision_model: 'Siglip2' },
}

/** Steps that are done here, or that change no pixels of a model's input. */
export const doneSteps: readonly string[] = [
  ...['do_resize', 'do_center_crop', 'do_rescale', 'do_normalize', 'do_convert_rgb', 'do_reduce_labels'],
]
