// What a key allows is said in words, and the words are those of its schema.
import { expect, it } from 'vitest'
import { z } from 'zod'
import { allowedValues } from '../../src/config/allowed-values.ts'
import { describeKeys } from '../../src/config/keys.ts'

it('every key says what it allows', () => {
  const rows = describeKeys()
  expect(rows.filter(({ allowed }) => allowed === '' || /undefined|NaN|\(\)/.test(allowed))).toEqual([])
  // "number" and "text" alone say nothing that can be refused: only these keys take any.
  const any = rows.filter(({ allowed }) => /^(number|text)\b(?! [≥>0-9])/.test(allowed)).map(({ key }) => key)
  expect(any).toEqual(['data.nodata'])
})

it.each([
  ['train.batchSize', 'whole number 1–1048576'],
  ['train.steps', 'whole number ≥ 1 or null'],
  ['train.epochs', 'number > 0'],
  ['train.seed', 'whole number ≥ 0, below 2^53'],
  ['mask.ratio', 'number > 0, < 1'],
  ['data.maxSkippedShare', 'share 0–1'],
  ['data.fileTimeout', 'number > 0, ≤ 3600'],
  ['data.flip', 'true | false'],
  ['data.scale', '[low, high], both > 0 and ≤ 1'],
  ['data.ratio', '[low, high], both > 0'],
  ['data.range', '[low, high], low < high, whole numbers 0–65535 or null'],
  ['data.pattern', 'regular expression or null'],
  ['data.bands', 'list of (name)'],
  ['model.imageSize', 'whole number 1–16384 or [whole number 1–16384, whole number 1–16384]'],
  ['model.timeFields', 'list of (year | month | dayOfYear | hour)'],
  ['model.groups', 'list of (list of (name)) or null'],
  ['optim.optimizer', 'adamw | adam | lars | sgd'],
  ['target.gaussianWindow', '0 or whole number 2–1024'],
  ['log.probe', 'folder or null'],
])('%s: %s', (key, allowed) => {
  expect(describeKeys().find((row) => row.key === key)!.allowed).toBe(allowed)
})

it('has no words for what it does not know, which the first test would find', () => {
  expect(allowedValues(z.date())).toBe('')
})
