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

it('a library that does not fit into the address space is an error that names the limit', () => {
  const limits = 'Max address space         1024000000           unlimited            bytes     \n'
  const error = new Error(
    'Could not load the "sharp" module\nERR_DLOPEN_FAILED: libvips.so: failed to map segment from shared object',
  )
  expect(withMemoryExplained(error, limits)).toMatchObject({
    code: 'ENGINE_MISSING',
    message: expect.stringMatching(/may use 1\.0 GB of address space \(ulimit -v\)/),
  })
  expect(
    withMemoryExplained(error, 'Max address space         unlimited            unlimited            bytes\n'),
  ).toBe(error)
})
