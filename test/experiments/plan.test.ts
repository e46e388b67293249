import { expect, it } from 'vitest'
import { planBudget } from '../../experiments/plan.ts'

const cifar = { trainImages: 50_000, testImages: 10_000, labelled: 0.1, seeds: 3, ablations: 0 }

it('an hour at 230 images/s: features first, then halves', () => {
  // 120,000 images at 414/s are 290 s; 1655 s are left for each half: 380,665 images to pretrain on, 209,366 to fine-tune
  // with, in six runs on 5,000 images.
  expect(planBudget({ ...cifar, minutes: 60, pretrainRate: 230 })).toEqual({
    pretrainEpochs: 8,
    ablationEpochs: 2,
    tuneEpochs: 7,
  })
})

it('six ablations, each a quarter as long, cost one and a half pretrainings more', () => {
  // 210,000 images of features are 507 s; 1546 s are left for each half: 355,672 images in 2.5 times the epochs.
  expect(planBudget({ ...cifar, ablations: 6, minutes: 60, pretrainRate: 230 })).toEqual({
    pretrainEpochs: 3,
    ablationEpochs: 1,
    tuneEpochs: 7,
  })
})

it('never plans less than an epoch', () => {
  expect(planBudget({ ...cifar, minutes: 1, pretrainRate: 100 })).toEqual({
    pretrainEpochs: 1,
    ablationEpochs: 1,
    tuneEpochs: 1,
  })
})
