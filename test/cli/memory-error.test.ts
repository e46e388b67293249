import { expect, it } from 'vitest'
import { withMemoryExplained } from '../../src/cli/memory-error.ts'

const thrownBy = (body: () => unknown): unknown => {
  try {
    return body()
  } catch (error) {
    return error
  }
}

it.each([
  ['memory that no machine has', () => new ArrayBuffer(2 ** 52)],
  ['an array that is too long', () => new Float32Array(2 ** 53)],
  ['a text that is too long', () => 'x'.repeat(2 ** 29).repeat(4)],
])('%s is an error that says what to do', (_, body) => {
  expect(withMemoryExplained(thrownBy(body))).toMatchObject({
    code: 'VALUE',
    message: expect.stringMatching(/not enough memory .*train\.batchSize/),
  })
})

it('other errors stay what they are', () => {
  const error = new RangeError('Maximum call stack size exceeded')
  expect(withMemoryExplained(error)).toBe(error)
})
