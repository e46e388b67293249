/** Finds the layout of a set of names, and the prefix before them. */
import { SherdError } from '../errors.ts'
import { type Templates, templateOf } from './layouts/layout.ts'
import { type Layout, type LayoutName, layoutNames, layouts } from './layouts.ts'

/** Known unsupported models, by a name that only they have. */
const others: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^videomae\./, 'a VideoMAE'],
  [/^deit\.|^dist_token$|distillation_token$|^head_dist\./, 'a DeiT with a distillation token'],
  [/\.attn\.[qk]_norm\./, 'a ViT that normalises queries and keys'],
  [/^pre_norm\./, 'a ViT with a norm before its blocks (pre_norm) of MMPretrain'],
  [/^layers\.0\.(?:attn|ffn)\.gamma/, 'a ViT with layer scale of MMPretrain'],
  [/^blocks\.0\.(?:attn|mlp)\.norm\./, 'a ViT with other blocks'],
  [/^patch_embed\.(?:norm|backbone|conv|stem)\b/, 'a ViT with another embedding of patches'],
  [
    /^(?:blocks|layers?|encoder\.layers?)\.0\..*(?:\blora_[AB]\b|\badapt)/,
    'a model with adapters, such as LoRA, which are to be merged into its weights first',
  ],
  [/^layers\.0\.blocks\./, 'a Swin transformer'],
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
const known = () => [...new Set(layoutNames.map((name): string => layouts[name].title))].join('; ')

const roots = [...new Set(layoutNames.map((name): string => layouts[name].blocks))]

/** Names below any of these prefixes, by templates. */
function templatesBelow(all: ReadonlySet<string>, prefixes: readonly string[]): Templates {
  const known = new Set<string>()
  for (const name of all)
    for (const prefix of prefixes)
      if (name.startsWith(prefix)) known.add(templateOf(name.slice(prefix.length)).template)
  return {
    has: (template) => known.has(template),
    any: (...templates) => templates.some((template) => known.has(template)),
  }
}

/** What stands before the blocks of a model, by what its blocks are called. */
function blocksAmong(all: ReadonlySet<string>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>(roots.map((root) => [root, new Set<string>()]))
  for (const name of all)
    for (const root of roots)
      for (let at = name.indexOf(root); at >= 0; at = name.indexOf(root, at + 1)) {
        const isWhole = at === 0 || name[at - 1] === '.'
        if (isWhole && /^\d+\./.test(name.slice(at + root.length, at + root.length + 12)))
          found.get(root)!.add(name.slice(0, at))
      }
  return found
}

/** All models of known layouts among the names. */
export function modelsAmong(all: ReadonlySet<string>): Recognised[] {
  const found: Recognised[] = []
  const blocks = blocksAmong(all)
  const places = new Set([...blocks.values()].flatMap((before) => [...before]))
  if (places.size > MAX_MODELS) refuse(`it holds more than ${MAX_MODELS} models`)
  for (const before of places) {
    const known = new Map<string, Templates>()
    const fits = (name: LayoutName) => {
      const { blocks: root, wrappers, isOf }: Layout = layouts[name]
      const wrapper = wrappers.find((each) => before.endsWith(each))
      if (wrapper === undefined || !blocks.get(root)!.has(before)) return false
      const names =
        known.get(wrapper) ??
        templatesBelow(all, [before, ...(wrapper ? [before.slice(0, -wrapper.length)] : [])])
      known.set(wrapper, names)
      return isOf(names)
    }
    const layout = layoutNames.find(fits)
    if (!layout) continue
    const { wrappers }: Layout = layouts[layout]
    const wrapper = wrappers.find((each) => before.endsWith(each))!
    found.push({ layout, wrapper, prefix: before.slice(0, before.length - wrapper.length) })
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
