/** timm's architectures by name: what their files do not say and timm's code does, as read from timm 1.0.31. */
import type { Activation } from '../../model/feed-forward.ts'
import type { Family } from './facts.ts'

export interface Architecture {
  readonly names: RegExp
  readonly family: Family
  /** Null: the feed-forward's own. */
  readonly activation: Activation | null
  readonly epsilon: number
  readonly cls: boolean
  readonly registers?: number
}

const row = (names: RegExp, family: Family, more: Partial<Architecture> = {}): Architecture => ({
  ...{ names, family, activation: null, epsilon: 1e-6, cls: true, ...more },
})
const clip = { epsilon: 1e-5 } as const
const siglip = { cls: false } as const

/** The first that fits; others are not known. */
const architectures: readonly Architecture[] = [
  row(/^vit_\w+_clip_quickgelu_/, 'clip', { ...clip, activation: 'quick-gelu' }),
  row(/^vit_\w+_clip_/, 'clip', clip),
  row(
    /^vit_(?:base_patch32|giantopt_patch16|so400m_patch16)_siglip_|^vit_large_patch16_siglip_(?:gap_)?512/,
    'siglip',
    { ...siglip, activation: 'gelu-tanh' },
  ),
  row(/^vit_(?:base_patch16|large_patch16|so400m_patch14)_siglip_/, 'siglip', siglip),
  row(/^vit_\w+_dinov3(?:_|$)/, 'dinov3', { epsilon: 1e-5, registers: 4 }),
  row(/^vit_\w+_reg4_dinov2$/, 'dinov2', { registers: 4 }),
  row(/^vit_\w+_dinov2$/, 'dinov2'),
  row(/^beitv2_/, 'beitv2'),
  row(/^beit_/, 'beit'),
  row(/^vit_\w+_gap_/, 'vit', { cls: false }),
  row(/^(?:vit|deit3?|flexivit|eva_large)_/, 'vit'),
]

/** Other functions under the same names. */
export const otherArchitectures = /_rope_|_rpn_|^vit_pe_|_radio_|_lingbot|^beit3_|_sapiens/

export const architectureOf = (name: string | undefined): Architecture | undefined =>
  architectures.find(({ names }) => name !== undefined && names.test(name))
