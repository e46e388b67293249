/** A trained tokenizer as a target. */
import { SherdError } from '../errors.ts'
import type { FrozenTokenizer } from '../target/frozen-tokenizer.ts'
import type { Locate } from '../target/target-row.ts'
import type { Taught } from './taught.ts'

const refuse = (path: string): never => {
  throw new SherdError('CONFIG', `target.tokenizer: ${path} is no tokenizer`)
}

export const locateTokenizer: Locate['tokenizer'] = async (path) => refuse(path)

/** Throws `CONFIG` for what is no tokenizer. */
export const openFrozenTokenizer = async (path: string, _: Taught): Promise<FrozenTokenizer> => refuse(path)
