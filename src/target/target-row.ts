/** A row of the table of targets: what it takes to have one in a configuration. */
import type { z } from 'zod'
import type { BackboneShape } from '../model/backbone.ts'
import type { FrozenModel } from './frozen-model.ts'
import type { TargetMaker } from './target.ts'

/** What a row may take beside its own keys. */
export interface TargetGiven {
  /** That of the decoder. */
  readonly compat: 'satmae' | null
  /** A model that is not trained, by its path: a run, a checkpoint, a file. Throws where the caller opens none. */
  readonly frozen: (path: string) => FrozenModel
}

/** Where a model is, whatever the working folder is then, and how many numbers its tokens have. */
export type Locate = (path: string) => { readonly path: string; readonly width: number }

type Read<K extends z.ZodRawShape> = { readonly [N in keyof K]: Exclude<z.output<K[N]>, undefined> }

export interface TargetRow<K extends z.ZodRawShape> {
  /** In the group `target`, beside `kind`. */
  readonly keys: K
  open(keys: Read<K>, given: TargetGiven): TargetMaker
  /** The keys with what another model says, by its path, before a run begins. */
  complete?(keys: Read<K>, locate: Locate): Read<K>
  /** Throws where they do not fit to the model's tokens. */
  check?(keys: Read<K>, shape: BackboneShape): void
  /** What takes samples without gaps, for messages; null where gaps are left out of the loss. */
  wholeSamples(keys: Read<K>): string | null
  /** As a model card says it, behind "as the target:". */
  inWords(keys: Read<K>): string
}

export const targetRow = <K extends z.ZodRawShape>(row: TargetRow<K>): TargetRow<K> => row
