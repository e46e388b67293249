// The block against the same equations on plain arrays in double precision.
import { expect, it } from 'vitest'
import { applyBlocks, blockRows, normRows } from '../../src/model/block.ts'
import { weightsOf, within } from '../../src/model/parameters.ts'
import { backward, clearGradients, gradient, noGrad, requireGradient } from '../../src/tensor/context.ts'
import { cat, expand, mul, narrow, sum } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { fromArray, tensor } from '../../src/tensor/tensor.ts'
import { take } from '../../src/token/take.ts'
import { expectClose, numbers, product, wave } from '../tolerance.ts'
import { stirredParameters } from './tiny-model.ts'

const dimensions = { width: 12, depth: 2, heads: 3, mlpRatio: 2.5, layerNormEpsilon: 1e-3 }
const parameters = stirredParameters({
  rows: [...blockRows('blocks', dimensions), ...normRows('norm', dimensions.width)],
})
const flat = (name: string) => numbers(parameters.get(name)!)

type Matrix = number[][]
const matrixOf = (values: readonly number[], columns: number): Matrix =>
  Array.from({ length: values.length / columns }, (_, i) => values.slice(i * columns, (i + 1) * columns))

const linear = (x: Matrix, name: string): Matrix => {
  const weight = matrixOf(flat(`${name}.weight`), x[0]!.length)
  const bias = flat(`${name}.bias`)
  return x.map((row) => weight.map((w, o) => w.reduce((sum, v, i) => sum + v * row[i]!, bias[o]!)))
}
const norm = (x: Matrix, name: string): Matrix =>
  x.map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length
    const [weight, bias] = [flat(`${name}.weight`), flat(`${name}.bias`)]
    return row.map(
      (v, i) => ((v - mean) / Math.sqrt(variance + dimensions.layerNormEpsilon)) * weight[i]! + bias[i]!,
    )
  })
/** Φ by integration of its density from 0 (Simpson), to 1e-12. */
const normalCdf = (x: number) => {
  const n = 2000
  const f = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI)
  let sum = f(0) + f(x)
  for (let i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * f((x * i) / n)
  return 0.5 + (sum * x) / (3 * n)
}
const plus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((v, j) => v + b[i]![j]!))

function attention(x: Matrix, name: string): Matrix {
  const { width, heads } = dimensions
  const each = width / heads
  const qkv = linear(x, `${name}.qkv`) // per token: q, k, v; each: head by head
  const mixed = x.map((_, i) =>
    Array.from({ length: width }, (__, column) => {
      const head = Math.floor(column / each)
      const part = (row: number[], which: number) => row.slice(which * width + head * each).slice(0, each)
      const scores = qkv.map((other) =>
        Math.exp(part(qkv[i]!, 0).reduce((s, v, d) => s + v * part(other, 1)[d]!, 0) / Math.sqrt(each)),
      )
      const total = scores.reduce((a, b) => a + b, 0)
      return qkv.reduce((s, other, j) => s + (scores[j]! / total) * other[2 * width + column]!, 0)
    }),
  )
  return linear(mixed, `${name}.proj`)
}

function block(x: Matrix, name: string): Matrix {
  const seen = plus(x, attention(norm(x, `${name}.norm1`), `${name}.attn`))
  const hidden = linear(norm(seen, `${name}.norm2`), `${name}.mlp.fc1`)
  const active = hidden.map((row) => row.map((v) => v * normalCdf(v)))
  return plus(seen, linear(active, `${name}.mlp.fc2`))
}

it.each([0, 1, 3])(
  'applyBlocks computes x + attention(norm x), then x + mlp(norm x), then the norm: from %i on',
  (from) =>
    noGrad(() =>
      scope(() => {
        const [B, N, D] = [2, 5, dimensions.width]
        const tokens = tensor(wave(B * N * D, 7), [B, N, D])
        const weights = weightsOf(parameters)
        const result = applyBlocks(tokens, within(weights, 'blocks'), within(weights, 'norm'), dimensions, {
          from,
        })
        expect(result.shape).toEqual([B, N - from, D])
        for (let b = 0; b < B; b++) {
          const start = matrixOf(numbers(narrow(tokens, 0, b, 1)), D)
          const expected = norm(['blocks.0', 'blocks.1'].reduce(block, start), 'norm')
          expectClose(narrow(result, 0, b, 1), expected.slice(from).flat(), 5e-6)
        }
      }),
    ),
)

it.each([0, 1, 2])('shared tokens of %i blocks count as if each sample had its own', (depth) =>
  scope(() => {
    const [B, N, S, D] = [2, 3, 4, dimensions.width]
    const rows = [3, 0, 1, 1] // two of each sample
    const which = fromArray(BigInt64Array.from(rows, BigInt), [B, 2], 'int64')
    const read = weightsOf(parameters)
    const run = (share: boolean) => {
      const tokens = requireGradient(tensor(wave(B * N * D, 7), [B, N, D]))
      const table = requireGradient(tensor(wave(S * D, 8), [S, D]))
      clearGradients(parameters.values())
      const [blocks, norm, dims] = [within(read, 'blocks'), within(read, 'norm'), { ...dimensions, depth }]
      const own = () => cat([tokens, take(expand(table, [B, S, D]), which)], 1)
      const result = share
        ? applyBlocks(tokens, blocks, norm, dims, { from: 1, shared: { table, which } })
        : applyBlocks(own(), blocks, norm, dims, { from: 1 })
      expect(result.shape).toEqual([B, N + 1, D])
      backward(sum(mul(result, tensor(wave(product(result.shape), 9), result.shape))))
      const qkv = parameters.get('blocks.0.attn.qkv.weight')!
      return [result, gradient(tokens)!, gradient(table)!, ...(depth > 0 ? [gradient(qkv)!] : [])]
    }
    const apart = run(false).map(numbers)
    for (const [i, each] of run(true).entries()) expectClose(each, apart[i]!, 5e-6)
  }),
)

it('blockRows names every parameter as the reference does', () => {
  expect(
    blockRows('decoder_blocks', { ...dimensions, depth: 1 }).map(({ name, shape }) => [name, shape]),
  ).toEqual([
    ['decoder_blocks.0.norm1.weight', [12]],
    ['decoder_blocks.0.norm1.bias', [12]],
    ['decoder_blocks.0.attn.qkv.weight', [36, 12]],
    ['decoder_blocks.0.attn.qkv.bias', [36]],
    ['decoder_blocks.0.attn.proj.weight', [12, 12]],
    ['decoder_blocks.0.attn.proj.bias', [12]],
    ['decoder_blocks.0.norm2.weight', [12]],
    ['decoder_blocks.0.norm2.bias', [12]],
    ['decoder_blocks.0.mlp.fc1.weight', [30, 12]],
    ['decoder_blocks.0.mlp.fc1.bias', [30]],
    ['decoder_blocks.0.mlp.fc2.weight', [12, 30]],
    ['decoder_blocks.0.mlp.fc2.bias', [12]],
  ])
})
