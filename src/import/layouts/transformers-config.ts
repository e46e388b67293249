/** `config.json` of transformers: what decides numbers, and the defaults of its classes, which a file may leave out. */
import { z } from 'zod'
import { brief, SherdError } from '../../errors.ts'
import type { ResamplingName } from '../../token/resample-positions.ts'
import {
  activationOf,
  type Facts,
  type Family,
  field,
  labelsOf,
  type ModelInput,
  openActivation,
  openEpsilon,
  pairOf,
  readConfig,
  type Source,
} from './facts.ts'

const schema = z.object({
  model_type: z.string().optional(),
  architectures: z.array(z.string()).nullish(),
  hidden_act: z.string().optional(),
  hidden_size: field.width,
  num_hidden_layers: field.depth,
  num_attention_heads: field.heads,
  intermediate_size: field.hidden,
  image_size: field.imageSize,
  patch_size: field.patchSize,
  num_channels: field.channels,
  layer_norm_eps: field.epsilon,
  id2label: z.record(z.string(), z.string()).optional(),
  problem_type: z.string().nullish(),
})

/** What a class takes where its `config.json` says nothing. */
export interface ClassDefaults {
  readonly family: Family
  readonly activation: string
  readonly epsilon: number
  readonly heads: number
  readonly resampling: ResamplingName
  readonly feature: ModelInput['feature']
  readonly model?: ModelInput
}

export interface TransformersFacts extends Facts {
  readonly modelType: string | null
  readonly architectures: readonly string[]
}

/** How the heads of trained models are called in `vision_config`, or at the root. */
const visionOf = (
  config: Readonly<Record<string, unknown>> | null,
): Readonly<Record<string, unknown>> | null => {
  const inner = config?.vision_config
  return typeof inner === 'object' && inner !== null
    ? { ...(inner as Record<string, unknown>), architectures: config?.architectures }
    : config
}

/** `classes`: by `model_type`; the first is that of files without a configuration. Throws `CHECKPOINT`. */
export function transformersFacts(
  { config: whole, path }: Source,
  classes: Readonly<Record<string, ClassDefaults>>,
  more: (given: Readonly<Record<string, unknown>>) => Partial<Facts> = () => ({}),
): TransformersFacts {
  const config = visionOf(whole)
  const what = `${path}, config.json`
  const given = readConfig(schema, config ?? {}, what)
  const type = given.model_type ?? null
  const found = type === null ? undefined : Object.hasOwn(classes, type) ? classes[type] : null
  if (found === null)
    throw new SherdError(
      'CHECKPOINT',
      `${what}: its model_type is "${brief(type!)}", and its parameters have the names of ${Object.keys(classes).join(', ')}: sherd does not know what "${brief(type!)}" computes`,
    )
  const all = Object.values(classes)
  const known = found ?? all[0]!
  /** What all classes of these names have in common is known without a configuration. */
  const isSame = (key: 'activation' | 'epsilon') =>
    found !== undefined || all.every((each) => each[key] === known[key])
  const epsilon = given.layer_norm_eps ?? (isSame('epsilon') ? known.epsilon : null)
  const activation =
    given.hidden_act !== undefined
      ? activationOf(given.hidden_act, `${what}, hidden_act`)
      : isSame('activation')
        ? activationOf(known.activation, what)
        : null
  const { model = {}, ...rest } = more(config ?? {})
  const heads = given.num_attention_heads ?? (config ? known.heads : undefined)
  const size = pairOf(given.image_size)
  return {
    family: known.family,
    open: [...(activation === null ? [openActivation] : []), ...(epsilon === null ? [openEpsilon] : [])],
    stated: {
      ...{ width: given.hidden_size, depth: given.num_hidden_layers, hidden: given.intermediate_size },
      ...{ patchSize: pairOf(given.patch_size), channels: given.num_channels },
    },
    imageSize: size ? { size, isOfTable: true } : null,
    keepsTable: true,
    classes: labelsOf(given.id2label),
    problem: given.problem_type ?? null,
    notes: [],
    ...rest,
    model: {
      ...known.model,
      ...(heads !== undefined && { heads }),
      ...(epsilon !== null && { layerNormEpsilon: epsilon }),
      ...(activation !== null && activation !== 'gelu' && { activation }),
      resampling: known.resampling,
      feature: known.feature!,
      ...model,
    },
    ...{ modelType: type, architectures: given.architectures ?? [] },
  }
}
