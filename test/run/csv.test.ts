import { expect, it } from 'vitest'
import { csv } from '../../src/run/csv.ts'

it('fields with commas, quotes and line ends are quoted', () => {
  expect(
    csv([
      ['a', 'b'],
      ['x, y', 'say "z"'],
      ['two\nlines', null],
      ['1', 0.5],
    ]),
  ).toBe(['a,b', '"x, y","say ""z"""', '"two\nlines",', '1,0.5', ''].join('\r\n'))
})
