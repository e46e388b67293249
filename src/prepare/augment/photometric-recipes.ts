/**
 * The photometric recipes of DINO, iBOT and MoCo v3 (Caron et al. 2021, Zhou et al. 2021, Chen, Xie & He 2021, after BYOL), and of
 * DINOv2 and DINOv3, by method and view. MoCo v3 has the first two views of `dino`.
 */
import type { PhotometricRecipe } from './photometric.ts'

const common = {
  jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
  greyscale: 0.2,
} as const

const recipe = (
  blur: number,
  solarise: number,
  kernelSize: readonly [number, number] | null,
): PhotometricRecipe => ({
  ...common,
  blur: { probability: blur, sigma: [0.1, 2], kernelSize },
  solarise,
})

export const photometricRecipes = {
  dino: {
    firstGlobal: recipe(1, 0, null),
    secondGlobal: recipe(0.1, 0.2, null),
    local: recipe(0.5, 0, null),
  },
  /** With the probabilities that the paper and the code declare. */
  dinov2: {
    firstGlobal: recipe(1, 0, [9, 9]),
    secondGlobal: recipe(0.1, 0.2, [9, 9]),
    local: recipe(0.5, 0, [9, 9]),
  },
  /** As the code that made the released weights blurs: with one minus each declared probability. */
  dinov2Released: {
    firstGlobal: recipe(0, 0, [9, 9]),
    secondGlobal: recipe(0.9, 0.2, [9, 9]),
    local: recipe(0.5, 0, [9, 9]),
  },
} as const satisfies Record<string, Record<string, PhotometricRecipe>>

type Methods = typeof photometricRecipes
export type RecipeName = { [M in keyof Methods]: `${M}.${keyof Methods[M] & string}` }[keyof Methods]

/** All of them by one name, such as `dino.local`. */
export const namedRecipes = Object.fromEntries(
  Object.entries(photometricRecipes).flatMap(([method, views]) =>
    Object.entries(views).map(([view, each]) => [`${method}.${view}`, each]),
  ),
) as Readonly<Record<RecipeName, PhotometricRecipe>>
