import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import { cadenceOf, secondsLeft, secondsOfRun, stepsWithin, typicalStep } from '../../src/run/run-cost.ts'

const cost = { open: 10, step: 2, checkpoint: 3, picture: 1, probe: 5, curve: 0.5 }

describe('secondsOfRun', () => {
  it('adds the start, the steps, what is done beside them, and the end', () => {
    // 10 + 250 · 2 + 3 checkpoints (100, 200, 250) · 3 + 5 pictures · 1 + 11 curves (every 50 s, and the last) · 0.5
    expect(secondsOfRun(cost, { checkpoint: 100, picture: 50, probe: 0, earlySeconds: 0 }, 250)).toBe(529.5)
    // with a probe after 200 and 250
    expect(secondsOfRun(cost, { checkpoint: 100, picture: 50, probe: 200, earlySeconds: 0 }, 250)).toBe(539.5)
  })
})

describe('secondsLeft', () => {
  const cadence = { checkpoint: 100, picture: 50, probe: 0, earlySeconds: 0 }
  it('counts what is still to come', () => {
    // After step 149: 101 · 2 + checkpoints after 200 and 250 · 3 + pictures after 150, 200, 250 · 1 + 5 curves · 0.5
    expect(secondsLeft(cost, cadence, { from: 149, to: 250 })).toBe(213.5)
    // After step 200, where both were made: 50 · 2 + 3 + 1 (250) + 3 · 0.5
    expect(secondsLeft(cost, cadence, { from: 200, to: 250 })).toBe(105.5)
  })
  it('is nothing at the end', () => expect(secondsLeft(cost, cadence, { from: 250, to: 250 })).toBe(0))
})

describe('the early look', () => {
  const cadence = { checkpoint: 100, picture: 50, probe: 0, earlySeconds: 60 }
  const least = { ...cost, curve: 0 }
  it('makes one more of each where it comes before those that are due', () => {
    // After step 30 (60 s): 250 · 2 + 4 checkpoints · 3 + 6 pictures · 1
    expect(secondsLeft(least, cadence, { from: 0, to: 250 })).toBe(518)
    expect(secondsLeft(least, { ...cadence, picture: 20 }, { from: 0, to: 250 })).toBe(525) // 13 pictures as always
    // After it: 220 · 2 + 3 · 3 + 5
    expect(secondsLeft(least, cadence, { from: 30, to: 250 })).toBe(454)
  })
  it('comes after a hundredth of a long run, and not after the end of a short one', () => {
    const slow = { ...cadence, earlySeconds: 1000 }
    // 1,000 · 2 + after step 10, then 10 checkpoints and 20 pictures
    expect(secondsLeft(least, slow, { from: 0, to: 1000 })).toBe(2000 + 11 * 3 + 21)
    expect(secondsLeft(least, cadence, { from: 0, to: 30 })).toBe(64)
  })
})

describe('stepsWithin', () => {
  const cadence = { checkpoint: 100, picture: 0, probe: 0, earlySeconds: 0 }
  it('is the most steps that end in time', () => {
    // 100 steps: 10 + 200 + 3 + 5 · 0.5 = 215.5; 101: 10 + 202 + 6 + 5 · 0.5 = 220.5
    expect(stepsWithin(cost, cadence, 215.5)).toBe(100)
    expect(stepsWithin(cost, cadence, 215.4)).toBe(99)
    expect(stepsWithin(cost, cadence, 220.4)).toBe(100)
    expect(stepsWithin(cost, cadence, 220.5)).toBe(101)
  })
  it('is 0 where not even one does', () => {
    expect(stepsWithin(cost, cadence, 15.4)).toBe(0) // 10 + 2 + 3 + 0.5
    expect(stepsWithin(cost, cadence, 15.5)).toBe(1)
  })
})

it('takes how often things are done from the configuration', () => {
  const config = resolveConfig({ checkpoint: { everySteps: 7 }, log: { pictureEverySteps: 0 } })
  expect(cadenceOf(config)).toEqual({ checkpoint: 7, picture: 0, probe: 0, earlySeconds: 60 })
  const probed = resolveConfig({ log: { probe: 'labelled', probeEverySteps: 9 } })
  expect(cadenceOf(probed).probe).toBe(9)
})

describe('typicalStep', () => {
  it('is the median after the first three', () => {
    expect(typicalStep([90, 9, 9, 1, 2, 4, 50])).toBe(3)
    expect(typicalStep([90, 9, 9, 1, 2, 50])).toBe(2)
  })
  it('leaves out those whose data were there before', () =>
    expect(typicalStep([9, 1, 1, 1, 1, 5, 6, 7], 5)).toBe(6))
  it('takes the last where there are no others', () => expect(typicalStep([9, 4])).toBe(4))
})
