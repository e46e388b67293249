/**
 * Tables of the configuration: keys of every run, and keys that belong to an objective, a kind of data or an optimizer. A new one is one
 * row here; its keys are defined beside the code that reads them.
 */
import { z } from 'zod'
import { type DecoderName, decoderKeys } from '../model/decoder/keys.ts'
import { adaptKeys, modelKeys, rasterModelKeys } from '../model/keys.ts'
import { ijepaKeys } from '../objective/ijepa-keys.ts'
import { crossmaeKeys, maeKeys } from '../objective/mae-keys.ts'
import { beitKeys, beitv2Keys, data2vecKeys, maskfeatKeys, simmimKeys } from '../objective/mask-token-keys.ts'
import { vqkdKeys, vqPixelsKeys } from '../objective/tokenizer-keys.ts'
import { optimizerKeys, optimKeys } from '../optim/keys.ts'
import { dataKeys, imageKeys, rasterKeys } from '../prepare/keys.ts'
import { type TargetName, targets } from '../target/targets.ts'
import { type MaskName, maskKeys } from '../token/keys.ts'
import { checkpointKeys, logKeys, trainKeys } from './run-keys.ts'

/** Keys by group. */
export type Keys = Readonly<Record<string, z.ZodRawShape>>

/** Kinds of data. */
export const kinds = {
  images: { keys: { data: imageKeys }, how: 'leave data.bands out' },
  rasters: {
    keys: { data: rasterKeys, model: rasterModelKeys },
    how: 'name the bands in data.bands, such as ["B2","B3","B4","B8"]',
  },
} as const satisfies Record<
  string,
  { readonly keys: Keys /** Chooses it, for messages. */; readonly how: string }
>

export type KindName = keyof typeof kinds

export interface ObjectiveKeys {
  /** For model cards, at the beginning of a sentence. */
  readonly inWords: string
  readonly keys: Keys
  /** Further keys for each kind of data; null if the objective does not take it. */
  readonly kinds: Readonly<Record<KindName, Keys | null>>
  /** Those of each kind of decoder that it may have, and further ones of rasters; left out by an objective without. */
  readonly decoders?: Readonly<Partial<Record<DecoderName, z.ZodRawShape>>>
  readonly rasterDecoders?: Readonly<Partial<Record<DecoderName, z.ZodRawShape>>>
  /** Those of each kind of mask, and further ones of rasters; left out by an objective that hides nothing. */
  readonly masks?: Readonly<Record<MaskName, z.ZodRawShape>>
  /** `mask.kind` where it is not given; default: the first. */
  readonly mask?: MaskName
  readonly rasterMasks?: Readonly<Partial<Record<MaskName, z.ZodRawShape>>>
  /** Those of each kind of target that it takes; left out by an objective without. */
  readonly targets?: Readonly<Partial<Record<TargetName, z.ZodRawShape>>>
  /** `target.kind` where it is not given; default: the first. */
  readonly target?: TargetName
  /** Of an objective whose encoder is no transformer: the keys of the group `model` that it reads. */
  readonly model?: readonly (keyof typeof modelKeys)[]
}

/** The first is the default. */
export const objectives = {
  mae: maeKeys,
  simmim: simmimKeys,
  maskfeat: maskfeatKeys,
  beit: beitKeys,
  beitv2: beitv2Keys,
  crossmae: crossmaeKeys,
  data2vec: data2vecKeys,
  ijepa: ijepaKeys,
  vqkd: vqkdKeys,
  'vq-pixels': vqPixelsKeys,
} as const satisfies Record<string, ObjectiveKeys>

export type ObjectiveName = keyof typeof objectives
/** With mask tokens and linear heads. */
export type MaskTokenName = Extract<ObjectiveName, 'simmim' | 'maskfeat' | 'beit' | 'beitv2' | 'data2vec'>

export const namesOf = <T extends object>(table: T) =>
  Object.keys(table) as [keyof T & string, ...(keyof T & string)[]]

/** Keys whose value decides which other keys are read, with their values; the first is the default. */
export const choosers = {
  objective: namesOf(objectives),
  'data.kind': namesOf(kinds),
  'decoder.kind': namesOf(decoderKeys),
  'mask.kind': namesOf(maskKeys),
  'target.kind': namesOf(targets),
  'optim.optimizer': namesOf(optimizerKeys),
  'adapt.kind': namesOf(adaptKeys),
}

/** For objectives with targets: which, and the usual one. */
export const targetKindKeys = (
  usual: TargetName = 'pixels',
  taken: [TargetName, ...TargetName[]] = choosers['target.kind'],
) => ({
  kind: z.enum(taken).default(usual).describe('what hidden tokens should say'),
})

/** For objectives that hide tokens; with the usual kind. */
export const maskKindKey = (usual: MaskName = 'random') => ({
  kind: z
    .enum(choosers['mask.kind'])
    .default(usual)
    .describe(
      'which patches are hidden: any (random), rectangles (block), all but a regular grid (grid), cells of several patches (coarse), the blocks of I-JEPA (multi-block), the middle (centre), all but the middle (periphery), what a teacher or the encoder attends to (attention), what is hard to predict (loss) or what masks of yours say (files)',
    ),
})

/** The kinds of target that an objective takes. */
export const takenTargets = (objective: ObjectiveName): TargetName[] => {
  const { targets = {} } = objectives[objective] as ObjectiveKeys
  return choosers['target.kind'].filter((kind) => kind in targets)
}

/** For objectives with these decoders; the first is the default. */
export const decoderKindKeys = <K extends DecoderName>(kinds: readonly [K, ...K[]]) => ({
  kind: z
    .enum(kinds)
    .default(kinds[0] as never)
    .describe(
      'how hidden tokens are predicted: a transformer of all tokens, or mask tokens that attend to seen ones alone (cross-attention)',
    ),
})

/** Of an objective, where they are not given. */
export function usualChoices(objective: ObjectiveName): {
  readonly [C in keyof typeof choosers]?: string | undefined
} {
  const { target, decoders, mask } = objectives[objective] as ObjectiveKeys
  return {
    'target.kind': target ?? takenTargets(objective)[0],
    'decoder.kind': decoders && namesOf(decoders)[0],
    'mask.kind': mask,
  }
}

/** The keys of the group `model` that it reads; null: all. */
export const readOfModel = (objective: ObjectiveName): readonly string[] | null =>
  (objectives[objective] as ObjectiveKeys).model ?? null

/** Keys of every run, in the order in which configurations are written. */
export const commonKeys = {
  data: {
    kind: z
      .enum(choosers['data.kind'])
      .optional()
      .describe('image files, or rasters of named bands; rasters where data.bands names some'),
    ...dataKeys,
  },
  model: modelKeys,
}
export const runKeys = {
  adapt: {
    kind: z
      .enum(choosers['adapt.kind'])
      .default('none')
      .describe(
        'what learns of the encoder that --init gives: all of it (none), low-rank adapters of frozen weights (lora), or its biases alone (bitfit); decoders always learn',
      ),
  },
  optim: {
    optimizer: z
      .enum(choosers['optim.optimizer'])
      .default('adamw')
      .describe('how gradients move the weights; adam has the decay in the gradient, adamw beside it'),
    ...optimKeys,
  },
  train: trainKeys,
  checkpoint: checkpointKeys,
  log: logKeys,
}
