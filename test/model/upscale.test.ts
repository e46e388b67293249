import { describe, expect, it } from 'vitest'
import { weightsOf } from '../../src/model/parameters.ts'
import { upscale, upscaleRows } from '../../src/model/upscale.ts'
import { backward, clearGradients, gradient, noGrad } from '../../src/tensor/context.ts'
import { mul, sum } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'
import { stirredParameters } from './tiny-model.ts'

// Seven channels: of three, some pixel is nearly the same in all, and a norm makes float32's rounding a hundred times larger.
const shape = { bands: 2, width: 7, doublings: 2 }
const rows = upscaleRows(shape)
const parameters = stirredParameters({ rows })
const weights = weightsOf(parameters)
const floats = (name: string) => numbers(weights(`upscale.${name}`))

/** A picture of one sample, [c][y][x], in double precision. */
type Picture = number[][][]
const fold = (values: readonly number[], h: number, w: number): Picture =>
  Array.from({ length: values.length / (h * w) }, (_, c) =>
    Array.from({ length: h }, (_, y) => values.slice((c * h + y) * w, (c * h + y + 1) * w)),
  )
const sizeOf = (x: Picture) => [x[0]!.length, x[0]![0]!.length] as const
const map = (x: Picture, f: (value: number, c: number, y: number, column: number) => number): Picture =>
  x.map((plane, c) => plane.map((line, y) => line.map((value, column) => f(value, c, y, column))))

/** A convolution from its definition: output channel o gets Σ weight[o, i, ky, kx] · x[i, y + ky − p, x + kx − p]. */
function convolve(x: Picture, name: string, side: number): Picture {
  const [weight, bias] = [floats(`${name}.weight`), floats(`${name}.bias`)]
  const [h, w] = sizeOf(x)
  const pad = (side - 1) / 2
  return bias.map((b, o) =>
    Array.from({ length: h }, (_, y) =>
      Array.from({ length: w }, (_, column) => {
        let total = b
        for (const [i, plane] of x.entries())
          for (let ky = 0; ky < side; ky++)
            for (let kx = 0; kx < side; kx++)
              total +=
                weight[((o * x.length + i) * side + ky) * side + kx]! *
                (plane[y + ky - pad]?.[column + kx - pad] ?? 0)
        return total
      }),
    ),
  )
}

/** A transposed convolution 4 × 4 of stride 2 and padding 1: every pixel spreads weight[i, o] around (2 y − 1, 2 x − 1). */
function enlarge(x: Picture, name: string): Picture {
  const [weight, bias] = [floats(`${name}.weight`), floats(`${name}.bias`)]
  const [h, w] = sizeOf(x)
  const out = bias.map((b) => Array.from({ length: 2 * h }, () => Array<number>(2 * w).fill(b)))
  for (const [i, plane] of x.entries())
    for (const [y, line] of plane.entries())
      for (const [column, value] of line.entries())
        for (let o = 0; o < bias.length; o++)
          for (let ky = 0; ky < 4; ky++)
            for (let kx = 0; kx < 4; kx++) {
              const [toY, toX] = [2 * y - 1 + ky, 2 * column - 1 + kx]
              if (out[o]![toY]?.[toX] !== undefined)
                out[o]![toY]![toX]! += value * weight[((i * bias.length + o) * 4 + ky) * 4 + kx]!
            }
  return out
}

function norm(x: Picture, name: string): Picture {
  const [scale, shift] = [floats(`${name}.weight`), floats(`${name}.bias`)]
  return map(x, (value, c, y, column) => {
    const across = x.map((plane) => plane[y]![column]!)
    const mean = across.reduce((a, b) => a + b, 0) / across.length
    const variance = across.reduce((a, b) => a + (b - mean) ** 2, 0) / across.length
    return ((value - mean) / Math.sqrt(variance + 1e-6)) * scale[c]! + shift[c]!
  })
}

/** x · Φ(x), the normal distribution by its series. */
function gelu(x: number): number {
  let [term, total] = [x, x]
  for (let n = 1; n < 200; n++) {
    term *= (x * x) / (2 * n + 1)
    total += term
  }
  return x * (0.5 + (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * total)
}
const gelus = (x: Picture) => map(x, (value) => gelu(value))

function byHand(picture: Picture): Picture[] {
  let x = norm(gelus(convolve(picture, 'embed', 1)), 'norm')
  return Array.from({ length: shape.doublings }, (_, i) => {
    const name = `blocks.${i}`
    x = norm(enlarge(x, `${name}.up`), `${name}.norm`)
    const change = convolve(gelus(convolve(x, `${name}.conv1`, 3)), `${name}.conv2`, 3)
    x = map(x, (value, c, y, column) => value + change[c]![y]![column]!)
    return convolve(x, `${name}.pred`, 1)
  })
}

describe('upscale', () => {
  it('is the convolutions by their definition, twice and four times the size', () =>
    noGrad(() =>
      scope(() => {
        const pictures = wave(2 * 2 * 6, 4).map((x) => 4 * x) // two pictures of 2 × 3 pixels
        const made = upscale(tensor(pictures, [2, 2, 2, 3]), weights, shape)
        expect(made.map((x) => x.shape)).toEqual([
          [2, 2, 4, 6],
          [2, 2, 8, 12],
        ])
        const expected = [0, 1].map((b) => byHand(fold(pictures.slice(b * 12, (b + 1) * 12), 2, 3)))
        for (const i of [0, 1])
          expectClose(
            made[i]!,
            expected.flatMap((each) => each[i]!.flat(2)),
            1e-5,
          )
      }),
    ))

  it('has the gradient that a small step shows', () => {
    // The sum of all pixels, each with its own factor, against a step along each parameter's own gradient.
    const given = wave(12, 4)
    const total = (w: typeof weights): Tensor => {
      const made = upscale(tensor(given, [1, 2, 2, 3]), w, shape)
      const parts = made.map((x, i) =>
        sum(
          mul(
            x,
            tensor(
              wave(
                x.shape.reduce((a, b) => a * b),
                i,
              ),
              x.shape,
            ),
          ),
        ),
      )
      return mul(
        parts.reduce((a, b) => mul(a, b)),
        0.1,
      )
    }
    clearGradients(parameters.values())
    scope(() => backward(total(weights)))
    const gradients = new Map(
      [...parameters].map(([name, x]) => [name, scope(() => numbers(gradient(x)!))] as const),
    )
    for (const [name, direction] of gradients) {
      const length = Math.hypot(...direction)
      expect(length).toBeGreaterThan(1e-3)
      const step = 0.01 / length
      const moved = (sign: number) =>
        noGrad(() =>
          scope(() => {
            const x = parameters.get(name)!
            const values = numbers(x).map((value, i) => value + (sign * step * direction[i]!) / length)
            const changed = new Map(parameters).set(name, tensor(values, x.shape))
            return item(total(weightsOf(changed)))
          }),
        )
      const slope = (moved(1) - moved(-1)) / (2 * step)
      expect(Math.abs(slope / length - 1)).toBeLessThan(0.02)
    }
  })

  it('has a row for every weight it reads, and no other', () => {
    const asked = new Set<string>()
    noGrad(() =>
      scope(() =>
        upscale(
          tensor(wave(12), [1, 2, 2, 3]),
          (name) => {
            asked.add(name)
            return weights(name)
          },
          shape,
        ),
      ),
    )
    expect([...asked].sort()).toEqual(rows.map(({ name }) => name).sort())
  })

  it('leaks no tensors', () =>
    noGrad(() => {
      const before = liveTensors()
      scope(() => void upscale(tensor(wave(12), [1, 2, 2, 3]), weights, shape))
      expect(liveTensors()).toBe(before)
    }))
})
