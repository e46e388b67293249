import { expect, it } from 'vitest'
import { csv } from '../../src/files/csv.ts'

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

it('text that a spreadsheet would compute stays text, and numbers stay numbers', () => {
  expect(csv([['=HYPERLINK("x")', '+1+1', '-a.jpg', '@SUM(A1)', ' =1', '\t=1']])).toBe(
    `"'=HYPERLINK(""x"")","'+1+1","'-a.jpg","'@SUM(A1)","' =1","'\t=1"\r\n`,
  )
  expect(csv([['-0.25', '+3', '-1e-05', -7, 'a=b', 'x-y']])).toBe('-0.25,+3,-1e-05,-7,a=b,x-y\r\n')
})
