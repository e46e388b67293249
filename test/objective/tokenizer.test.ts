// A tokenizer of 3 × 5 patches: how its codebook begins, is revived, and is refused; what encode and decode say.
import { describe, expect, it } from 'vitest'
import { initialParameters, weightsOf } from '../../src/model/parameters.ts'
import type { TokenizerObjective } from '../../src/objective/tokenizer.ts'
import { vqPixels } from '../../src/objective/vq-pixels.ts'
import { optimizerOf } from '../../src/optim/optimizers.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, numbers, wave } from '../tolerance.ts'
import { stepOnce, trainee } from './conformance.ts'

const codebook = { size: 8, width: 4, decay: 0.9, commitment: 1, revive: null } as const
const shape = {
  ...{ imageSize: [6, 10], channels: 3, patchSize: [2, 2], width: 8 },
  depth: { encoder: 1, decoder: 1 },
} as const
const open = (over: Partial<Parameters<typeof vqPixels>[0]['codebook']> = {}): TokenizerObjective =>
  vqPixels({ ...shape, codebook: { ...codebook, ...over } } as never)
const adamW = optimizerOf({ optimizer: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 })
const pixels = (indices: readonly number[]) =>
  tensor(
    indices.flatMap((index) => wave(180, index)),
    [indices.length, 3, 6, 10],
  )
const batch = (indices: readonly number[]) => ({ image: viewOf(pixels(indices)) })

const opened = (objective: TokenizerObjective) => {
  const trained = trainee(objective, adamW)
  const step = (step: number) => stepOnce({ trained: trained as never, batch, learningRate: 1e-3 }, { step })
  return { trained, step, state: (name: string) => numbers(trained.parameters.get(`quantize.${name}`)!) }
}

describe('the codebook', () => {
  it('begins as k-means of the first step, and moves by it in the same step', () => {
    const { step, state } = opened(open({ decay: 1 - 1e-7 }))
    const { metrics } = step(0)
    const rows = Array.from({ length: 8 }, (_, k) => state('embedding.weight').slice(4 * k, 4 * k + 4))
    for (const row of rows) expectClose([Math.hypot(...row)], [1], 1e-5)
    const uses = state('cluster_size')
    expectClose([uses.reduce((a, b) => a + b, 0)], [16 * 15], 1e-2)
    const shares = uses.map((n) => n / 240).filter((p) => p > 0)
    expectClose([metrics.perplexity!], [Math.exp(-shares.reduce((sum, p) => sum + p * Math.log(p), 0))], 1e-3)
    expect(metrics.codesInUse).toBe(shares.length)
  })

  it('begins from distinct vectors that the seed draws', () => {
    const objective = open()
    const parameters = initialParameters(objective.rows, { seed: 1, device: 'cpu' })
    const planned = [{ batch: batch([0, 1, 2]), plan: null }]
    const at = (seed: number) =>
      ({
        ...{ seed, step: 0, epoch: 0, firstRow: 0, rows: 3, value: {} },
        samples: { epochs: [0, 0, 0], indices: [0, 1, 2] },
        collective: {
          rank: 0,
          world: 1,
          allReduce: () => {},
          gather: (x: never) => x,
          agree: (x: never) => x,
        },
      }) as never
    const first = (seed: number) =>
      numbers(objective.first!(weightsOf(parameters), planned, at(seed))['quantize.embedding.weight']!)
    expect(first(3)).toEqual(first(3))
    expect(first(3)).not.toEqual(first(4))
  })

  it('of more codes than the first step has patches is refused, with what helps', () => {
    const { step } = opened(open({ size: 16 * 15 + 1 }))
    expect(() => step(0)).toThrow(
      /codebook\.size 241: the 16 images of the first step have 240 patches.*Expected at most so many codes/,
    )
  })

  it('counts images that come twice in a step once', () => {
    const { trained } = opened(open({ size: 31 }))
    const twice = (indices: readonly number[]) => batch(indices.map((index) => index % 2))
    const objective = {
      ...trained.objective,
      first: (weights: never, batches: never, at: { samples: { indices: readonly number[] } }) =>
        trained.objective.first!(weights, batches, {
          ...at,
          samples: { ...at.samples, indices: at.samples.indices.map((index) => index % 2) },
        } as never),
    }
    const asked = { trained: { ...trained, objective } as never, batch: twice as never, learningRate: 1e-3 }
    expect(() => stepOnce(asked, { step: 0 })).toThrow(/the 2 images of the first step have 30 patches/)
  })

  it.each([
    [{ size: 1 }, /at least 2 codes/],
    [{ decay: 1 }, /a decay between 0 and 1/],
    [{ commitment: 0 }, /a positive commitment/],
    [{ revive: 1 }, /codebook\.revive: expected a share between 0 and 1, got 1/],
  ])('%j is refused', (over, message) => expect(() => open(over)).toThrow(message))

  it('keeps what is not used, or puts it onto vectors of the step', () => {
    const stay = opened(open())
    stay.step(0)
    const revive = opened(open({ revive: 0.5 }))
    revive.step(0)
    const usual = 240 / 8
    const dead = stay.state('cluster_size').flatMap((n, code) => (n < 0.5 * usual ? [code] : []))
    expect(dead.length).toBeGreaterThan(0)
    for (const code of dead) expectClose([revive.state('cluster_size')[code]!], [usual], 1e-3)
    const [kept, moved] = [stay, revive].map((each) => each.state('embedding.weight')) as [number[], number[]]
    const rowOf = (all: number[], code: number) => all.slice(4 * code, 4 * code + 4)
    for (let code = 0; code < 8; code++)
      if (dead.includes(code)) expect(rowOf(moved, code)).not.toEqual(rowOf(kept, code))
      else expect(rowOf(moved, code)).toEqual(rowOf(kept, code))
  })
})

describe('encode and decode', () => {
  it('each patch has the code that is nearest to it; images come of codes alone', () => {
    const { trained, step } = opened(open())
    step(0)
    const weights = weightsOf(trained.parameters)
    const objective = open()
    const { image } = batch([3, 4])
    const codes = objective.encode(image, weights)
    expect([codes.shape, codes.dtype]).toEqual([[2, 15], 'int64'])
    const images = objective.decode(codes, weights)
    expect(images.shape).toEqual([2, 3, 6, 10])
    const { parts } = objective.loss(weights, { image }, null, null as never)
    const errors = numbers(images).map((x, i) => (x - numbers(image.pixels)[i]!) ** 2)
    expectClose(parts.reconstruction!.mean, [errors.reduce((a, b) => a + b, 0) / errors.length], 1e-5)
  })
})

it.each([
  [{ patchSize: [3, 3], imageSize: [6, 9] }, /squares? of 2, 4, 8, 16/],
  [{ patchSize: [2, 4], imageSize: [6, 8] }, /got 2 × 4/],
  [{ patchSize: [8, 8], imageSize: [8, 8], width: 6 }, /model\.width: expected a multiple of 4/],
] as const)('patches %j', (over, message) =>
  expect(() => vqPixels({ ...shape, ...over, codebook } as never)).toThrow(message),
)
