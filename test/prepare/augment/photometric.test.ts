// What is drawn for a view: a pure function of its address, with the probabilities of the recipe.
import { describe, expect, it } from 'vitest'
import { drawPhotometric, type PhotometricRecipe } from '../../../src/prepare/augment/photometric.ts'
import { photometricRecipes } from '../../../src/prepare/augment/photometric-recipes.ts'
import { isOperator, type Step, stepSchemas } from '../../../src/prepare/augment/step.ts'

const { dino, dinov2, dinov2Released } = photometricRecipes
const COUNT = 4000
const drawn = (recipe: PhotometricRecipe, view = 'local', seed = 3, epoch = 0): Step[][] =>
  Array.from({ length: COUNT }, (_, index) => drawPhotometric(recipe, { seed, epoch, index, view }))
const share = (all: readonly (readonly Step[])[], operator: string) =>
  all.filter((steps) => steps.some((step) => step.operator === operator)).length / COUNT

it('is a pure function of the address, and of all of it', () => {
  const all = drawn(dino.local)
  expect(drawn(dino.local)).toEqual(all)
  for (const other of [
    drawn(dino.local, 'other'),
    drawn(dino.local, 'local', 4),
    drawn(dino.local, 'local', 3, 1),
  ])
    expect(other.filter((steps, i) => JSON.stringify(steps) === JSON.stringify(all[i])).length).toBeLessThan(
      COUNT / 5, // those without jitter and blur
    )
})

it('an operation draws for itself: without jitter, the others are the same', () => {
  const plain = { ...dino.local, jitter: { ...dino.local.jitter, probability: 0 } }
  const jitter = ['brightness', 'contrast', 'saturation', 'hue']
  const others = drawn(dino.local).map((steps) => steps.filter(({ operator }) => !jitter.includes(operator)))
  expect(drawn(plain)).toEqual(others)
})

// Three standard deviations of a share of 4000 are at most 0.024.
it.each([
  ['dino.firstGlobal', dino.firstGlobal, 'blurPillow', 1, 0],
  ['dino.secondGlobal', dino.secondGlobal, 'blurPillow', 0.1, 0.2],
  ['dino.local', dino.local, 'blurPillow', 0.5, 0],
  ['dinov2.firstGlobal', dinov2.firstGlobal, 'blurTorchvision', 1, 0],
  ['dinov2.secondGlobal', dinov2.secondGlobal, 'blurTorchvision', 0.1, 0.2],
  ['dinov2Released.firstGlobal', dinov2Released.firstGlobal, 'blurTorchvision', 0, 0],
  ['dinov2Released.secondGlobal', dinov2Released.secondGlobal, 'blurTorchvision', 0.9, 0.2],
])('%s has the probabilities of its recipe', (_, recipe, blur, blurred, solarised) => {
  const all = drawn(recipe)
  for (const operator of ['brightness', 'contrast', 'saturation', 'hue'])
    expect(Math.abs(share(all, operator) - 0.8)).toBeLessThan(0.024)
  expect(Math.abs(share(all, 'greyscale') - 0.2)).toBeLessThan(0.024)
  for (const [operator, expected] of [
    [blur, blurred],
    ['solarise', solarised],
  ] as const) {
    const found = share(all, operator)
    if (expected === 0 || expected === 1) expect(found).toBe(expected)
    else expect(Math.abs(found - expected)).toBeLessThan(0.024)
  }
})

describe('steps', () => {
  const all = drawn(dino.secondGlobal).flat()

  it('are valid ones', () => {
    for (const step of all) {
      expect(isOperator(step.operator)).toBe(true)
      expect(stepSchemas[step.operator].parse(step)).toEqual(step)
    }
  })

  it.each([
    ['brightness', 0.6, 1.4],
    ['contrast', 0.6, 1.4],
    ['saturation', 0.8, 1.2],
    ['hue', -0.1, 0.1],
  ])('%s is uniform from %d to %d', (operator, low, high) => {
    const factors = all.flatMap((step) =>
      step.operator === operator && 'factor' in step ? [step.factor] : [],
    )
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(low)
    expect(Math.max(...factors)).toBeLessThanOrEqual(high)
    const mean = factors.reduce((a, b) => a + b, 0) / factors.length
    expect(Math.abs(mean - (low + high) / 2)).toBeLessThan(0.02 * (high - low))
    expect(Math.min(...factors) - low).toBeLessThan(0.01 * (high - low))
    expect(high - Math.max(...factors)).toBeLessThan(0.01 * (high - low))
  })

  it('blur has a sigma from 0.1 to 2', () => {
    const sigmas = drawn(dino.firstGlobal).flatMap((steps) =>
      steps.flatMap((step) => (step.operator === 'blurPillow' ? [step.radius] : [])),
    )
    expect([Math.min(...sigmas) >= 0.1, Math.max(...sigmas) < 2]).toEqual([true, true])
    expect(Math.abs(sigmas.reduce((a, b) => a + b, 0) / COUNT - 1.05)).toBeLessThan(0.03)
  })

  it('jitter comes first, in any of its 24 orders; then greyscale, blur, solarise', () => {
    const orders = new Map<string, number>()
    for (const steps of drawn(dino.secondGlobal)) {
      const names = steps.map(({ operator }) => operator)
      const [first, rest] = names.length >= 4 ? [names.slice(0, 4), names.slice(4)] : [[], names]
      const after = ['greyscale', 'blurPillow', 'solarise']
      expect(rest).toEqual(after.filter((name) => rest.includes(name as Step['operator'])))
      orders.set(first.join(), (orders.get(first.join()) ?? 0) + 1)
    }
    orders.delete('')
    expect(orders.size).toBe(24)
    for (const count of orders.values()) expect(Math.abs(count - (0.8 * COUNT) / 24)).toBeLessThan(40)
  })

  it('a factor is never below 0', () => {
    const strong = { ...dino.local, jitter: { ...dino.local.jitter, probability: 1, brightness: 3 } }
    const factors = drawn(strong).flatMap((steps) =>
      steps.flatMap((step) => (step.operator === 'brightness' ? [step.factor] : [])),
    )
    expect([Math.min(...factors), factors.length]).toEqual([0, COUNT])
  })
})
