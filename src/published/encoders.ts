/**
 * Well-known encoders that others have published, family by family: where they are, what they were trained on, what they may be used for, how
 * images are prepared and which feature their authors take. Their options are those of `model`, so that figures such as the number of parameters
 * are computed. scripts/reference/check_models.py compares them with timm's own.
 */
import type { ConfigInput } from '../config/schema.ts'
import { type AuthorsLicence, authorsLicence } from '../hub/licences.ts'
import type { knownStatistics } from '../import/image-processors.ts'
import { rotaryPeriods } from '../model/rotary-position.ts'

type ModelKeys = NonNullable<ConfigInput['model']>

/** Mean and std by name, or the numbers. */
type Statistics =
  | keyof typeof knownStatistics
  | { readonly mean: readonly number[]; readonly std: readonly number[] }

export interface Family {
  readonly family: string
  readonly paper: string
  /** What it learned from. */
  readonly images: string
  /** Whether one must agree to conditions on its page before a download. */
  readonly isGated?: boolean
  readonly statistics: Statistics
  readonly model: ModelKeys
  readonly encoders: readonly Member[]
}

interface Member {
  readonly name: string
  /** Owner and name on the Hugging Face hub. */
  readonly hub: string
  /** timm's name of the same weights; null where it has none. */
  readonly timm: string | null
  readonly model: ModelKeys
  /** Where it differs from the family's. */
  readonly images?: string
}

export interface PublishedEncoder extends Omit<Family, 'encoders'>, Member {
  readonly images: string
  readonly licence: AuthorsLicence
}

const shape = (width: number, depth: number, heads: number, more: ModelKeys = {}): ModelKeys => ({
  ...{ width, depth, heads },
  ...more,
})
const tiny = shape(192, 12, 3)
const small = shape(384, 12, 6)
const base = shape(768, 12, 12)
const large = shape(1024, 24, 16)
const huge = shape(1280, 32, 16)
const so400m = shape(1152, 27, 16, { hidden: 4304 })

/** Patch size and the side of images. */
const at = (patchSize: number, imageSize: number): ModelKeys => ({ patchSize, imageSize })

const of = (size: ModelKeys, patchSize: number, imageSize = 224, more: ModelKeys = {}): ModelKeys => ({
  ...{ ...size, ...at(patchSize, imageSize) },
  ...more,
})

const vit: ModelKeys = { positions: 'learned', layerNormEpsilon: 1e-6, feature: 'cls' }
const scaled: ModelKeys = { ...vit, layerScale: 1 }
/** Of 518 pixels, used at 224. */
const v2: ModelKeys = { ...at(14, 224), positionGrid: [37, 37] }
const beit: ModelKeys = {
  ...{ positions: 'none', layerNormEpsilon: 1e-12, qkvBias: 'qv', layerScale: 0.1, feature: 'mean' },
}
const clip: ModelKeys = {
  ...{ positions: 'learned', layerNormEpsilon: 1e-5, feature: 'pooled', preNorm: true, patchBias: false },
}
const siglip: ModelKeys = {
  ...{ positions: 'learned', layerNormEpsilon: 1e-6, feature: 'pooled', cls: false },
  ...{ attentionPool: true, activation: 'gelu-tanh' },
}
const turned = (keys: ModelKeys, headWidth = 64): ModelKeys => ({
  ...{ positions: 'none', layerNormEpsilon: 1e-5, registers: 4, layerScale: 1, feature: 'cls' },
  qkvBias: 'qv',
  rotaryPeriods: rotaryPeriods(headWidth),
  ...keys,
})

const quick: ModelKeys = { activation: 'quick-gelu' }
const imageNet = 'ImageNet-1k, 1.3 million images'
const imageNet21k = 'ImageNet-21k, 14 million images with labels'
const webLI = 'WebLI, images with texts in many languages'

const row = (name: string, hub: string, timm: string | null, model: ModelKeys, images?: string): Member => ({
  ...{ name, hub, timm, model },
  ...(images !== undefined && { images }),
})

/** Of timm's own page on the hub. */
const timmRow = (name: string, timm: string, model: ModelKeys): Member =>
  row(name, `timm/${timm}`, timm, model)

export const families: readonly Family[] = [
  {
    family: 'DINOv2',
    paper: 'Oquab et al. 2023, arXiv:2304.07193',
    images: 'LVD-142M, 142 million curated images',
    ...{ statistics: 'imagenet', model: { ...scaled, ...v2 } },
    encoders: [
      row('dinov2-small', 'facebook/dinov2-small', 'vit_small_patch14_dinov2.lvd142m', small),
      row('dinov2-base', 'facebook/dinov2-base', 'vit_base_patch14_dinov2.lvd142m', base),
      row('dinov2-large', 'facebook/dinov2-large', 'vit_large_patch14_dinov2.lvd142m', large),
      row(
        'dinov2-giant',
        'facebook/dinov2-giant',
        'vit_giant_patch14_dinov2.lvd142m',
        shape(1536, 40, 24, { feedForward: 'swiglu', hidden: 4096 }),
      ),
    ],
  },
  {
    family: 'DINOv2 with registers',
    paper: 'Darcet et al. 2023, arXiv:2309.16588',
    images: 'LVD-142M, 142 million curated images',
    ...{ statistics: 'imagenet' },
    model: { ...scaled, ...v2, registers: 4 },
    encoders: [
      row(
        'dinov2-registers-small',
        'facebook/dinov2-with-registers-small',
        'vit_small_patch14_reg4_dinov2.lvd142m',
        small,
      ),
      row(
        'dinov2-registers-base',
        'facebook/dinov2-with-registers-base',
        'vit_base_patch14_reg4_dinov2.lvd142m',
        base,
      ),
      row(
        'dinov2-registers-large',
        'facebook/dinov2-with-registers-large',
        'vit_large_patch14_reg4_dinov2.lvd142m',
        large,
      ),
      row(
        'dinov2-registers-giant',
        'facebook/dinov2-with-registers-giant',
        'vit_giant_patch14_reg4_dinov2.lvd142m',
        shape(1536, 40, 24, { feedForward: 'swiglu', hidden: 4096 }),
      ),
    ],
  },
  {
    family: 'DINOv3',
    paper: 'Siméoni et al. 2025, arXiv:2508.10104',
    images: 'LVD-1689M, 1.7 billion curated images',
    ...{
      isGated: true,
      statistics: 'imagenet',
      model: at(16, 224),
    },
    encoders: [
      row(
        'dinov3-small',
        'facebook/dinov3-vits16-pretrain-lvd1689m',
        'vit_small_patch16_dinov3_qkvb.lvd1689m',
        turned(small),
      ),
      row(
        'dinov3-small-plus',
        'facebook/dinov3-vits16plus-pretrain-lvd1689m',
        'vit_small_plus_patch16_dinov3_qkvb.lvd1689m',
        turned({ ...small, feedForward: 'gated', hidden: 1536 }),
      ),
      row(
        'dinov3-base',
        'facebook/dinov3-vitb16-pretrain-lvd1689m',
        'vit_base_patch16_dinov3_qkvb.lvd1689m',
        turned(base),
      ),
      row(
        'dinov3-large',
        'facebook/dinov3-vitl16-pretrain-lvd1689m',
        'vit_large_patch16_dinov3_qkvb.lvd1689m',
        turned(large),
      ),
      row(
        'dinov3-huge-plus',
        'facebook/dinov3-vith16plus-pretrain-lvd1689m',
        'vit_huge_plus_patch16_dinov3_qkvb.lvd1689m',
        turned(shape(1280, 32, 20, { feedForward: 'gated', hidden: 5120 })),
      ),
      row(
        'dinov3-7b',
        'facebook/dinov3-vit7b16-pretrain-lvd1689m',
        'vit_7b_patch16_dinov3.lvd1689m',
        turned(shape(4096, 40, 32, { feedForward: 'gated', hidden: 8192, qkvBias: 'none' }), 128),
      ),
    ],
  },
  {
    family: 'DINOv3 of satellite images',
    paper: 'Siméoni et al. 2025, arXiv:2508.10104',
    images: 'SAT-493M, 493 million satellite images of 0.6 m a pixel',
    ...{ isGated: true, model: at(16, 224) },
    statistics: { mean: [0.43, 0.411, 0.296], std: [0.213, 0.156, 0.143] },
    encoders: [
      row(
        'dinov3-large-sat',
        'facebook/dinov3-vitl16-pretrain-sat493m',
        'vit_large_patch16_dinov3_qkvb.sat493m',
        turned(large),
      ),
      row(
        'dinov3-7b-sat',
        'facebook/dinov3-vit7b16-pretrain-sat493m',
        'vit_7b_patch16_dinov3.sat493m',
        turned(shape(4096, 40, 32, { feedForward: 'gated', hidden: 8192, qkvBias: 'none' }), 128),
      ),
    ],
  },
  {
    family: 'DINO',
    paper: 'Caron et al. 2021, arXiv:2104.14294',
    images: imageNet,
    ...{ statistics: 'imagenet', model: vit },
    encoders: [
      row('dino-small-16', 'facebook/dino-vits16', 'vit_small_patch16_224.dino', of(small, 16)),
      row('dino-small-8', 'facebook/dino-vits8', 'vit_small_patch8_224.dino', of(small, 8)),
      row('dino-base-16', 'facebook/dino-vitb16', 'vit_base_patch16_224.dino', of(base, 16)),
      row('dino-base-8', 'facebook/dino-vitb8', 'vit_base_patch8_224.dino', of(base, 8)),
    ],
  },
  {
    family: 'MAE',
    paper: 'He et al. 2021, arXiv:2111.06377',
    images: imageNet,
    ...{
      statistics: 'imagenet',
      model: vit,
    },
    encoders: [
      row('mae-base', 'facebook/vit-mae-base', 'vit_base_patch16_224.mae', of(base, 16)),
      row('mae-large', 'facebook/vit-mae-large', 'vit_large_patch16_224.mae', of(large, 16)),
      row('mae-huge', 'facebook/vit-mae-huge', 'vit_huge_patch14_224.mae', of(huge, 14)),
    ],
  },
  {
    family: 'I-JEPA',
    paper: 'Assran et al. 2023, arXiv:2301.08243',
    images: imageNet,
    ...{
      statistics: 'imagenet',
      model: { ...vit, cls: false, feature: 'mean' },
    },
    encoders: [
      row('ijepa-huge', 'facebook/ijepa_vith14_1k', 'vit_huge_patch14_gap_224.in1k_ijepa', of(huge, 14)),
      row(
        'ijepa-huge-22k',
        'facebook/ijepa_vith14_22k',
        'vit_huge_patch14_gap_224.in22k_ijepa',
        of(huge, 14),
        imageNet21k,
      ),
      row(
        'ijepa-huge-448',
        'facebook/ijepa_vith16_1k',
        'vit_huge_patch16_gap_448.in1k_ijepa',
        of(huge, 16, 448),
      ),
      row(
        'ijepa-giant-22k',
        'facebook/ijepa_vitg16_22k',
        'vit_giant_patch16_gap_224.in22k_ijepa',
        of(shape(1408, 40, 16, { hidden: 6144 }), 16),
        imageNet21k,
      ),
    ],
  },
  {
    family: 'MSN',
    paper: 'Assran et al. 2022, arXiv:2204.07141',
    images: imageNet,
    ...{
      statistics: 'imagenet',
      model: vit,
    },
    encoders: [
      row('msn-small', 'facebook/vit-msn-small', null, of(small, 16)),
      row('msn-base', 'facebook/vit-msn-base', null, of(base, 16)),
      row('msn-large', 'facebook/vit-msn-large', null, of(large, 16)),
    ],
  },
  {
    family: 'BEiT',
    paper: 'Bao et al. 2021, arXiv:2106.08254',
    images: imageNet21k,
    ...{ statistics: 'half', model: { ...beit, relativePositions: 'per-block' } },
    encoders: [
      row(
        'beit-base',
        'microsoft/beit-base-patch16-224-pt22k-ft22k',
        'beit_base_patch16_224.in22k_ft_in22k',
        of(base, 16),
      ),
      row(
        'beit-large',
        'microsoft/beit-large-patch16-224-pt22k-ft22k',
        'beit_large_patch16_224.in22k_ft_in22k',
        of(large, 16, 224, { layerScale: 1e-5 }),
      ),
    ],
  },
  {
    family: 'BEiT v2',
    paper: 'Peng et al. 2022, arXiv:2208.06366',
    images: `${imageNet}, then ImageNet-21k with labels`,
    ...{ statistics: 'imagenet' },
    model: { ...beit, relativePositions: 'per-block', layerNormEpsilon: 1e-6, layerScale: 1e-5 },
    encoders: [
      timmRow('beitv2-base', 'beitv2_base_patch16_224.in1k_ft_in22k', of(base, 16)),
      timmRow('beitv2-large', 'beitv2_large_patch16_224.in1k_ft_in22k', of(large, 16)),
    ],
  },
  {
    family: 'ViT with labels (AugReg)',
    paper: 'Steiner et al. 2021, arXiv:2106.10270',
    images: imageNet21k,
    ...{ statistics: 'half', model: vit },
    encoders: [
      timmRow('vit-tiny', 'vit_tiny_patch16_224.augreg_in21k', of(tiny, 16)),
      timmRow('vit-small', 'vit_small_patch16_224.augreg_in21k', of(small, 16)),
      timmRow('vit-base', 'vit_base_patch16_224.augreg_in21k', of(base, 16)),
      timmRow('vit-base-32', 'vit_base_patch32_224.augreg_in21k', of(base, 32)),
      timmRow('vit-large', 'vit_large_patch16_224.augreg_in21k', of(large, 16)),
    ],
  },
  {
    family: 'CLIP',
    paper: 'Radford et al. 2021, arXiv:2103.00020',
    images: 'WIT-400M, 400 million images with texts',
    ...{ statistics: 'clip', model: { ...clip, ...quick } },
    encoders: [
      row(
        'clip-base-32',
        'openai/clip-vit-base-patch32',
        'vit_base_patch32_clip_quickgelu_224.openai',
        of(base, 32, 224, { projection: 512 }),
      ),
      row(
        'clip-base-16',
        'openai/clip-vit-base-patch16',
        'vit_base_patch16_clip_quickgelu_224.openai',
        of(base, 16, 224, { projection: 512 }),
      ),
      row(
        'clip-large',
        'openai/clip-vit-large-patch14',
        'vit_large_patch14_clip_quickgelu_224.openai',
        of(large, 14, 224, { projection: 768 }),
      ),
      row(
        'clip-large-336',
        'openai/clip-vit-large-patch14-336',
        'vit_large_patch14_clip_quickgelu_336.openai',
        of(large, 14, 336, { projection: 768 }),
      ),
    ],
  },
  {
    family: 'OpenCLIP',
    paper: 'Cherti et al. 2022, arXiv:2212.07143',
    images: 'LAION-2B, 2 billion images with texts',
    ...{ statistics: 'clip', model: clip },
    encoders: [
      row(
        'openclip-base-32',
        'laion/CLIP-ViT-B-32-laion2B-s34B-b79K',
        'vit_base_patch32_clip_224.laion2b',
        of(base, 32, 224, { projection: 512 }),
      ),
      row(
        'openclip-base-16-datacomp',
        'laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K',
        'vit_base_patch16_clip_224.datacompxl',
        of(base, 16, 224, { projection: 512 }),
        'DataComp-XL, 1.4 billion filtered images with texts',
      ),
      row(
        'openclip-large-datacomp',
        'laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K',
        'vit_large_patch14_clip_224.datacompxl',
        of(large, 14, 224, { projection: 768 }),
        'DataComp-XL, 1.4 billion filtered images with texts',
      ),
      row(
        'openclip-huge',
        'laion/CLIP-ViT-H-14-laion2B-s32B-b79K',
        'vit_huge_patch14_clip_224.laion2b',
        of(huge, 14, 224, { projection: 1024 }),
      ),
    ],
  },
  {
    family: 'SigLIP',
    paper: 'Zhai et al. 2023, arXiv:2303.15343',
    images: webLI,
    ...{ statistics: 'half', model: siglip },
    encoders: [
      row('siglip-base', 'google/siglip-base-patch16-224', 'vit_base_patch16_siglip_224.webli', of(base, 16)),
      row(
        'siglip-base-384',
        'google/siglip-base-patch16-384',
        'vit_base_patch16_siglip_384.webli',
        of(base, 16, 384),
      ),
      row(
        'siglip-large',
        'google/siglip-large-patch16-256',
        'vit_large_patch16_siglip_256.webli',
        of(large, 16, 256),
      ),
      row(
        'siglip-so400m-384',
        'google/siglip-so400m-patch14-384',
        'vit_so400m_patch14_siglip_384.webli',
        of(so400m, 14, 378),
      ),
    ],
  },
  {
    family: 'SigLIP 2',
    paper: 'Tschannen et al. 2025, arXiv:2502.14786',
    images: webLI,
    ...{ statistics: 'half', model: siglip },
    encoders: [
      row(
        'siglip2-base',
        'google/siglip2-base-patch16-224',
        'vit_base_patch16_siglip_224.v2_webli',
        of(base, 16),
      ),
      row(
        'siglip2-base-naflex',
        'google/siglip2-base-patch16-naflex',
        'naflexvit_base_patch16_siglip.v2_webli',
        of(base, 16, 256),
      ),
      row(
        'siglip2-large',
        'google/siglip2-large-patch16-256',
        'vit_large_patch16_siglip_256.v2_webli',
        of(large, 16, 256),
      ),
      row(
        'siglip2-so400m',
        'google/siglip2-so400m-patch14-224',
        'vit_so400m_patch14_siglip_224.v2_webli',
        of(so400m, 14),
      ),
      row(
        'siglip2-so400m-384',
        'google/siglip2-so400m-patch16-384',
        'vit_so400m_patch16_siglip_384.v2_webli',
        of(so400m, 16, 384),
      ),
      row(
        'siglip2-giant',
        'google/siglip2-giant-opt-patch16-256',
        'vit_giantopt_patch16_siglip_256.v2_webli',
        of(shape(1536, 40, 16, { hidden: 6144 }), 16, 256),
      ),
    ],
  },
]

export const publishedEncoders: readonly PublishedEncoder[] = families.flatMap(({ encoders, ...family }) =>
  encoders.map((each) => ({
    ...{ ...family, ...each, model: { ...family.model, ...each.model } },
    licence: authorsLicence(each.hub)!, // a test knows that each has one
  })),
)

/** By its name here, or by that of the hub. */
export const publishedNamed = (name: string): PublishedEncoder | undefined =>
  publishedEncoders.find(({ name: own, hub }) => own === name || hub === name)
