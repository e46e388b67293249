/** timm's VisionTransformer, Eva (DINOv3) and Beit. What their files do not say is in timm's code, by the name of the architecture. */
import { z } from 'zod'
import { brief, SherdError } from '../../errors.ts'
import type { Activation } from '../../model/feed-forward.ts'
import { ownTable, sharedTable } from '../../model/relative-position.ts'
import {
  attentionPool,
  gammas,
  layerScales,
  norms,
  patches,
  plainBlocks,
  queryValueBias,
  relativeTables,
} from './blocks.ts'
import {
  activationOf,
  type Facts,
  type Family,
  field,
  type OpenKey,
  openActivation,
  openEpsilon,
  pairOf,
  readConfig,
  type Source,
} from './facts.ts'
import { type Layout, modules, type NameRow, type Templates, token } from './layout.ts'
import { architectureOf, otherArchitectures } from './timm-architectures.ts'

const count = z.number().int().positive()

/** Of timm; before 0.9 at the root of the file. */
const pretrained = z.object({
  tag: z.string().nullish(),
  input_size: z.tuple([count, count, count]).optional(),
  label_names: z.array(z.string()).optional(),
})

const schema = z.object({
  architecture: z.string().optional(),
  global_pool: z.string().optional(),
  model_args: z
    .object({
      ...{ embed_dim: field.width, depth: field.depth, num_heads: field.heads, in_chans: field.channels },
      ...{ img_size: field.imageSize, patch_size: field.patchSize, qkv_bias: field.flag },
      global_pool: z.string().optional(),
      act_layer: z.string().optional(),
      num_classes: z.number().int().min(0).optional(),
      reg_tokens: z.number().int().min(0).max(4096).optional(),
      num_reg_tokens: z.number().int().min(0).max(4096).optional(),
    })
    .optional(),
  ...pretrained.shape,
  pretrained_cfg: pretrained.optional(),
})

const openClip = z.object({
  model_cfg: z
    .object({
      vision_cfg: z
        .object({
          timm_model_name: z.string().nullish(),
          timm_pool: z.string().nullish(),
          image_size: field.imageSize,
        })
        .optional(),
    })
    .optional(),
})

/** How a tag says which method trained a plain ViT. */
const familyOfTag: Readonly<Record<string, Family>> = { dino: 'dino', mae: 'mae' }

const poolings = { token: 'cls', avg: 'mean', map: 'pooled' } as const

/** A PyTorch file of plain names without a configuration may be of DINO's or iBOT's authors, or of timm. */
const resamplingOpen: OpenKey = {
  key: 'model.resampling',
  options: ['cubic-offset (the authors of DINO and iBOT)', 'cubic-antialias (timm)', 'cubic (transformers)'],
}

function factsOfTimm(source: Source): Facts {
  const { config, path, has, isTorch, keys, facts: saved } = source
  const given = readConfig(schema, config ?? {}, `${path}, config.json`)
  const { model_args: args, pretrained_cfg: own = given } = given
  // OpenCLIP's towers may be timm's, under `visual.trunk.`.
  const clip = readConfig(openClip, source.openClip ?? {}, `${path}, open_clip_config.json`).model_cfg
    ?.vision_cfg
  const architecture = given.architecture ?? clip?.timm_model_name ?? undefined
  if (architecture !== undefined && otherArchitectures.test(architecture))
    throw new SherdError(
      'CHECKPOINT',
      `${path}, config.json: "${brief(architecture)}" computes something else under the same names, and is not read`,
    )
  const named = architectureOf(architecture)
  const hasPreNorm = has('norm_pre.weight') || has('norm_pre.bias')
  const hasTables = has(`blocks.{i}.${ownTable}`) || has(sharedTable)
  const hasPool = has('attn_pool.latent') || has('attn_pool.q.weight')
  const loss = (['dino', 'ibot'] as const).find((name) => keys.includes(`${name}_loss`))
  const usual = usualOf({ hasPreNorm, hasPool, isEva: has('blocks.{i}.ls1.gamma') && !has('pos_embed') })
  // A plain name with the parameters of another family is of an architecture that is not known.
  const known = named?.family === 'vit' && usual.family !== 'vit' ? null : (named ?? null)
  const said =
    args?.act_layer === undefined ? null : activationOf(args.act_layer, `${path}, config.json, act_layer`)
  const tag = own.tag?.match(/^[a-z]+/)?.[0] ?? ''
  const hasConfig = config !== null || architecture !== undefined
  const isOpenPlain = !hasConfig && usual.family === 'vit' && loss === undefined
  const isPlain = isOpenPlain && isTorch
  const byNames = isPlain && !has('head.weight') ? 'dino' : usual.family
  const family = loss ?? (known?.family === 'vit' ? (familyOfTag[tag] ?? 'vit') : (known?.family ?? byNames))
  const isUnknown = architecture !== undefined && !known
  const row = known ?? (isUnknown ? null : usual)
  const pool = args?.global_pool ?? given.global_pool ?? (clip?.timm_pool || null)
  const argument = (name: string) => saved.get(`args.${name}`)
  const [ratio, normalize, saidSize] = [
    ...[argument('mask_ratio'), argument('norm_pix_loss')],
    argument('input_size') ?? argument('img_size'),
  ]
  const inputSize = own.input_size?.slice(1) as [number, number] | undefined
  const imageSize = pairOf(args?.img_size ?? clip?.image_size)
  const fallback =
    inputSize ?? (typeof saidSize === 'number' && saidSize > 0 ? ([saidSize, saidSize] as const) : null)
  const activation = said ?? row?.activation
  const cls = known?.cls ?? !hasPool
  const offset = loss !== undefined || isPlain
  const isOpen = row === null || (row.activation === undefined && said === null)
  return {
    family,
    model: {
      ...(args?.num_heads !== undefined && { heads: args.num_heads }),
      ...(row && { layerNormEpsilon: row.epsilon }),
      ...(activation && { activation }),
      ...(!cls && { cls }),
      ...(hasTables && { relativeResampling: 'geometric' as const }),
      patchBias: !hasPreNorm || has('patch_embed.proj.bias'),
      resampling: offset ? 'cubic-offset' : 'cubic-antialias',
      feature: poolings[(pool ?? '') as keyof typeof poolings] ?? usualFeature(family, hasPool),
      ...(args?.qkv_bias !== undefined
        ? { qkvBias: args.qkv_bias ? ('all' as const) : ('none' as const) }
        : !hasConfig &&
          usual.family !== 'dinov3' &&
          !has('blocks.{i}.attn.q_bias') && { qkvBias: 'all' as const }),
    },
    open: [
      ...(isOpen ? [openActivation] : []),
      ...(row === null ? [openEpsilon] : []),
      ...(isOpenPlain
        ? [{ ...resamplingOpen, atOwnSize: isTorch ? 'cubic-offset' : 'cubic-antialias' }]
        : []),
    ],
    stated: {
      ...{ width: args?.embed_dim, depth: args?.depth, channels: args?.in_chans },
      ...{
        patchSize: pairOf(args?.patch_size),
        registers: args?.reg_tokens ?? args?.num_reg_tokens ?? known?.registers,
      },
    },
    imageSize: imageSize
      ? { size: imageSize, isOfTable: true }
      : fallback && { size: fallback, isOfTable: false },
    ...(family === 'dinov3' && { rotaryBase: 100 }),
    keepsTable: hasConfig,
    maskRatio: typeof ratio === 'number' ? ratio : null,
    normalizeTarget: typeof normalize === 'boolean' ? normalize : null,
    classes: given.label_names ?? own.label_names ?? null,
    pool,
    notes: notesOf({ architecture, tag, family }),
  }
}

interface Seen {
  readonly hasPreNorm: boolean
  readonly hasPool: boolean
  readonly isEva: boolean
}

/** Without the name of an architecture: by the names of parameters. Undefined: they leave it open. */
function usualOf({ hasPreNorm, hasPool, isEva }: Seen): {
  readonly family: Family
  readonly activation: Activation | null | undefined
  readonly epsilon: number
} {
  if (hasPreNorm) return { family: 'clip', activation: undefined, epsilon: 1e-5 }
  if (hasPool) return { family: 'siglip', activation: undefined, epsilon: 1e-6 }
  if (isEva) return { family: 'dinov3', activation: null, epsilon: 1e-5 }
  return { family: 'vit', activation: null, epsilon: 1e-6 }
}

const usualFeature = (family: Family, hasPool: boolean) =>
  hasPool ? 'pooled' : family === 'mae' || family === 'beit' || family === 'beitv2' ? 'mean' : 'cls'

function notesOf(of: {
  readonly architecture: string | undefined
  readonly tag: string
  readonly family: Family
}): string[] {
  const { architecture = '', tag, family } = of
  if (family === 'clip' && tag === 'openai' && !architecture.includes('quickgelu'))
    return [
      `"${brief(architecture)}" has gelu in timm, as computed here, but OpenAI trained these weights with quick-gelu: --set model.activation=quick-gelu is what they were made for`,
    ]
  if (family === 'siglip' && !/_(?:patch32|giantopt|512)|so400m_patch16/.test(architecture) && architecture)
    return [
      `"${brief(architecture)}" has gelu in timm, as computed here; SigLIP's authors trained with gelu-tanh (a difference of about 4e-4): --set model.activation=gelu-tanh`,
    ]
  if (family === 'beit' || family === 'beitv2')
    return [
      "at another size its tables of relative positions are resampled as timm does, linearly between offsets that are spaced geometrically; its authors' script takes a cubic spline there",
    ]
  return []
}

const ownEncoder: readonly NameRow[] = [...patches, token('cls_token'), ...plainBlocks('blocks'), ...norms]
const ownHeads = modules('fc_norm', 'head')
const registers = token('register_tokens', 'reg_token')
const preNorm = modules('norm_pre')

const unused = [
  [
    /^(?:mask_token|relative_position_index)$|\.relative_position_index$|^rope\.periods$/,
    'no part of what sherd computes',
  ],
] as const

const base = {
  wrappers: [''],
  blocks: 'blocks.',
  decoderPositions: null,
  tables: [],
  unused,
  facts: factsOfTimm,
} as const

const hasBlocks = (names: Templates) =>
  names.any('blocks.{i}.norm1.weight', 'blocks.{i}.norm1.bias', 'blocks.{i}.attn.qkv.weight')

/** Names of a gate in the place of an MLP's. */
const gated = (rows: readonly NameRow[], names: Readonly<Record<string, string>>) =>
  rows.flatMap((row) => {
    const [, part, kind] = /^blocks\.\{i\}\.mlp\.(fc\d)\.(\w+)$/.exec(row.ours[0]!) ?? []
    if (!part) return [row]
    return names[part] ? [token(`blocks.{i}.mlp.${names[part]}.${kind}`, row.theirs[0]!)] : []
  })

const evaEncoder = [...ownEncoder, ...ownHeads, ...gammas, ...queryValueBias, registers]
const evaGate = modules('w1', 'w2').map(({ ours: [name] }) =>
  token(`blocks.{i}.mlp.${name}`, `blocks.{i}.mlp.${name!.replace('w1', 'fc1_g').replace('w2', 'fc1_x')}`),
)
const hasGammas = (names: Templates) => names.any('blocks.{i}.gamma_1', 'blocks.{i}.gamma_2')

export const timmLayouts = {
  'timm-beit': {
    ...base,
    title: "timm's Beit",
    isOf: (names) =>
      names.any(
        'blocks.{i}.attn.relative_position_bias_table',
        'rel_pos_bias.relative_position_bias_table',
      ) && hasBlocks(names),
    rows: [
      ...ownEncoder.filter(({ ours }) => ours[0] !== 'blocks.{i}.attn.qkv.bias'),
      ...ownHeads,
      ...gammas,
      ...queryValueBias,
      ...relativeTables('blocks.{i}.attn', 'rel_pos_bias'),
    ],
    positions: null,
  },
  'timm-eva-gate': {
    ...base,
    title: "timm's Eva (DINOv3) with a gate",
    isOf: (names) =>
      hasGammas(names) && names.any('blocks.{i}.mlp.fc1_g.weight', 'blocks.{i}.mlp.fc1_x.weight'),
    rows: [...gated(evaEncoder, { fc2: 'w3' }), ...evaGate],
    positions: null,
  },
  'timm-eva': {
    ...base,
    title: "timm's Eva (DINOv3)",
    isOf: (names) => hasGammas(names) && hasBlocks(names),
    rows: evaEncoder,
    positions: null,
  },
  /** Gate and value in `mlp.fc1`, as is seen from its shape: DINOv2 g. */
  'timm-gate': {
    ...base,
    title: "timm's VisionTransformer with a gate",
    isOf: () => false,
    rows: [...gated(ownEncoder, { fc1: 'w12', fc2: 'w3' }), ...ownHeads, ...layerScales, registers],
    positions: { name: 'pos_embed' },
  },
  timm: {
    ...base,
    title: "timm's VisionTransformer (DINO and iBOT have its names)",
    isOf: hasBlocks,
    rows: [...ownEncoder, ...ownHeads, ...layerScales, registers, ...preNorm, ...attentionPool],
    positions: { name: 'pos_embed' },
    variantBy: (shapeOf) => {
      const [wide, narrow] = ['fc1', 'fc2'].map((part) => shapeOf(`blocks.{i}.mlp.${part}.weight`))
      return wide && narrow && wide[0] === 2 * narrow[1]! && wide[1] === narrow[0] ? 'timm-gate' : null
    },
  },
} as const satisfies Record<string, Layout>
