/** The type of rows in the table of targets. */
import type { z } from 'zod'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { FrozenModel } from './frozen-model.ts'
import type { FrozenTokenizer } from './frozen-tokenizer.ts'
import type { TargetMaker } from './target.ts'

/** MAE's squared errors, or SimMIM's absolute ones. */
export type PixelForm = 'mae' | 'simmim'

/** Opens models that are not trained, by their paths: runs, checkpoints, files. Throws for one that it cannot open. */
export interface GivenModels {
  readonly frozen: (path: string) => FrozenModel
  readonly tokenizer: (path: string) => FrozenTokenizer
}

/** Inputs of a row besides its keys. */
export interface TargetGiven extends GivenModels {
  /** That of the decoder. */
  readonly compat: 'satmae' | null
  /** How the objective predicts pixels; default MAE's. */
  readonly pixels?: PixelForm
}

/** Finds a model by its path: the absolute one, with the width of its tokens or the number of its codes. */
export interface Locate {
  readonly frozen: (path: string) => Promise<{ readonly path: string; readonly width: number }>
  readonly tokenizer: (path: string) => Promise<{ readonly path: string; readonly codes: number }>
}

type Read<K extends z.ZodRawShape> = { readonly [N in keyof K]: Exclude<z.output<K[N]>, undefined> }

export interface TargetRow<K extends z.ZodRawShape> {
  /** In the group `target`, besides `kind`. */
  readonly keys: K
  open(keys: Read<K>, given: TargetGiven): TargetMaker
  /** Fills in keys from another model, before a run begins. */
  complete?(keys: Read<K>, locate: Locate): Promise<Read<K>>
  /** Of a token's prediction, where it is known and not that of its pixels. */
  width?(keys: Read<K>): number | null
  /** Paths of the models that `open` asks for. */
  models?(keys: Read<K>): Partial<Readonly<Record<keyof GivenModels, readonly string[]>>>
  /** Throws if the keys do not fit the model's tokens. */
  check?(keys: Read<K>, shape: BackboneShape): void
  /** For messages: the feature that requires samples without missing data; null if the loss leaves gaps out. */
  wholeSamples(keys: Read<K>): string | null
  /** For model cards, after "as the target:". */
  inWords(keys: Read<K>): string
}

export const targetRow = <K extends z.ZodRawShape>(row: TargetRow<K>): TargetRow<K> => row
