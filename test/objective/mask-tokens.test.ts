import { describe, expect, it } from 'vitest'
import { backboneRows } from '../../src/model/backbone.ts'
import { plainBackbone } from '../../src/model/backbone-shape.ts'
import type { EarlyHead } from '../../src/model/early-head.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { maskTokens } from '../../src/objective/mask-tokens.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { predictCodes } from '../../src/target/codes.ts'
import { predictPixels } from '../../src/target/pixel-target.ts'
import { noGrad } from '../../src/tensor/context.ts'
import { scope } from '../../src/tensor/scope.ts'
import { item, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { maskOf, planFromMask } from '../../src/token/mask.ts'
import { patchify } from '../../src/token/patchify.ts'
import { stirredParameters, tiny, tinyImages } from '../model/tiny-model.ts'
import { toyTokenizer } from '../target/toy-tokenizer.ts'
import { addresses, maskConformance } from '../token/mask-conformance.ts'
import { numbers, product, wave } from '../tolerance.ts'

const [B, N] = [2, 15]
const objectiveOf = (normalize: boolean) =>
  maskTokens({
    ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu' },
    target: predictPixels({ normalize, form: 'simmim' }),
  })
const objective = objectiveOf(false)
const parameters = stirredParameters(objective)
const weights = weightsOf(parameters)
const plan = () => objective.plan({ seed: 1, samples: addresses([0, 3], [1, 8]) })
const pictured = <T>(body: () => T): T => noGrad(() => scope(body))

maskConformance('mask tokens', {
  tokens: N,
  kept: 6,
  plan: (seed, samples) => objective.plan({ seed, samples }),
})

it('has the parameters of its encoder under their own names, a mask token and one linear head', () => {
  const own = objective.rows.map(({ name, shape }) => [name, shape])
  const encoder = backboneRows(plainBackbone(tiny)).map(({ name, shape }) => [name, shape])
  expect(own).toEqual([
    ...encoder,
    ['mask_token', [1, 1, 24]],
    ['decoder_pred.weight', [12, 24]],
    ['decoder_pred.bias', [12]],
  ])
  expect(objective.encoder.prefix).toBe('')
})

/** Pixels of a patch, raw or normalised, in double precision. */
function wantedOf(patch: readonly number[], normalize: boolean): number[] {
  if (!normalize) return [...patch]
  const mean = patch.reduce((a, b) => a + b, 0) / 12
  const variance = patch.reduce((a, b) => a + (b - mean) ** 2, 0) / 11
  return patch.map((v) => (v - mean) / Math.sqrt(variance + 1e-6))
}

it.each([false, true])('the loss is the mean absolute error of hidden pixels; normalised: %s', (normalize) =>
  pictured(() => {
    const own = objectiveOf(normalize)
    const images = tinyImages(B)
    const predicted = numbers(own.predict(weights, viewOf(images), plan()).prediction)
    const patches = numbers(patchify(images, 2))
    const mask = numbers(maskOf(plan()))
    let sum = 0
    for (let n = 0; n < B * N; n++) {
      const wanted = wantedOf(patches.slice(n * 12, (n + 1) * 12), normalize)
      const error = wanted.reduce((all, v, i) => all + Math.abs(v - predicted[n * 12 + i]!), 0)
      sum += mask[n]! * error
    }
    const { parts } = own.loss(weights, { image: viewOf(images) }, plan())
    expect(mask.reduce((a, b) => a + b, 0)).toBe(B * 9)
    expect(item(parts.pixels!.mean)).toBeCloseTo(sum / (B * 9 * 12), 5)
  }),
)

it('the numbers of the head are in the order channel, row, column', () =>
  pictured(() => {
    const bias = Array.from({ length: 12 }, (_, i) => i) // channel 0: 0 to 3, channel 1: 4 to 7, …
    const silent = new Map(parameters)
    silent.set('decoder_pred.weight', tensor(Array(12 * 24).fill(0), [12, 24]))
    silent.set('decoder_pred.bias', tensor(bias, [12]))
    const { prediction } = objective.predict(weightsOf(silent), viewOf(tinyImages(B)), plan())
    // Patches are row, column, channel.
    expect(numbers(prediction).slice(0, 12)).toEqual([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
  }))

describe('what is hidden', () => {
  const hide = Array.from({ length: N }, (_, n) => n % 5 < 3) // 9 of 15
  const latentOf = (images: Tensor) =>
    numbers(objective.predict(weights, viewOf(images), planFromMask([hide])).latent)
  const changed = (patch: number) => {
    const [row, column] = [Math.floor(patch / 5), patch % 5]
    const values = wave(180, 4)
    for (let c = 0; c < 3; c++) values[c * 60 + row * 20 + column * 2]! += 1
    return tensor(values, [1, 3, 6, 10])
  }
  const plain = () => tensor(wave(180, 4), [1, 3, 6, 10])

  it('does not reach the encoder, where every token is there', () =>
    pictured(() => {
      const latent = latentOf(plain())
      expect(latent.length).toBe((1 + N) * 24)
      expect(latentOf(changed(6))).toEqual(latent) // hidden
      expect(latentOf(changed(8))).not.toEqual(latent) // seen
    }))

  it('keeps its place: two mask tokens differ by their positions', () =>
    pictured(() => {
      const latent = latentOf(plain())
      const token = (n: number) => latent.slice((1 + n) * 24, (2 + n) * 24)
      expect(token(0)).not.toEqual(token(1))
    }))
})

describe('the second head of BEiT v2', () => {
  const codes = predictCodes(() => toyTokenizer(tiny), { codes: 4 })
  const open = (early: EarlyHead) =>
    maskTokens({ ...{ dimensions: tiny, maskRatio: 0.6, device: 'cpu', target: codes }, early })
  const shared = open({ layers: 1, depth: 2, shared: true })
  const own = open({ layers: 1, depth: 2, shared: false })
  const stirred = stirredParameters(shared)
  const said = (of: typeof own, values: ReadonlyMap<string, Tensor>) => {
    const image = viewOf(tinyImages(B))
    const made = of.predict(weightsOf(values), image, plan())
    const { parts, metrics } = of.loss(weightsOf(values), { image }, plan())
    const numbersOf = (named: object) =>
      Object.entries(named).map(([name, x]) => [name, item('mean' in x ? x.mean : x)] as const)
    return {
      ...{ first: numbers(made.prediction), second: numbers(made.second!) },
      parts: Object.fromEntries([...numbersOf(parts), ...numbersOf(metrics!)]),
    }
  }

  it('has blocks of its own, and a norm and a linear map where they are not the first head’s', () => {
    const names = (of: typeof own) => of.rows.map(({ name }) => name)
    const blocks = names(shared).filter((name) => name.startsWith('cls_pt_layers.'))
    expect(blocks.length).toBe(2 * names(shared).filter((name) => name.startsWith('blocks.0.')).length)
    const more = ['cls_pt_norm', 'cls_pt_decoder_pred'].flatMap((name) => [`${name}.weight`, `${name}.bias`])
    expect([...names(own)].sort()).toEqual([...names(shared), ...more].sort())
    expect(own.metrics!.map(({ name, chance }) => [name, chance])).toEqual([
      ['codes', Math.log(4)],
      ['accuracy', 0.25],
      ['early-codes', Math.log(4)],
      ['early-accuracy', 0.25],
    ])
  })

  it('with the weights of the first head says what a shared one says, with others something else', () =>
    pictured(() => {
      const same = new Map(stirred)
      for (const [copy, of] of [
        ['cls_pt_norm', 'norm'],
        ['cls_pt_decoder_pred', 'decoder_pred'],
      ])
        for (const part of ['weight', 'bias']) same.set(`${copy}.${part}`, stirred.get(`${of}.${part}`)!)
      const [one, two, other] = [said(shared, stirred), said(own, same), said(own, stirredParameters(own))]
      expect(two).toEqual(one)
      expect(one.second).not.toEqual(one.first)
      expect(other.second).not.toEqual(one.second)
      expect(other.parts['early-codes']).not.toBeCloseTo(one.parts['early-codes']!, 3)
    }))

  it('reads the patches of the early block and the cls of the last: later blocks reach it through cls alone', () =>
    pictured(() => {
      // Without what the last block adds to its patches, cls and patches differ from before in the last block alone.
      const still = new Map(stirred)
      for (const name of ['blocks.1.attn.proj', 'blocks.1.mlp.fc2'])
        for (const part of ['weight', 'bias']) {
          const { shape } = stirred.get(`${name}.${part}`)!
          still.set(`${name}.${part}`, tensor(Array(product(shape)).fill(0), [...shape]))
        }
      const before = said(shared, still)
      const early = open({ layers: 2, depth: 2, shared: true })
      expect(said(early, still)).toEqual(before) // the last block adds nothing, so its patches are those of the first
      expect(said(early, stirred).second).not.toEqual(said(shared, stirred).second)
      expect(said(early, stirred).first).toEqual(said(shared, stirred).first)
    }))

  it.each([
    [{ layers: 3, depth: 2, shared: true }, 'early.layers: expected a block from 1 to model.depth, 2, got 3'],
    [{ layers: 1, depth: 0, shared: true }, 'early.depth: expected at least 1 block, got 0'],
  ])('refuses %j', (early, message) => expect(() => open(early)).toThrow(message))
  it('refuses an encoder without cls', () =>
    expect(() =>
      maskTokens({
        ...{ maskRatio: 0.6, device: 'cpu', early: { layers: 1, depth: 1, shared: true } },
        dimensions: { ...tiny, variant: { prefix: [] } },
      }),
    ).toThrow('reads the cls token'))
})
