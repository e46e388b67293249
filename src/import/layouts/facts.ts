/** What the files of a layout say, or the code of its program, and shapes do not show. */
import { z } from 'zod'
import type { ConfigInput } from '../../config/schema.ts'
import { brief, SherdError } from '../../errors.ts'
import { limits } from '../../model/dimensions.ts'
import type { Activation } from '../../model/feed-forward.ts'
import type { Shape } from '../../tensor/tensor.ts'

/** What kind of published encoder it is. */
export type Family =
  | 'vit'
  | 'mae'
  | 'satmae'
  | 'msn'
  | 'beit'
  | 'beitv2'
  | 'data2vec'
  | 'dino'
  | 'ibot'
  | 'dinov2'
  | 'dinov3'
  | 'ijepa'
  | 'clip'
  | 'siglip'
  | 'siglip2'

type Json = Readonly<Record<string, unknown>> | null

/** What a layout sees of a file or a folder (`ForeignWeights`). */
export interface Source {
  readonly path: string
  readonly config: Json
  readonly openClip: Json
  readonly facts: ReadonlyMap<string, number | string | boolean>
  readonly keys: readonly string[]
  readonly isTorch: boolean
  /** Whether the file has a parameter of ours, of any block where the name has `{i}`. */
  readonly has: (ours: string) => boolean
  /** Its shape, of any block; null where it is missing. */
  readonly shapeOf: (ours: string) => Shape | null
}

export type ModelInput = NonNullable<ConfigInput['model']>

/** A key of the configuration that the files leave open. */
export interface OpenKey {
  readonly key: string
  /** What it may be. */
  readonly options: readonly string[]
  /** Taken where it does not matter; null: it always does. It matters for images of another size alone. */
  readonly atOwnSize?: string
}

export interface Facts {
  readonly family: Family
  /** Keys that shapes do not show. */
  readonly model: ModelInput
  readonly open: readonly OpenKey[]
  /** What the configuration says of what shapes show, by its own names. */
  readonly stated: Stated
  /** Of the images. `isOfTable`: the positions are stored for it. */
  readonly imageSize: { readonly size: readonly [number, number]; readonly isOfTable: boolean } | null
  /** Which norm follows the blocks; null: by the names. */
  readonly norm?: 'norm' | 'fc_norm' | null
  /** Whether that norm has no parameters in the file: ones and zeros. */
  readonly plainNorm?: boolean
  /** Whether tables of relative positions are read with the sides of their grid exchanged, as transformers does. */
  readonly exchangesSides?: boolean
  /** Base of rotary positions, where their periods are not in the file. */
  readonly rotaryBase?: number
  /** Whether computed positions stay a table, as the program resamples it. */
  readonly keepsTable?: boolean
  readonly decoderHeads?: number | null
  readonly maskRatio?: number | null
  readonly normalizeTarget?: boolean | null
  readonly classes?: readonly string[] | null
  /** transformers' `problem_type`, such as `multi_label_classification`. */
  readonly problem?: string | null
  /** What a head reads: timm's `global_pool`, such as `token` or `avg`. */
  readonly pool?: string | null
  readonly notes: readonly string[]
}

export interface Stated {
  readonly width?: number | undefined
  readonly depth?: number | undefined
  readonly hidden?: number | undefined
  readonly patchSize?: readonly [number, number] | undefined
  readonly channels?: number | undefined
  readonly registers?: number | undefined
  readonly projection?: number | undefined
}

const whole = (most: number) => z.number().int().positive().max(most)
const side = whole(limits.side)

/** Fields of configurations, with bounds that any model keeps. */
export const field = {
  width: whole(limits.width).optional(),
  depth: whole(limits.depth).optional(),
  heads: whole(limits.heads).optional(),
  hidden: whole(limits.width * limits.mlpRatio).optional(),
  channels: whole(limits.channels).optional(),
  patchSize: z
    .union([whole(limits.patchSize), z.tuple([whole(limits.patchSize), whole(limits.patchSize)])])
    .optional(),
  imageSize: z.union([side, z.tuple([side, side])]).optional(),
  epsilon: z.number().positive().max(1).optional(),
  flag: z.boolean().optional(),
}

/** Throws `CHECKPOINT` with the file and the field. */
export function readConfig<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new SherdError('CHECKPOINT', `${what}: ${z.prettifyError(result.error)}`)
}

export const pairOf = (size: number | readonly [number, number] | undefined) =>
  size === undefined ? undefined : typeof size === 'number' ? ([size, size] as const) : size

/** Activations by the names that programs give them. */
const activationNames: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_tanh: 'gelu-tanh',
  gelu_new: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  quick_gelu: 'quick-gelu',
  silu: 'silu',
  swish: 'silu',
}

/** Throws `CHECKPOINT` for one that is not known here. */
export function activationOf(name: string, what: string): Activation {
  const found = Object.hasOwn(activationNames, name) ? activationNames[name] : undefined
  if (found) return found
  throw new SherdError(
    'CHECKPOINT',
    `${what}: its activation is "${brief(name)}", which sherd's blocks do not have: they would compute something else. Expected one of ${Object.keys(activationNames).join(', ')}.`,
  )
}

export const openActivation: OpenKey = {
  key: 'model.activation',
  options: ['gelu', 'gelu-tanh', 'quick-gelu'],
}
export const openEpsilon: OpenKey = { key: 'model.layerNormEpsilon', options: ['1e-12', '1e-6', '1e-5'] }

/** Labels by index; null for `LABEL_0` …, transformers' placeholders. */
export function labelsOf(id2label: Readonly<Record<string, string>> | undefined): readonly string[] | null {
  const labels = Object.entries(id2label ?? {})
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, label]) => label)
  return labels.length > 0 && !labels.every((label, i) => label === `LABEL_${i}`) ? labels : null
}
