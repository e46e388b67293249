/** Facts about a model from other programs' configurations; `foreign-model.ts` derives the others from shapes. */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { ForeignWeights } from './foreign.ts'
import type { LayoutName } from './layouts.ts'
import { parsed, statisticsFrom, statisticsOf } from './preprocessing.ts'

export interface ForeignFacts {
  readonly heads: number | null
  readonly decoderHeads: number | null
  readonly imageSize: readonly [height: number, width: number] | null
  readonly layerNormEpsilon: number | null
  readonly maskRatio: number | null
  readonly normalizeTarget: boolean | null
  readonly hasQkvBias: boolean
  readonly classes: readonly string[] | null
  /** transformers' `problem_type`, such as `multi_label_classification`. */
  readonly problem: string | null
  /** timm's `global_pool`, such as `token` or `avg`. */
  readonly pool: string | null
  readonly statistics: ChannelStatistics | null
  /** Names of the channels; only sherd writes them. */
  readonly bands: readonly string[] | null
}

const count = z.number().int().positive()
const sides = z.union([count, z.tuple([count, count])])
const numbers = z.array(z.number()).min(1)

const huggingface = z.object({
  hidden_act: z.string().optional(),
  num_attention_heads: count.optional(),
  decoder_num_attention_heads: count.optional(),
  image_size: sides.optional(),
  layer_norm_eps: z.number().positive().optional(),
  mask_ratio: z.number().optional(),
  norm_pix_loss: z.boolean().optional(),
  qkv_bias: z.boolean().optional(),
  id2label: z.record(z.string(), z.string()).optional(),
  problem_type: z.string().nullish(),
})

/** Of timm; before 0.9 at the root of the file. */
const pretrained = z.object({
  input_size: z.tuple([count, count, count]).optional(),
  mean: numbers.optional(),
  std: numbers.optional(),
  label_names: z.array(z.string()).optional(),
})

const timm = z.object({
  global_pool: z.string().optional(),
  model_args: z
    .object({
      num_heads: count.optional(),
      img_size: sides.optional(),
      qkv_bias: z.boolean().optional(),
      global_pool: z.string().optional(),
      act_layer: z.string().optional(),
    })
    .optional(),
  ...pretrained.shape,
  pretrained_cfg: pretrained.optional(),
})

const pairOf = (size: number | readonly [number, number] | undefined) =>
  size === undefined ? null : typeof size === 'number' ? ([size, size] as const) : size

function expectGelu(activation: string | undefined): void {
  if (activation !== undefined && activation !== 'gelu')
    throw new SherdError(
      'CHECKPOINT',
      `its activation is "${activation}"; sherd's blocks have the exact gelu, and would compute something else`,
    )
}

/** Labels by index; null for `LABEL_0` …, transformers' placeholders. */
function labelsOf(id2label: Readonly<Record<string, string>> | undefined): readonly string[] | null {
  const labels = Object.entries(id2label ?? {})
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, label]) => label)
  return labels.length > 0 && !labels.every((label, i) => label === `LABEL_${i}`) ? labels : null
}

/** Throws `CHECKPOINT` for an invalid configuration, or one of an unsupported model. */
export function foreignFacts(
  { config, preprocessor, facts, path }: ForeignWeights,
  layout: LayoutName,
): ForeignFacts {
  const own = z.object({ bands: z.array(z.string()).min(1) }).safeParse(config?.sherd)
  const bands = own.success ? own.data.bands : null
  const written = bands && statisticsOf(config?.sherd, `${path}, config.json`)
  const normalising =
    written ?? (preprocessor && statisticsOf(preprocessor, `${path}, preprocessor_config.json`))
  if (layout === 'huggingface') {
    const given = parsed(huggingface, config ?? {}, `${path}, config.json`)
    expectGelu(given.hidden_act)
    return {
      heads: given.num_attention_heads ?? null,
      decoderHeads: given.decoder_num_attention_heads ?? null,
      imageSize: pairOf(given.image_size),
      layerNormEpsilon: given.layer_norm_eps ?? null,
      maskRatio: given.mask_ratio ?? null,
      normalizeTarget: given.norm_pix_loss ?? null,
      hasQkvBias: given.qkv_bias ?? true,
      classes: labelsOf(given.id2label),
      problem: given.problem_type ?? null,
      pool: null,
      statistics: normalising,
      bands,
    }
  }
  const given = parsed(timm, config ?? {}, `${path}, config.json`)
  const { model_args: args, pretrained_cfg: pretrained = given } = given
  expectGelu(args?.act_layer)
  const argument = (name: string) => facts.get(`args.${name}`)
  const [ratio, normalize, size] = [
    argument('mask_ratio'),
    argument('norm_pix_loss'),
    argument('input_size') ?? argument('img_size'),
  ]
  const inputSize = pretrained.input_size?.slice(1) as [number, number] | undefined
  return {
    heads: args?.num_heads ?? null,
    decoderHeads: null,
    imageSize: pairOf(args?.img_size) ?? inputSize ?? (typeof size === 'number' ? [size, size] : null),
    layerNormEpsilon: null,
    maskRatio: typeof ratio === 'number' ? ratio : null,
    normalizeTarget: typeof normalize === 'boolean' ? normalize : null,
    hasQkvBias: args?.qkv_bias ?? true,
    classes: given.label_names ?? pretrained.label_names ?? null,
    problem: null,
    pool: args?.global_pool ?? given.global_pool ?? null,
    statistics: statisticsFrom(pretrained.mean, pretrained.std) ?? normalising,
    bands,
  }
}
