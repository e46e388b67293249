/** Types of configurations: resolved (a union over objective, kind of data and optimizer), and as a preset or a user writes them. */
import type { z } from 'zod'
import type { DecoderName, decoderKeys, rasterDecoderKeys } from '../model/decoder/keys.ts'
import type { adaptKeys } from '../model/keys.ts'
import type { optimizerKeys } from '../optim/keys.ts'
import type { OptimizerName } from '../optim/optimizers.ts'
import type { TargetName, targetKeys } from '../target/targets.ts'
import type { MaskName, maskKeys, rasterMaskKindKeys } from '../token/keys.ts'
import type { VERSION } from './migrations.ts'
import type {
  commonKeys,
  decoderKindKeys,
  KindName,
  kinds,
  maskKindKey,
  ObjectiveName,
  objectives,
  runKeys,
  targetKindKeys,
} from './tables.ts'

type Objectives = typeof objectives
type Kinds = typeof kinds
type Optimizers = typeof optimizerKeys

/** Includes keys with derived defaults. */
type Values<K> = {
  readonly [G in keyof K]: { readonly [N in keyof K[G]]: Exclude<z.output<K[G][N]>, undefined> }
}

type OptimConfig = {
  [P in OptimizerName]: { readonly optimizer: P } & Values<{ optim: Optimizers[P] }>['optim']
}[OptimizerName]

type Adapts = typeof adaptKeys
type AdaptConfig = {
  [P in keyof Adapts]: { readonly kind: P } & Values<{ adapt: Adapts[P] }>['adapt']
}[keyof Adapts]

interface Root<O extends ObjectiveName, K extends KindName> {
  readonly version: typeof VERSION
  readonly objective: O
  readonly data: { readonly kind: K }
  readonly optim: OptimConfig
  readonly adapt: AdaptConfig
}

type Targets<O extends ObjectiveName> = Objectives[O] extends { readonly targets: infer T } ? T : undefined
type TargetConfig<O extends ObjectiveName> = {
  [T in keyof Targets<O>]: { readonly kind: T } & Values<{ target: Targets<O>[T] }>['target']
}[keyof Targets<O>]

type Decoders<O extends ObjectiveName> = Objectives[O] extends { readonly decoders: infer D } ? D : never
type RasterDecoders<O extends ObjectiveName, N> = Objectives[O] extends { readonly rasterDecoders: infer D }
  ? N extends keyof D
    ? D[N]
    : unknown
  : unknown
type DecoderConfig<O extends ObjectiveName, K extends KindName> = {
  [N in keyof Decoders<O>]: { readonly kind: N } & Values<{ decoder: Decoders<O>[N] }>['decoder'] &
    (K extends 'rasters' ? Values<{ decoder: RasterDecoders<O, N> }>['decoder'] : unknown)
}[keyof Decoders<O>]

type Masks<O extends ObjectiveName> = Objectives[O] extends { readonly masks: infer M } ? M : never
type RasterMasks<O extends ObjectiveName, N> = Objectives[O] extends { readonly rasterMasks: infer M }
  ? N extends keyof M
    ? Values<{ mask: M[N] }>['mask']
    : unknown
  : unknown
type MaskConfig<O extends ObjectiveName, K extends KindName> = {
  [N in keyof Masks<O>]: { readonly kind: N } & Values<{ mask: Masks<O>[N] }>['mask'] &
    (K extends 'rasters' ? RasterMasks<O, N> : unknown)
}[keyof Masks<O>]

type Member<O extends ObjectiveName, K extends KindName> = Objectives[O]['kinds'][K] extends null
  ? never
  : Root<O, K> &
      Values<typeof commonKeys> &
      Values<Kinds[K]['keys']> &
      Values<Objectives[O]['keys']> &
      Values<Objectives[O]['kinds'][K]> &
      (Objectives[O] extends { readonly decoders: object }
        ? { readonly decoder: DecoderConfig<O, K> }
        : unknown) &
      (Objectives[O] extends { readonly masks: object } ? { readonly mask: MaskConfig<O, K> } : unknown) &
      (Targets<O> extends undefined ? unknown : { readonly target: TargetConfig<O> }) &
      Values<typeof runKeys>

/** A resolved configuration, of some objectives and kinds of data. */
export type Config<O extends ObjectiveName = ObjectiveName, K extends KindName = KindName> = {
  [P in O]: { [Q in K]: Member<P, Q> }[K]
}[O]

/** Of objectives that hide tokens. */
export type MaskedConfig = Extract<Config, { readonly mask: object }>
/** Of objectives that predict a target. */
export type TargetedConfig = Extract<Config, { readonly target: object }>
/** Of objectives with a decoder. */
export type DecodedConfig = Extract<Config, { readonly decoder: object }>

/** Of rasters. */
export type RasterConfig = Config<ObjectiveName, 'rasters'>

type Fragments =
  | typeof commonKeys
  | typeof runKeys
  | Kinds[KindName]['keys']
  | Objectives[ObjectiveName]['keys']
  | NonNullable<Objectives[ObjectiveName]['kinds'][KindName]>
  | { target: ReturnType<typeof targetKindKeys> }
  | { mask: ReturnType<typeof maskKindKey> }
  | { [N in MaskName]: { mask: (typeof maskKeys)[N] } }[MaskName]
  | {
      [N in keyof typeof rasterMaskKindKeys]: { mask: (typeof rasterMaskKindKeys)[N] }
    }[keyof typeof rasterMaskKindKeys]
  | { decoder: ReturnType<typeof decoderKindKeys<DecoderName>> }
  | { [N in DecoderName]: { decoder: (typeof decoderKeys)[N] | (typeof rasterDecoderKeys)[N] } }[DecoderName]
  | { [T in TargetName]: { target: (typeof targetKeys)[T] } }[TargetName]
  | { [P in keyof Adapts]: { adapt: Adapts[P] } }[keyof Adapts]
  | { [P in OptimizerName]: { optim: Optimizers[P] } }[OptimizerName]

type KeyOf<Union> = Union extends unknown ? keyof Union : never
type At<Union, K> = Union extends unknown ? (K extends keyof Union ? Union[K] : never) : never
type GroupOf<G> = At<Fragments, G>

/** As a preset or a user writes it; every key is optional. Which keys are read together is checked by `resolveConfig`. */
export type ConfigInput = {
  readonly version?: number | undefined
  readonly objective?: ObjectiveName | undefined
} & {
  readonly [G in KeyOf<Fragments>]?:
    | { readonly [N in KeyOf<GroupOf<G>>]?: z.input<At<GroupOf<G>, N> & z.ZodType> | undefined }
    | undefined
}
