/**
 * How other programs name the parameters of a ViT, as a table that is read in both directions. A row pairs one of our modules with
 * theirs; where theirs are three, they are query, key and value, one behind the other in ours. Position tables are no parameters of
 * ours unless they were learned: they are named apart.
 */
import { SherdError } from '../errors.ts'

/** `{i}` stands for a number, the same on both sides. */
type Pair = readonly [ours: string, theirs: string | readonly [query: string, key: string, value: string]]

export interface Layout {
  readonly title: string
  /** What names of the encoder may begin with, in models that have something beside an encoder. */
  readonly wrapper: string
  readonly hasNames: (has: (name: string) => boolean) => boolean
  /** Modules of a `.weight` and a `.bias`. */
  readonly modules: readonly Pair[]
  /** Parameters by their whole names. */
  readonly tokens: readonly Pair[]
  readonly positions: string
  readonly decoderPositions: string | null
  /** Computed tables beside the positions, which are made anew. */
  readonly tables: readonly string[]
  /** Of what the program writes when its own configuration says nothing. */
  readonly layerNormEpsilon: number
}

const same = (...names: readonly string[]): Pair[] => names.map((name) => [name, name])

const blockParts = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2']
const ownBlocks = (prefix: string) => same(...blockParts.map((part) => `${prefix}.{i}.${part}`))

const ownEncoder = [...ownBlocks('blocks'), ...same('norm')]
const ownDecoder = [...same('decoder_embed', 'decoder_norm'), ...ownBlocks('decoder_blocks')]
const ownHeads = same('fc_norm', 'head')

const transformersBlocks = (ours: string, theirs: string): Pair[] => [
  [`${ours}.{i}.norm1`, `${theirs}.{i}.layernorm_before`],
  [
    `${ours}.{i}.attn.qkv`,
    [
      `${theirs}.{i}.attention.attention.query`,
      `${theirs}.{i}.attention.attention.key`,
      `${theirs}.{i}.attention.attention.value`,
    ],
  ],
  [`${ours}.{i}.attn.proj`, `${theirs}.{i}.attention.output.dense`],
  [`${ours}.{i}.norm2`, `${theirs}.{i}.layernorm_after`],
  [`${ours}.{i}.mlp.fc1`, `${theirs}.{i}.intermediate.dense`],
  [`${ours}.{i}.mlp.fc2`, `${theirs}.{i}.output.dense`],
]

export const layouts = {
  /** He et al.'s own files, and this program's: the names are the same. */
  mae: {
    title: 'facebookresearch/mae',
    wrapper: '',
    hasNames: (has) => has('patch_embed.proj.weight') && has('decoder_embed.weight'),
    modules: [...same('patch_embed.proj', 'decoder_pred'), ...ownEncoder, ...ownDecoder],
    tokens: same('cls_token', 'mask_token'),
    positions: 'pos_embed',
    decoderPositions: 'decoder_pos_embed',
    tables: [],
    layerNormEpsilon: 1e-6,
  },
  satmae: {
    title: 'SatMAE, groups of bands',
    wrapper: '',
    hasNames: (has) => has('patch_embed.0.proj.weight') && has('blocks.0.norm1.weight'),
    modules: [...same('patch_embed.{i}.proj', 'decoder_pred.{i}'), ...ownEncoder, ...ownDecoder],
    tokens: same('cls_token', 'mask_token'),
    positions: 'pos_embed',
    decoderPositions: 'decoder_pos_embed',
    tables: ['channel_embed', 'decoder_channel_embed'],
    layerNormEpsilon: 1e-6,
  },
  timm: {
    title: "timm's VisionTransformer",
    wrapper: '',
    hasNames: (has) =>
      has('patch_embed.proj.weight') && has('blocks.0.norm1.weight') && !has('decoder_embed.weight'),
    modules: [...same('patch_embed.proj'), ...ownEncoder, ...ownHeads],
    tokens: same('cls_token'),
    positions: 'pos_embed',
    decoderPositions: null,
    tables: [],
    layerNormEpsilon: 1e-6,
  },
  huggingface: {
    title: 'Hugging Face ViT and ViTMAE',
    wrapper: 'vit.',
    hasNames: (has) =>
      has('embeddings.patch_embeddings.projection.weight') && has('encoder.layer.0.layernorm_before.weight'),
    modules: [
      ['patch_embed.proj', 'embeddings.patch_embeddings.projection'],
      ...transformersBlocks('blocks', 'encoder.layer'),
      ['norm', 'layernorm'],
      ['decoder_embed', 'decoder.decoder_embed'],
      ...transformersBlocks('decoder_blocks', 'decoder.decoder_layers'),
      ['decoder_norm', 'decoder.decoder_norm'],
      ['decoder_pred', 'decoder.decoder_pred'],
      ['head', 'classifier'],
    ],
    tokens: [
      ['cls_token', 'embeddings.cls_token'],
      ['mask_token', 'decoder.mask_token'],
    ],
    positions: 'embeddings.position_embeddings',
    decoderPositions: 'decoder.decoder_pos_embed',
    tables: [],
    layerNormEpsilon: 1e-12,
  },
} as const satisfies Record<string, Layout>

export type LayoutName = keyof typeof layouts
export const layoutNames = Object.keys(layouts) as LayoutName[]

/** `blocks.3.norm1` → `blocks.{i}.norm1` and 3. */
function templateOf(name: string): { readonly template: string; readonly number: string } {
  const number = name.match(/(?<=^|\.)\d+(?=\.|$)/)?.[0] ?? ''
  return { template: name.replace(/(?<=^|\.)\d+(?=\.|$)/, '{i}'), number }
}

const kindOf = (name: string) => name.match(/\.(?:weight|bias)$/)?.[0] ?? ''

/** A parameter of ours that one of theirs is, or is a part of: number `part` of `parts`. */
export interface OurName {
  readonly name: string
  readonly part: number
  readonly parts: number
}

/** What a name of theirs, without the wrapper, is here; null for what is not ours. */
export function ourNameOf({ modules, tokens }: Layout, theirs: string): OurName | null {
  const kind = kindOf(theirs)
  const { template, number } = templateOf(theirs.slice(0, theirs.length - kind.length))
  for (const [ours, names] of kind ? modules : tokens) {
    const all = typeof names === 'string' ? [names] : names
    const part = all.indexOf(template)
    if (part >= 0) return { name: ours.replace('{i}', number) + kind, part, parts: all.length }
  }
  return null
}

/** The names of theirs, without the wrapper, that one of our parameters is made of; null where they have no such parameter. */
export function theirNamesOf({ modules, tokens }: Layout, ours: string): readonly string[] | null {
  const kind = kindOf(ours)
  const { template, number } = templateOf(ours.slice(0, ours.length - kind.length))
  const found = (kind ? modules : tokens).find(([name]) => name === template)
  if (!found) return null
  const names = typeof found[1] === 'string' ? [found[1]] : found[1]
  return names.map((name) => name.replace('{i}', number) + kind)
}

/** What wrappers of a training put before every name: `module.` of data parallel, `_orig_mod.` of compiled models. */
const shared = /^(?:module|model|_orig_mod|backbone|base_model)\./

/** Names without what all of them begin with. */
export function withoutSharedPrefix<T>(named: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  const prefix = [...named.keys()][0]?.match(shared)?.[0]
  if (!prefix || ![...named.keys()].every((name) => name.startsWith(prefix))) return named
  return withoutSharedPrefix(new Map([...named].map(([name, value]) => [name.slice(prefix.length), value])))
}

/** Models that are known not to be these, by a name that only they have. */
const others: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^videomae\./, 'a VideoMAE'],
  [/^beit\.|relative_position_bias_table|^blocks\.0\.gamma_1$/, 'a BEiT, which has other positions'],
  [/^deit\.|^dist_token$|distillation_token$/, 'a DeiT with a distillation token'],
  [/^blocks\.0\.ls1\.|layer_scale/, 'a ViT with layer scale, such as DINOv2'],
  [/^reg_token$|register_tokens$/, 'a ViT with register tokens'],
  [/\.attn\.[qk]_norm\./, 'a ViT that normalises queries and keys'],
  [/^layers\.0\.blocks\./, 'a Swin transformer'],
  [/^embeddings\.patch_embeddings\..*\.layer\.0\.norm1\./, 'a DINOv2'],
  [/^visual\.|^vision_model\./, 'a CLIP'],
]

export interface Recognised {
  readonly layout: LayoutName
  /** What the names of the encoder begin with. */
  readonly wrapper: string
}

/**
 * Which layout names are in. Throws `CHECKPOINT` when it is none or could be several, saying what it is if that is known: a model
 * that computes something else must not be read as one that has a few more parameters.
 */
export function recognise(names: Iterable<string>): Recognised {
  const all = new Set(names)
  const shown = [...all].slice(0, 4).join(', ')
  const other = others.find(([pattern]) => [...all].some((name) => pattern.test(name)))
  if (other)
    throw new SherdError(
      'CHECKPOINT',
      `its names are those of ${other[1]}, which computes something else: expected ${known()}`,
    )
  const found = layoutNames.flatMap((layout) => {
    const { hasNames, wrapper } = layouts[layout]
    return [...new Set(['', wrapper])]
      .filter((prefix) => hasNames((name) => all.has(prefix + name)))
      .map((prefix): Recognised => ({ layout, wrapper: prefix }))
  })
  const [first, second] = found
  if (!first)
    throw new SherdError('CHECKPOINT', `its names (${shown}, …) are those of no layout: expected ${known()}`)
  if (second)
    throw new SherdError(
      'CHECKPOINT',
      `it holds more than one model (${found.map(({ layout, wrapper }) => layouts[layout].title + (wrapper && ` under "${wrapper}"`)).join('; ')}): keep one of them in the file`,
    )
  return first
}

const known = () => layoutNames.map((name) => layouts[name].title).join(', ')
