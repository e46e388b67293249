import { describe, expect, it } from 'vitest'
import { draws } from '../../src/random/draws.ts'
import { paintScene, type SceneName, sceneNames } from '../../src/sample-data/scenes.ts'
import { type Labelled, ridgeAccuracy } from './ridge.ts'

const SIZE = 64
const TRAIN = 100
const TEST = 40

/** Averages blocks of `by`² pixels: [side², C] → [(side/by)², C]. */
function shrink(pixels: ArrayLike<number>, { side, by }: { side: number; by: number }): Float64Array {
  const small = side / by
  const out = new Float64Array(3 * small * small)
  for (let j = 0; j < side; j++)
    for (let i = 0; i < side; i++)
      for (let c = 0; c < 3; c++) {
        const at = 3 * (Math.floor(j / by) * small + Math.floor(i / by)) + c
        out[at] = out[at]! + pixels[3 * (j * side + i) + c]! / (by * by)
      }
  return out
}

/**
 * The exponent a of a power spectrum that falls as 1/f^a: least squares in log–log over 2 … 12 cycles per window, of the
 * luminance of the middle 32 × 32 pixels under a Hann window, its power averaged over all images.
 */
function spectrumExponent(images: readonly ArrayLike<number>[]): number {
  const n = 32
  const from = (SIZE - n) / 2
  const hann = Float64Array.from({ length: n }, (_, i) => Math.sin((Math.PI * (i + 0.5)) / n) ** 2)
  const cos = Float64Array.from({ length: n }, (_, i) => Math.cos((2 * Math.PI * i) / n))
  const sin = Float64Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * i) / n))
  const power = new Float64Array(13)
  const counted = new Float64Array(13)
  for (const pixels of images) {
    const grey = new Float64Array(n * n)
    for (let j = 0; j < n; j++)
      for (let i = 0; i < n; i++) {
        const at = 3 * ((from + j) * SIZE + from + i)
        grey[j * n + i] = (0.3 * pixels[at]! + 0.6 * pixels[at + 1]! + 0.1 * pixels[at + 2]!) / 255
      }
    const mean = grey.reduce((a, b) => a + b, 0) / grey.length
    const re = new Float64Array(n * n)
    const im = new Float64Array(n * n)
    for (let j = 0; j < n; j++)
      for (let u = 0; u < n; u++)
        for (let i = 0; i < n; i++) {
          const value = (grey[j * n + i]! - mean) * hann[i]! * hann[j]!
          re[j * n + u] = re[j * n + u]! + value * cos[(u * i) % n]!
          im[j * n + u] = im[j * n + u]! - value * sin[(u * i) % n]!
        }
    for (let v = -12; v <= 12; v++)
      for (let u = 0; u <= 12; u++) {
        const ring = Math.round(Math.hypot(u, v))
        if (ring < 2 || ring > 12) continue
        let sumRe = 0
        let sumIm = 0
        for (let j = 0; j < n; j++) {
          const turn = (((v * j) % n) + n) % n
          sumRe += re[j * n + u]! * cos[turn]! + im[j * n + u]! * sin[turn]!
          sumIm += im[j * n + u]! * cos[turn]! - re[j * n + u]! * sin[turn]!
        }
        power[ring] = power[ring]! + sumRe * sumRe + sumIm * sumIm
        counted[ring] = counted[ring]! + 1
      }
  }
  const points = Array.from({ length: 11 }, (_, k) => [
    Math.log(k + 2),
    Math.log(power[k + 2]! / counted[k + 2]!),
  ])
  const meanX = points.reduce((sum, [x]) => sum + x!, 0) / points.length
  const meanY = points.reduce((sum, [, y]) => sum + y!, 0) / points.length
  const slope =
    points.reduce((sum, [x, y]) => sum + (x! - meanX) * (y! - meanY), 0) /
    points.reduce((sum, [x]) => sum + (x! - meanX) ** 2, 0)
  return -slope
}

const painted = sceneNames.map((scene) =>
  Array.from({ length: TRAIN + TEST }, (_, index) => paintScene({ scene, seed: 5, index, size: SIZE })),
)

/** How rough the luminance is at four scales: mean and peakedness of its differences across and down, in logarithms. */
function texture(pixels: ArrayLike<number>): Float64Array {
  const out: number[] = []
  for (const by of [1, 2, 4, 8]) {
    const side = SIZE / by
    const small = shrink(pixels, { side: SIZE, by })
    const grey = Float64Array.from({ length: side * side }, (_, k) => small[3 * k]! + 2 * small[3 * k + 1]!)
    for (const step of [1, side]) {
      let first = 1e-3
      let square = 1e-3
      for (let k = 0; k + step < grey.length; k++) {
        const difference = Math.abs(grey[k + step]! - grey[k]!)
        first += difference
        square += difference * difference
      }
      out.push(Math.log(first), Math.log((square * grey.length) / (first * first)))
    }
  }
  return Float64Array.from(out)
}

/** The images as (features, label) pairs, split into train and test. */
function dataset(features: (pixels: Uint8Array) => Float64Array): { train: Labelled[]; test: Labelled[] } {
  const pairs = painted.map((images, label) =>
    images.map((pixels) => ({ features: features(pixels), label })),
  )
  return {
    train: pairs.flatMap((images) => images.slice(0, TRAIN)),
    test: pairs.flatMap((images) => images.slice(TRAIN)),
  }
}

describe('sample scenes', () => {
  it('are ten, in the order of their names', () => {
    expect(sceneNames).toHaveLength(10)
    expect([...sceneNames].sort()).toEqual(sceneNames)
  })

  it.each(sceneNames)('%s: an image is a pure function of seed, class and index', (scene) => {
    const paint = (change: { seed?: number; index?: number }) =>
      paintScene({ scene, seed: 5, index: 2, size: SIZE, ...change })
    expect(paint({})).toEqual(painted[sceneNames.indexOf(scene)]![2])
    expect(paint({ seed: 6 })).not.toEqual(paint({}))
    expect(paint({ index: 3 })).not.toEqual(paint({}))
  })

  it.each(sceneNames)('%s: another size shows the same scene', (scene) => {
    // A coarse look at two sizes of one image is much closer than at two images.
    const coarse = (index: number, size: number) =>
      shrink(paintScene({ scene, seed: 5, index, size }), { side: size, by: size / 8 })
    const difference = (a: Float64Array, b: Float64Array) =>
      a.reduce((sum, value, k) => sum + Math.abs(value - b[k]!), 0) / a.length
    for (let index = 0; index < 4; index++) {
      const seen = coarse(index, 32)
      expect(difference(seen, coarse(index, 64))).toBeLessThan(0.35 * difference(seen, coarse(index + 1, 64)))
    }
  })

  it.each(sceneNames)('%s: every size from 16 to 512 is a picture', (scene: SceneName) => {
    for (const size of [16, 17, 512]) {
      const pixels = paintScene({ scene, seed: 9, index: 0, size })
      expect(pixels).toHaveLength(3 * size * size)
      const mean = pixels.reduce((a, b) => a + b, 0) / pixels.length
      const deviation = Math.sqrt(pixels.reduce((sum, v) => sum + (v - mean) ** 2, 0) / pixels.length)
      expect(mean).toBeGreaterThan(50)
      expect(mean).toBeLessThan(220)
      expect(deviation).toBeGreaterThan(8)
    }
  })

  it('have a power spectrum that falls as that of natural images, between 1/f and 1/f³', () => {
    const noise = draws({ seed: 1, stream: 'white', epoch: 0, index: 0 })
    const white = Array.from({ length: 40 }, () =>
      noise.fill(new Float32Array(3 * SIZE * SIZE)).map((u) => 255 * u),
    )
    expect(Math.abs(spectrumExponent(white))).toBeLessThan(0.2)
    const all = spectrumExponent(painted.flatMap((images) => images.slice(0, 40)))
    expect(all).toBeGreaterThan(1)
    expect(all).toBeLessThan(3)
  })

  it('are not separated by a linear model of their pixels', () => {
    const accuracy = ridgeAccuracy(dataset((pixels) => shrink(pixels, { side: SIZE, by: 4 })))
    expect(accuracy).toBeLessThan(0.55)
  })

  it('are not separated by their mean colour', () => {
    const accuracy = ridgeAccuracy(
      dataset((pixels) => {
        const colour = [...shrink(pixels, { side: SIZE, by: SIZE })]
        const products = colour.flatMap((a, k) => colour.slice(k).map((b) => a * b))
        return Float64Array.from([...colour, ...products])
      }),
    )
    expect(accuracy).toBeLessThan(0.25)
  })

  it('are separated by their texture, so that there is something to learn', () => {
    const accuracy = ridgeAccuracy(dataset(texture))
    expect(accuracy).toBeGreaterThan(0.5)
  })

  it('would be caught if a linear model could tell them apart', () => {
    // Ten classes that differ by one bright column of noise.
    const random = draws({ seed: 1, stream: 'toy', epoch: 0, index: 0 })
    const toy = (each: number) =>
      Array.from({ length: 10 * each }, (_, k) => ({
        label: k % 10,
        features: Float64Array.from({ length: 100 }, (_, i) => random.normal() + (i % 10 === k % 10 ? 1 : 0)),
      }))
    expect(ridgeAccuracy({ train: toy(50), test: toy(20) })).toBeGreaterThan(0.8)
  })
})
