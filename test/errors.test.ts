import { describe, expect, it } from 'vitest'
import { didYouMean, invariant, messageOf, SherdError } from '../src/errors.ts'

describe('SherdError', () => {
  it('carries a code and the original error', () => {
    const cause = new RangeError('inner')
    const error = new SherdError('SHAPE', 'outer', { cause })
    expect(error).toBeInstanceOf(Error)
    expect([error.name, error.code, error.message, error.cause]).toEqual([
      'SherdError',
      'SHAPE',
      'outer',
      cause,
    ])
  })
})

describe('invariant', () => {
  it('is silent about what holds, and calls what does not a bug', () => {
    expect(() => invariant(1, 'x')).not.toThrow()
    for (const broken of [0, '', null, undefined, Number.NaN]) {
      expect(() => invariant(broken, 'the sky fell')).toThrow(/^Bug: the sky fell\. Please report/)
    }
  })
})

describe('messageOf', () => {
  it('reads errors, and whatever else may be thrown', () => {
    expect(messageOf(new TypeError('no'))).toBe('no')
    expect(messageOf('text')).toBe('text')
    expect(messageOf(undefined)).toBe('undefined')
  })
})

describe('didYouMean', () => {
  const names = ['mask.ratio', 'model.width', 'optim.baseLearningRate']

  it('suggests the nearest name, whatever the case', () => {
    expect(didYouMean('mask.ration', names)).toBe(' Did you mean "mask.ratio"?')
    expect(didYouMean('model.widht', names)).toBe(' Did you mean "model.width"?')
    expect(didYouMean('OPTIM.BASELEARNINGRATE', names)).toBe(' Did you mean "optim.baseLearningRate"?')
  })

  it('suggests nothing when no name is near', () => {
    expect(didYouMean('zebra', names)).toBe('')
    expect(didYouMean('anything', [])).toBe('')
  })
})
