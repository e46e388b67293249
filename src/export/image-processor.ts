/** What other libraries need to prepare images as the model was measured with; refused where none of theirs does it. */
import { fittingOf } from '../config/assemble.ts'
import { resolveConfig } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { preprocessingOf } from '../import/preprocessing.ts'
import { type Fitting, scaledSide } from '../prepare/fit.ts'
import type { ExportedModel } from './exported-model.ts'

type Prepared = Pick<ExportedModel, 'config' | 'dimensions' | 'statistics'>

interface Preparation {
  readonly config: Record<string, unknown>
  /** In what they differ from sherd, for the card. */
  readonly notes: readonly string[]
}

const rulesOf = ({ config: { data } }: Prepared) =>
  data.kind === 'images'
    ? data
    : { interpolation: 'bicubic' as const, fill: null, colours: 'stored' as const }

const coloursNotes: Readonly<Record<string, readonly string[]>> = {
  shown: [
    'sherd lays transparent images over white and applies colour profiles; PIL\'s convert("RGB") does neither.',
  ],
  stored: [],
  resized: [
    'Transparent and CMYK images were resized before they became RGB here; this makes them RGB first.',
  ],
}

const boxNote =
  "The largest centred box alone was resized here; this resizes the whole image and then cuts, so that pixels at the cut's edges differ a little."

function refuse(what: string): never {
  throw new SherdError(
    'USAGE',
    `No image processor of transformers ${what}, as this model was measured with: a folder with another one would compute other features. Export it without (--no-processor), for timm or as ONNX.`,
  )
}

const centredBox = {
  ...{ resize: 'box', inputSize: null, cropShare: 1, cutRule: 'before', isExact: false },
} as const satisfies Fitting

/** What images are brought to: the model's size, or one that its patches do not fill. */
export const inputSizeOf = ({ config, dimensions }: Pick<Prepared, 'config' | 'dimensions'>) =>
  fittingOf(config)?.inputSize ?? dimensions.imageSize

/** `preprocessor_config.json`. Throws `USAGE` where no processor of transformers does the same. */
export function huggingfaceProcessor(model: Prepared): Preparation {
  const { config, dimensions, statistics } = model
  const fitting: Fitting = fittingOf(config) ?? centredBox
  const { resize, inputSize, cropShare, cutRule, isExact, budget } = fitting
  const [height, width] = inputSize ?? dimensions.imageSize
  const { interpolation, colours } = rulesOf(model)
  const isSquare = height === width
  const scaled = { height: scaledSide(height, cropShare), width: scaledSide(width, cropShare) }
  const crop = { do_center_crop: true, crop_size: { height, width } }
  const common = {
    ...{ do_convert_rgb: statistics.mean.length === 3, do_resize: true },
    resample: interpolation === 'bilinear' ? 2 : 3,
    ...{ do_rescale: true, rescale_factor: 1 / 255 },
    ...{ do_normalize: true, image_mean: statistics.mean, image_std: statistics.std },
  }
  const made = (type: string, size: object, notes: readonly string[] = []): Preparation => ({
    config: { image_processor_type: type, ...common, ...size },
    notes: [...notes, ...coloursNotes[colours]!],
  })
  const isWhole = resize === 'squash' && cropShare === 1
  if (isExact && !isWhole) refuse('resizes without rounding and then cuts (data.rounding none)')
  if (budget) {
    const { most: max_num_patches, patch } = budget
    return made('Siglip2ImageProcessor', { patch_size: patch[0], max_num_patches })
  }
  if (resize === 'longest') refuse('fills images up (data.resize longest)')
  if (resize === 'squash') {
    if (isWhole) return made(isExact ? 'DINOv3ViTImageProcessorFast' : 'ViTImageProcessor', { size: scaled })
    return made('BeitImageProcessor', { size: scaled, ...crop })
  }
  if (!isSquare) refuse(`cuts ${height} × ${width} out of images by their shape (data.resize ${resize})`)
  const notes =
    resize === 'box'
      ? [boxNote]
      : cutRule === 'even'
        ? ['Cuts that begin at half a pixel may lie one pixel beside those of sherd (data.cutRule even).']
        : []
  return made('BitImageProcessor', { size: { shortest_edge: scaled.height }, ...crop }, notes)
}

/** For `config.json`: the keys of `data`, where importing what is said beside would not give them. */
export function unsaidPreparation(
  { config: { data } }: Prepared,
  beside: { readonly config: Record<string, unknown>; readonly preprocessor: Record<string, unknown> | null },
): Record<string, unknown> {
  if (data.kind !== 'images') return {}
  const { resize, maxPatches, cropShare, cutRule, interpolation, fill, rounding, colours } = data // inputSize follows from the size of images
  const own = { resize, maxPatches, cropShare, cutRule, interpolation, fill, rounding, colours }
  const read = resolveConfig({ data: preprocessingOf({ path: 'its own folder', ...beside }).data }).data
  const isSaid = Object.entries(own).every(
    ([key, value]) => JSON.stringify(value) === JSON.stringify(read[key as keyof typeof read]),
  )
  return isSaid ? {} : { sherd: { preparation: own } }
}

const timmModes = {
  ...{ box: 'center', shortest: 'center', squash: 'squash', longest: 'border' },
  patches: 'squash', // of one size: no class of timm takes others (timm-classes.ts)
} as const

/** The part of timm's `pretrained_cfg` about images. Throws `USAGE` where timm fills images up with another colour. */
export function timmPreparation(model: Prepared): Preparation {
  const { config, statistics } = model
  const { resize, cropShare, cutRule, isExact } = fittingOf(config) ?? centredBox
  const { interpolation, colours, fill } = rulesOf(model)
  const mean = statistics.mean.map((value) => Math.round(255 * value))
  if (resize === 'longest' && mean.join() !== (fill ?? mean.map(() => 0)).join())
    throw new SherdError(
      'USAGE',
      `timm fills images up with the mean (${mean.join(', ')}), and this model was measured with data.fill ${(fill ?? [0]).join(', ')}: it would compute other features. Export it as ONNX.`,
    )
  return {
    config: { interpolation, crop_pct: cropShare, crop_mode: timmModes[resize] },
    notes: [
      ...(resize === 'box' ? [boxNote] : []),
      ...(resize !== 'box' && cutRule === 'before'
        ? ['Cuts that begin at half a pixel may lie one pixel beside those of sherd (data.cutRule before).']
        : []),
      ...(isExact ? ['timm rounds resized values to bytes, this model was measured without.'] : []),
      ...coloursNotes[colours]!,
    ],
  }
}
