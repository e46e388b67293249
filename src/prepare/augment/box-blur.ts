/**
 * Pillow's `GaussianBlur`: not a Gaussian, but three box blurs along rows and three along columns, in whole numbers of 2⁻²⁴ with bytes
 * between them. The length of the box has a fraction (Gwosdek et al. 2011), which the two pixels at its ends get.
 */
import type { Change } from './change.ts'

const PASSES = 3
const HALF = 1 << 23

interface BoxKernel {
  /** The whole pixels to either side of the centre. */
  readonly reach: number
  /** Of each of the whole pixels, in 2⁻²⁴. */
  readonly inner: number
  /** Of the pixel beyond them on either side. */
  readonly outer: number
}

/** The box whose three passes have the variance sigma², as float32 gives it. */
export function boxOf(sigma: number): BoxKernel {
  const f = Math.fround
  const variance = f(f(f(sigma) * f(sigma)) / PASSES)
  const length = f(Math.sqrt(12 * variance + 1))
  const whole = Math.floor((length - 1) / 2)
  const fraction = f(f((2 * whole + 1) * f(whole * (whole + 1) - f(3 * variance))))
  const radius = f(whole + f(fraction / f(6 * f(variance - (whole + 1) * (whole + 1)))))
  const reach = Math.floor(radius)
  const inner = Math.floor(f(2 ** 24 / f(f(2 * radius) + 1)))
  return { reach, inner, outer: Math.floor((2 ** 24 - (2 * reach + 1) * inner) / 2) }
}

/** One pass along a row that lies between `edge` bytes on either side. */
function blurRow(from: Uint8Array, to: Uint8Array, { reach, inner, outer }: BoxKernel, edge: number): void {
  const row = to.length - 2 * edge
  const span = (2 * reach + 2) * 3
  let red = 0
  let green = 0
  let blue = 0
  for (let i = 3; i < span; i += 3) {
    red += from[i]!
    green += from[i + 1]!
    blue += from[i + 2]!
  }
  for (let i = 0; i < row; i += 3) {
    const next = i + span
    // Sums stay below 2³² and are cut to 32 bits on the way, which `>>>` reads as they are.
    to[edge + i] = (Math.imul(inner, red) + Math.imul(outer, from[i]! + from[next]!) + HALF) >>> 24
    to[edge + i + 1] =
      (Math.imul(inner, green) + Math.imul(outer, from[i + 1]! + from[next + 1]!) + HALF) >>> 24
    to[edge + i + 2] =
      (Math.imul(inner, blue) + Math.imul(outer, from[i + 2]! + from[next + 2]!) + HALF) >>> 24
    red += from[next]! - from[i + 3]!
    green += from[next + 1]! - from[i + 4]!
    blue += from[next + 2]! - from[i + 5]!
  }
}

/** The same where the box reaches no whole neighbour, as most of the recipes' do: without sums that slide it takes a quarter less time. */
function blurNext(from: Uint8Array, to: Uint8Array, { inner, outer }: BoxKernel, edge: number): void {
  const end = to.length - edge
  for (let i = edge; i < end; i++)
    to[i] = (Math.imul(inner, from[i]!) + Math.imul(outer, from[i - edge]! + from[i + edge]!) + HALF) >>> 24
}

/** Three passes along each row, in place. A row lies between copies of its first and last pixel, as far as the box looks. */
function blurRows(pixels: Uint8Array, width: number, box: BoxKernel): void {
  const row = width * 3
  const edge = (box.reach + 1) * 3
  const pass = box.reach === 0 ? blurNext : blurRow
  let from = new Uint8Array(row + 2 * edge)
  let to = new Uint8Array(row + 2 * edge)
  for (let start = 0; start < pixels.length; start += row) {
    from.set(pixels.subarray(start, start + row), edge)
    for (let i = 0; i < PASSES; i++) {
      for (let x = 0; x < edge; x++) {
        from[x] = from[edge + (x % 3)]!
        from[edge + row + x] = from[edge + row - 3 + (x % 3)]!
      }
      pass(from, to, box, edge)
      const done = to
      to = from
      from = done
    }
    pixels.set(from.subarray(edge, edge + row), start)
  }
}

/** One pass along all columns. */
function blurColumns(
  from: Uint8Array,
  to: Uint8Array,
  row: number,
  { reach, inner, outer }: BoxKernel,
): void {
  const last = from.length / row - 1
  const startOf = (y: number) => Math.min(last, Math.max(0, y)) * row
  const sums = new Int32Array(row)
  for (let y = -reach; y <= reach; y++) {
    const start = startOf(y)
    for (let x = 0; x < row; x++) sums[x] = sums[x]! + from[start + x]!
  }
  for (let y = 0; y <= last; y++) {
    const before = startOf(y - reach - 1)
    const after = startOf(y + reach + 1)
    const leaving = startOf(y - reach)
    const here = y * row
    if (reach === 0)
      for (let x = 0; x < row; x++)
        to[here + x] =
          (Math.imul(inner, from[here + x]!) +
            Math.imul(outer, from[before + x]! + from[after + x]!) +
            HALF) >>>
          24
    else
      for (let x = 0; x < row; x++) {
        const sum = sums[x]!
        const next = from[after + x]!
        to[here + x] = (Math.imul(inner, sum) + Math.imul(outer, from[before + x]! + next) + HALF) >>> 24
        sums[x] = sum + next - from[leaving + x]!
      }
  }
}

/** Pillow calls sigma `radius`; pixels. */
export const blurPillow = (sigma: number): Change => {
  const box = boxOf(sigma)
  return ({ pixels, width }) => {
    const out = pixels.slice()
    if (box.outer === 0 && box.reach === 0) return out
    blurRows(out, width, box)
    const other = new Uint8Array(out.length)
    blurColumns(out, other, width * 3, box)
    blurColumns(other, out, width * 3, box)
    blurColumns(out, other, width * 3, box)
    return other
  }
}
