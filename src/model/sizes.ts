/** The named encoder sizes (He et al. 2021; tiny and small after Touvron et al. 2021, "DeiT"). A new size is one row. */

export interface EncoderSize {
  readonly width: number
  readonly depth: number
  readonly heads: number
  readonly patchSize: number
}

export const sizes = {
  tiny: { width: 192, depth: 12, heads: 3, patchSize: 16 },
  small: { width: 384, depth: 12, heads: 6, patchSize: 16 },
  base: { width: 768, depth: 12, heads: 12, patchSize: 16 },
  large: { width: 1024, depth: 24, heads: 16, patchSize: 16 },
  huge: { width: 1280, depth: 32, heads: 16, patchSize: 14 },
} as const satisfies Record<string, EncoderSize>

export type SizeName = keyof typeof sizes
export const sizeNames = Object.keys(sizes) as SizeName[]
