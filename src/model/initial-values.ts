/**
 * How parameters start in objectives that do not start as MAE does: recipes over rows, by their names. MAE's way stands in the rows
 * themselves.
 */
import type { Initial, ParameterRow } from './parameters.ts'

/** Of a row, among all those of its objective. */
export type InitialRecipe = (row: ParameterRow, rows: readonly ParameterRow[]) => Initial

export const startingBy = (rows: readonly ParameterRow[], recipe: InitialRecipe): ParameterRow[] =>
  rows.map((row) => ({ ...row, initial: recipe(row, rows) }))

const DEVIATION = 0.02

const isDrawn = ({ initial }: ParameterRow) => initial === 'xavier' || initial === 'token'

/** √(2l) of maps whose results block l = 1, 2, … adds to its tokens, else 1. */
const divisorOf = (name: string, l: number) =>
  /\.(attn\.proj|mlp\.(fc2|w3))\.weight$/.test(name) ? Math.sqrt(2 * l) : 1

/** From 1 on, of a block of a list of them; null for what is in none. */
function blockOf(name: string, list: string): number | null {
  const found = new RegExp(`(?:^|\\.)${list}\\.(\\d+)\\.`).exec(name)
  return found && Number(found[1]) + 1
}

/**
 * BEiT and what came from it (Bao et al. 2022, section 2.5, and its code): a normal of deviation 0.02 cut at ±0.02, which leaves 0.0108, and
 * what blocks add divided by √(2l).
 */
export const beitInitial: InitialRecipe = (row) => {
  if (!isDrawn(row)) return row.initial
  const deviation = DEVIATION / divisorOf(row.name, blockOf(row.name, 'blocks') ?? 1 / 2)
  return { cutNormal: deviation, at: deviation }
}

/**
 * BEiT v2 (its code): blocks called `cls_pt_layers`, behind the first `early` ones, start as linear maps do in PyTorch, uniform to
 * 1 / √inputs with their biases; what they add is divided as that of the blocks in whose place they stand.
 */
export const beitv2Initial =
  (early: number): InitialRecipe =>
  (row, rows) => {
    const { name } = row
    const block = blockOf(name, 'cls_pt_layers')
    if (block === null) return beitInitial(row, rows)
    const weight = rows.find((other) => other.name === name.replace(/\.bias$/, '.weight'))!
    if (weight.initial !== 'xavier') return row.initial // norms, tables, factors
    return { uniform: 1 / Math.sqrt(weight.shape[1]!) / divisorOf(name, early + block) }
  }

/**
 * MaskFeat (its code): a normal of deviation 0.02, cut where none is left, and the encoder's biases, those of its norms too, at 0.02. The head, whose
 * is the last norm, has none.
 */
export const maskfeatInitial: InitialRecipe = (row) => {
  if (isDrawn(row)) return { cutNormal: DEVIATION, at: 2 }
  const isOfHead = /^(decoder_pred|norm)\./.test(row.name)
  return row.initial === 'zeros' && /[._]bias$/.test(row.name) && !isOfHead
    ? { value: DEVIATION }
    : row.initial
}

/** I-JEPA (its code): as MaskFeat's weights, and its biases are zero. What it divides by √(2l) it draws again undivided. */
export const ijepaInitial: InitialRecipe = (row) =>
  isDrawn(row) ? { cutNormal: DEVIATION, at: 2 } : row.initial
