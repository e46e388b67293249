/** Finds the layout of a set of names, and the prefix before them. */
import { SherdError } from '../errors.ts'
import { type Layout, type LayoutName, layoutNames, layouts } from './layouts.ts'

/** Known unsupported models, by a name that only they have. */
const others: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^videomae\./, 'a VideoMAE'],
  [/^beit\.|relative_position_bias_table|^blocks\.0\.gamma_1$/, 'a BEiT, which has other positions'],
  [/^deit\.|^dist_token$|distillation_token$|^head_dist\./, 'a DeiT with a distillation token'],
  [/^blocks\.0\.ls1\.|layer_scale|^layers\.0\.(?:attn|ffn)\.gamma/, 'a ViT with layer scale, such as DINOv2'],
  [/^reg_token$|register_tokens$/, 'a ViT with register tokens'],
  [/\.attn\.[qk]_norm\./, 'a ViT that normalises queries and keys'],
  [
    /^norm_pre\.|^pre_norm\.|(?:^|\.)pre_layrnorm\./,
    'a ViT with a norm before its blocks (norm_pre), such as that of CLIP',
  ],
  [/^blocks\.0\.(?:attn|mlp)\.norm\.|^blocks\.0\.mlp\.(?:w12|fc1_g)\./, 'a ViT with other blocks'],
  [/^attn_pool\./, 'a ViT that pools by attention, such as SigLIP'],
  [/^patch_embed\.(?:norm|backbone|conv|stem)\b/, 'a ViT with another embedding of patches'],
  [
    /^(?:blocks|layers|encoder\.layer)\.0\..*(?:\blora_[AB]\b|\badapt)/,
    'a model with adapters, such as LoRA, which are to be merged into its weights first',
  ],
  [/^layers\.0\.blocks\./, 'a Swin transformer'],
  [/^embeddings\.patch_embeddings\..*\.layer\.0\.norm1\./, 'a DINOv2'],
  [/^visual\.|^vision_model\./, 'a CLIP'],
]

export interface Recognised {
  readonly layout: LayoutName
  /** Prefix of all names of the model. */
  readonly prefix: string
  /** Prefix of its encoder, after that. */
  readonly wrapper: string
}

export interface Located extends Recognised {
  /** Names without the prefix. */
  readonly outside: readonly string[]
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}
const known = () => layoutNames.map((name) => layouts[name].title).join(', ')

const isSame = (a: Recognised, b: Recognised) =>
  a.layout === b.layout && a.prefix === b.prefix && a.wrapper === b.wrapper

/** All models of known layouts among the names. */
export function modelsAmong(all: ReadonlySet<string>): Recognised[] {
  const found: Recognised[] = []
  for (const name of all)
    for (const layout of layoutNames) {
      const { anchor, wrapper, hasNames }: Layout = layouts[layout]
      if (!name.endsWith(anchor)) continue
      const before = name.slice(0, -anchor.length)
      if (before !== '' && !before.endsWith('.')) continue
      if (!hasNames((each) => all.has(before + each))) continue
      const isWrapped = wrapper !== '' && before.endsWith(wrapper)
      const prefix = isWrapped ? before.slice(0, -wrapper.length) : before
      const model = { layout, prefix, wrapper: isWrapped ? wrapper : '' }
      if (!found.some((each) => isSame(each, model))) found.push(model)
      if (found.length > MAX_MODELS) refuse(`it holds more than ${MAX_MODELS} models`)
    }
  return found
}
const MAX_MODELS = 100

/** The value of `--prefix` that selects a model. */
const choosing = ({ prefix, wrapper }: Recognised) => (prefix + wrapper).replace(/\.$/, '')
const shown = (model: Recognised) =>
  layouts[model.layout].title + (choosing(model) && ` under "${choosing(model)}."`)

const without = (names: ReadonlySet<string>, prefix: string) =>
  [...names].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))

function expectNoOther(names: readonly string[]): void {
  const other = others.find(([pattern]) => names.some((name) => pattern.test(name)))
  if (other) refuse(`its names are those of ${other[1]}, which computes something else: expected ${known()}`)
}

/**
 * Finds the layout below the given prefix, or the only one that fits. Throws `CHECKPOINT` if there are none or several, and for known
 * unsupported models, which must not be read as a ViT with additional parameters.
 */
export function recognise(names: Iterable<string>, given: string | null = null): Located {
  const all = new Set(names)
  if (given === null) expectNoOther([...all])
  const wanted = given?.replace(/\.$/, '')
  const everything = modelsAmong(all)
  const found = everything.filter(
    (model) => wanted === undefined || wanted === choosing(model) || `${wanted}.` === model.prefix,
  )
  const [first, second] = found
  if (!first) {
    if (given !== null) expectNoOther(without(all, given && `${wanted}.`))
    const first = [...all].slice(0, 4).join(', ')
    return refuse(
      everything.length > 0
        ? `no model is under the prefix "${given}": it holds ${everything.map(shown).join('; ')}`
        : `its names (${first}, …) are those of no layout: expected ${known()}`,
    )
  }
  if (second)
    return refuse(
      `it holds more than one model (${found.map(shown).join('; ')}): name one with --prefix, or keep one of them in the file`,
    )
  expectNoOther(without(all, first.prefix + first.wrapper))
  expectNoOther(without(all, first.prefix))
  return { ...first, outside: [...all].filter((name) => !name.startsWith(first.prefix)) }
}
