// What is drawn is what the published encoders' own libraries compute.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { lookAt } from '../../src/look/look.ts'
import type { Exhibit } from '../../src/run/pictures.ts'
import { scope } from '../../src/tensor/scope.ts'
import { prefixLength } from '../../src/token/prefix.ts'
import { tokensOf } from '../../src/weights/frozen-encoder.ts'
import { type OpenedEncoder, openEncoder } from '../../src/weights/open-encoder.ts'
import { expectClose, numbers } from '../tolerance.ts'
import { hasLayouts, layouts } from '../weights/pipelines.ts'

async function opened(name: string) {
  const folder = join(layouts, name)
  const { tensors } = readSafetensors(join(folder, 'expected.safetensors'))
  const wanted = tensors.get('expected.attention')!
  const base = { model: { heads: wanted.shape[1]! } }
  const encoder = await openEncoder({ model: folder, base, device: 'cpu' })
  const images = tensors.get('input.pixel_values')!
  return { encoder, wanted, exhibit: exhibitOf(encoder, numbers(images), images.shape) }
}

/** Undoes the normalisation of [B, 3, H, W]. */
function exhibitOf({ statistics }: OpenedEncoder, values: number[], shape: readonly number[]): Exhibit {
  const [B, C, H, W] = shape as [number, number, number, number]
  const pixels = new Float32Array(values.length)
  for (let b = 0; b < B; b++)
    for (let c = 0; c < C; c++)
      for (let i = 0; i < H * W; i++)
        pixels[(b * H * W + i) * C + c] =
          255 * (values[(b * C + c) * H * W + i]! * statistics.std[c]! + statistics.mean[c]!)
  const indices = Array.from({ length: B }, (_, b) => b)
  return { pixels, shape: [B, H, W, C], indices, names: indices.map((b) => `${b}.png`) }
}

describe.runIf(hasLayouts)('attention', () => {
  it.each([
    ['dinov2-registers', 'cls'],
    ['dinov3', 'cls'],
    ['ijepa', 'patches'],
    ['siglip-vision', 'patches'],
  ])('of %s is what its library returns', async (name, of) => {
    const { encoder, wanted, exhibit } = await opened(name)
    const [B, A, N] = wanted.shape as [number, number, number]
    const block = encoder.dimensions.depth - 1
    const look = await lookAt(encoder, exhibit, { block })
    expect(look.attention).toMatchObject({ of, block })
    expect(look.images).toHaveLength(B)
    const P = look.prefix
    expect(P + look.grid.h * look.grid.w).toBe(N)
    const expected = numbers(wanted)
    for (let b = 0; b < B; b++)
      for (let head = 0; head < A; head++) {
        const row = (query: number) => {
          const first = ((b * A + head) * N + query) * N
          return expected.slice(first, first + N)
        }
        const queries = of === 'cls' ? [0] : Array.from({ length: N - P }, (_, i) => P + i)
        const rows = queries.map(row)
        const mean = rows[0]!.map((_, i) => rows.reduce((sum, each) => sum + each[i]!, 0) / rows.length)
        const { patches, prefix } = look.images[b]!.attention[head]!
        expectClose(patches, mean.slice(P), 1e-5)
        expectClose([prefix], [mean.slice(0, P).reduce((sum, share) => sum + share, 0)], 1e-5)
      }
  })

  it('is that of the query of attention pooling where there is no cls token', async () => {
    const { encoder, exhibit } = await opened('siglip-vision')
    const look = await lookAt(encoder, exhibit)
    expect(look.attention).toMatchObject({ of: 'pooling', block: null })
    const { width: D, heads: A } = encoder.dimensions
    const weight = (name: string) => numbers(encoder.parameters.get(`attn_pool.${name}`)!)
    const [latent, wq, bq, wkv, bkv] = ['latent', 'q.weight', 'q.bias', 'kv.weight', 'kv.bias'].map(weight)
    const linear = (x: readonly number[], w: number[], bias: number[], from: number) =>
      Array.from({ length: D }, (_, o) =>
        x.reduce((sum, value, i) => sum + value * w[(from + o) * D + i]!, bias[from + o]!),
      )
    const query = linear(latent!, wq!, bq!, 0)
    const tokens = scope(() => numbers(tokensOf(encoder)(exhibit).sequence))
    const N = look.grid.h * look.grid.w
    const keys = Array.from({ length: N }, (_, n) => linear(tokens.slice(n * D, (n + 1) * D), wkv!, bkv!, 0))
    for (let head = 0; head < A; head++) {
      const d = D / A
      const scores = keys.map((key) => {
        let sum = 0
        for (let i = head * d; i < (head + 1) * d; i++) sum += query[i]! * key[i]!
        return Math.exp(sum / Math.sqrt(d))
      })
      const all = scores.reduce((a, b) => a + b)
      expectClose(
        look.images[0]!.attention[head]!.patches,
        scores.map((score) => score / all),
        1e-5,
      )
    }
  })

  it('is of a block that there is, and patches are of the grid', async () => {
    const { encoder, exhibit } = await opened('dinov2-registers')
    const { depth } = encoder.dimensions
    await expect(lookAt(encoder, exhibit, { block: depth })).rejects.toThrow(
      `--block ${depth}: expected a whole number below ${depth}, the number of the blocks`,
    )
    await expect(lookAt(encoder, exhibit, { patch: [99, 0] })).rejects.toThrow('--patch 99,0: the grid has')
  })
})

it.runIf(hasLayouts)('compares the normed tokens of the patches, of all images with one', async () => {
  const { encoder, exhibit } = await opened('dinov2-registers')
  const look = await lookAt(encoder, exhibit, { patch: [0, 1], nearest: 1 })
  const { sequence, prefix } = scope(() => {
    const { sequence, prefix } = tokensOf(encoder)(exhibit)
    return { sequence: numbers(sequence), prefix: prefixLength(prefix) }
  })
  const { width: D } = encoder.dimensions
  const N = look.grid.h * look.grid.w
  const token = (image: number, place: number) => {
    const first = (image * (prefix + N) + prefix + place) * D
    return sequence.slice(first, first + D)
  }
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  const cosine = (a: number[], b: number[]) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  expect([look.prefix, look.chosen]).toEqual([prefix, 1])
  for (const [b, { similarity, nearest }] of look.images.entries()) {
    const expected = Array.from({ length: N }, (_, place) => cosine(token(0, 1), token(b, place)))
    expectClose(similarity, expected, 1e-5)
    const others = expected.map((value, place) => (b === 0 && place === 1 ? -2 : value))
    expect(nearest.map(({ place }) => place)).toEqual([others.indexOf(Math.max(...others))])
  }
})
