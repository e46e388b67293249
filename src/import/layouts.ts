/** The published layouts of weights. A set of names is of the first that fits. Import and export read the same rows (`layouts/`). */
import { authorsLayouts } from './layouts/authors.ts'
import type { Layout } from './layouts/layout.ts'
import { plainLayouts } from './layouts/plain.ts'
import { timmLayouts } from './layouts/timm.ts'
import { openClipLayouts, transformersClipLayouts } from './layouts/transformers-clip.ts'
import { transformersDinoLayouts } from './layouts/transformers-dino.ts'
import { transformersVitLayouts } from './layouts/transformers-vit.ts'

export const layouts = {
  ...plainLayouts,
  ...authorsLayouts,
  ...timmLayouts,
  ...transformersVitLayouts,
  ...transformersDinoLayouts,
  ...transformersClipLayouts,
  ...openClipLayouts,
} as const satisfies Record<string, Layout>

export type LayoutName = keyof typeof layouts
export const layoutNames = Object.keys(layouts) as LayoutName[]
export type { Layout } from './layouts/layout.ts'
export { theirNamesOf } from './layouts/layout.ts'
