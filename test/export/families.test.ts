// Every option of a published encoder as a graph, of one size and of any, against LibTorch: in ONNX Runtime and its WebAssembly.
import { describe, expect, it } from 'vitest'
import type { ImageSize } from '../../src/export/dynamic-grid.ts'
import { smallestCosine } from '../../src/export/feature-cost.ts'
import { graphs } from '../../src/export/graphs.ts'
import { type ExportedEncoder, inputName } from '../../src/export/pixels-input.ts'
import { type PrecisionRow, precisions } from '../../src/export/precision.ts'
import { samplesOf } from '../../src/export/sample-input.ts'
import { type BackboneShape, plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EncoderDimensions, EncoderVariant } from '../../src/model/dimensions.ts'
import { rotaryPeriods } from '../../src/model/rotary-position.ts'
import type { Graph } from '../../src/onnx/graph.ts'
import type { Pixels } from '../../src/prepare/pixels.ts'
import { clsPrefix } from '../../src/token/prefix.ts'
import { resamplingNames } from '../../src/token/resample-positions.ts'
import { atSize } from '../../src/weights/frozen-encoder.ts'
import { expectClose } from '../tolerance.ts'
import { bytes, classifierOf, encoderOf } from './make-encoder.ts'
import { runGraph } from './run-graph.ts'
import { runInBrowser } from './run-in-browser.ts'

const small: EncoderDimensions = {
  ...{ imageSize: [6, 8], patchSize: [2, 2], channels: 3 }, // 3 × 4 patches
  ...{ width: 32, depth: 2, heads: 4, mlpRatio: 4, layerNormEpsilon: 1e-6 },
}
const stored = { h: 5, w: 5 }
const registers = { name: 'register_tokens', kind: 'register', count: 3, positioned: false } as const

const of = (variant: EncoderVariant, over: Partial<BackboneShape> = {}): BackboneShape => ({
  ...plainBackbone({ ...small, variant }),
  ...over,
})
const none = { positions: 'none' } as const
const learned = { positions: 'learned', learnedGrid: stored } as const
const relative = (tables: 'shared' | 'per-block' | 'both', grid = stored): EncoderVariant => ({
  relativePositions: { tables, grid },
  qkvBias: 'qv',
})
const rotary: EncoderVariant = { rotaryPositions: { periods: rotaryPeriods(8) } }

const families: Readonly<Record<string, BackboneShape>> = {
  ...Object.fromEntries(
    resamplingNames.map((resampling) => [`learned, ${resampling}`, of({}, { ...learned, resampling })]),
  ),
  'learned for its own grid': of({}, { positions: 'learned', resampling: 'cubic-offset' }),
  'relative, one table': of(relative('shared'), none),
  'relative, a table of each block': of({
    ...relative('per-block', { h: 3, w: 4 }),
    layerScale: { initial: 0.5 },
  }),
  'relative, both, no cls': of({ ...relative('both'), prefix: [] }),
  'relative, spaced as in timm': of(
    { qkvBias: 'qv', relativePositions: { tables: 'both', grid: stored, resampling: 'geometric' } },
    none,
  ),
  'relative, spaced as in timm, of its own grid': of(
    { qkvBias: 'qv', relativePositions: { tables: 'shared', grid: { h: 3, w: 4 }, resampling: 'geometric' } },
    none,
  ),
  'rotary, registers, a gate': of(
    {
      ...{ ...rotary, prefix: [...clsPrefix, registers], feedForward: 'gated', qkvBias: 'none' },
      layerScale: { initial: 0.5 },
    },
    none,
  ),
  'registers, learned, a gate in one map': of(
    { prefix: [...clsPrefix, registers], feedForward: 'swiglu', layerScale: { initial: 0.5 } },
    { ...learned, resampling: 'cubic-antialias' },
  ),
  'a norm before, quick GELU, a projection': of(
    { preNorm: true, activation: 'quick-gelu', patchBias: false, projection: 20 },
    learned,
  ),
  'no cls, tanh GELU, attention pooling': of(
    { prefix: [], activation: 'gelu-tanh', hidden: 40, attentionPool: true },
    learned,
  ),
}

const sizes = [
  [6, 8],
  [12, 12],
  [4, 14],
] as const
const dynamicGrid = { most: 16 }

type Run = typeof runGraph

async function expectSame(sized: ExportedEncoder, run: () => ReturnType<Run>, pixels: Pixels): Promise<void> {
  const made = await run()
  const names = Object.keys(made)
  const right = graphs.encoder.reference(sized, names)(pixels, {})
  for (const name of names) expectClose(made[name]!.values, right[name]!, 1e-5)
}

describe.each(Object.entries(families))('%s', (_, shape) => {
  const encoder = encoderOf(shape)
  const { prefix, attentionPool, projection } = shape.dimensions.variant!
  const outputs = [
    ...(prefix?.length === 0 ? [] : ['cls']),
    ...['mean', ...(attentionPool || projection ? ['pooled'] : []), 'patches'],
  ]
  const made: { any?: Graph } = {}
  const anySize = () => {
    made.any ??= graphs.encoder.graph(encoder, { dynamicGrid, attention: true })
    return made.any
  }
  const inputOf = (size: ImageSize, B: number) => {
    const pixels = bytes(B, size, 3)
    return { sized: atSize(encoder, size), pixels, input: samplesOf(pixels) }
  }

  it('of its own size', async () => {
    expect(graphs.encoder.outputs(encoder, {})).toEqual(outputs)
    const { pixels, input } = inputOf([6, 8], 4)
    const graph = graphs.encoder.graph(encoder, {})
    await expectSame(encoder, () => runGraph(graph, input.values, input.shape), pixels)
  })

  it('of any size', async () => {
    for (const [i, size] of sizes.entries()) {
      const { sized, pixels, input } = inputOf(size, 1 + i)
      await expectSame(sized, () => runGraph(anySize(), input.values, input.shape), pixels)
    }
  })

  it.each(['fp32', 'fp16', 'int8'] as const)('of any size in WebAssembly, in %s', async (precision) => {
    const { convert, mostDifference, leastCosine }: PrecisionRow = precisions[precision]
    const { sized, pixels, input } = inputOf([4, 14], 2)
    const made = await runInBrowser(convert(anySize()), { [inputName]: input })
    const names = graphs.encoder.outputs(sized, {})
    const right = graphs.encoder.reference(sized, names)(pixels, {})
    expect([...made.keys()].sort()).toEqual(
      [...names, 'attention', ...(attentionPool ? ['poolingAttention'] : [])].sort(),
    )
    for (const name of names) {
      expectClose(made.get(name)!.values, right[name]!, mostDifference)
      const width = graphs.encoder.vectors(sized)[name]
      if (width)
        expect(smallestCosine(made.get(name)!.values, right[name]!, width)).toBeGreaterThan(leastCosine)
    }
  })
})

it('refuses images that are larger than the table, and keeps no table of all pairs of tokens', async () => {
  for (const name of ['relative, both, no cls', 'rotary, registers, a gate', 'learned, cubic'])
    await expect(
      runGraph(
        graphs.encoder.graph(encoderOf(families[name]!), { dynamicGrid }),
        new Float32Array(3 * 4 * 18),
        [...[1, 3, 4, 18]],
      ),
    ).rejects.toThrow('cannot be run on float32[1, 3, 4, 18]')
  const { initializers } = graphs.encoder.graph(encoderOf(families['relative, one table']!), {})
  expect(initializers.map(({ shape }) => shape.join()).filter((shape) => shape.includes('13,13'))).toEqual([])
})

it('a classifier with relative positions, of the normed mean', async () => {
  const { head, classes, ...own } = classifierOf('mean', of(relative('both'), none))
  const model = { ...own, classifier: { head, classes } }
  const pixels = bytes(3, [6, 8], 3)
  const { values, shape } = samplesOf(pixels)
  const { logits } = await runGraph(graphs.classifier.graph(model, {}), values, shape)
  expectClose(logits!.values, graphs.classifier.reference(model, ['logits'])(pixels, {}).logits!, 1e-5)
})
