/**
 * How the colours of a view are changed: colour jitter in a random order, greyscale, blur, solarising, as recipes of self-distillation
 * and contrastive learning have them. What is drawn is data (`Step`), a pure function of the sample's address and the view's name.
 */
import { type Address, draws } from '../../random/draws.ts'
import type { Step } from './step.ts'

export interface PhotometricRecipe {
  readonly jitter: {
    readonly probability: number
    /** Factors within 1 ± these. */
    readonly brightness: number
    readonly contrast: number
    readonly saturation: number
    /** Within ± this share of the circle. */
    readonly hue: number
  }
  /** Probability. */
  readonly greyscale: number
  readonly blur: {
    readonly probability: number
    /** Least and largest, in pixels. */
    readonly sigma: readonly [number, number]
    /** [width, height] of torchvision's kernel; null for Pillow's blur. */
    readonly kernelSize: readonly [number, number] | null
  }
  /** Probability. */
  readonly solarise: number
}

/** By what is a part of the stream's name: two views of a sample have draws of their own, and so has each operation. */
export interface ViewAddress extends Omit<Address, 'stream'> {
  readonly view: string
}

/** The steps of one view, in their order. */
export function drawPhotometric(recipe: PhotometricRecipe, { view, ...address }: ViewAddress): Step[] {
  const drawsOf = (operation: string) => draws({ ...address, stream: `${view} ${operation}` })
  const { jitter, blur } = recipe
  const steps: Step[] = []

  const colour = drawsOf('jitter')
  if (colour.uniform() < jitter.probability) {
    const order = colour.permutation(4)
    const around = (centre: number, spread: number) => centre + spread * (2 * colour.uniform() - 1)
    const factorOf = (spread: number) => Math.max(0, around(1, spread))
    const four: readonly Step[] = [
      { operator: 'brightness', factor: factorOf(jitter.brightness) },
      { operator: 'contrast', factor: factorOf(jitter.contrast) },
      { operator: 'saturation', factor: factorOf(jitter.saturation) },
      { operator: 'hue', factor: around(0, jitter.hue) },
    ]
    for (const place of order) steps.push(four[place]!)
  }

  if (drawsOf('greyscale').uniform() < recipe.greyscale) steps.push({ operator: 'greyscale' })

  const smoothing = drawsOf('blur')
  if (smoothing.uniform() < blur.probability) {
    const [least, most] = blur.sigma
    const sigma = least + (most - least) * smoothing.uniform()
    steps.push(
      blur.kernelSize === null
        ? { operator: 'blurPillow', radius: sigma }
        : { operator: 'blurTorchvision', kernelSize: [blur.kernelSize[0], blur.kernelSize[1]], sigma },
    )
  }

  if (drawsOf('solarise').uniform() < recipe.solarise) steps.push({ operator: 'solarise', threshold: 128 })
  return steps
}
