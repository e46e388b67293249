import { expect, it } from 'vitest'
import { planBudget } from '../../experiments/plan.ts'

const cifar = { trainImages: 50_000, testImages: 10_000, labelled: 0.1, seeds: 3 }

it('an hour at 230 images/s: features first, then halves', () => {
  // 240,000 images at 414/s are 580 s; 1510 s are left for each half: 347,300 images to pretrain on, 191,015 to fine-tune
  // with, in six runs on 5,000 images.
  expect(planBudget({ ...cifar, minutes: 60, pretrainRate: 230 })).toEqual({
    pretrainEpochs: 7,
    tuneEpochs: 6,
  })
})

it('never plans less than an epoch', () => {
  expect(planBudget({ ...cifar, minutes: 1, pretrainRate: 100 })).toEqual({
    pretrainEpochs: 1,
    tuneEpochs: 1,
  })
})
