import { expect, it } from 'vitest'
import { naturalOrder } from '../../src/files/natural-order.ts'

it('sorts folder by folder, and numbers by their value', () => {
  const sorted = ['a.png', 'b/img2.png', 'b/img9/1.png', 'b/img10.png', 'b c/1.png', 'img 1.png', 'img01.png']
  for (const mixed of [sorted.toReversed(), sorted.toSorted()])
    expect(mixed.sort(naturalOrder)).toEqual(sorted)
})
it('is one order of names that compare equal', () => {
  const sorted = ['x01.png', 'x1.png', 'x10.png']
  expect(sorted.toReversed().sort(naturalOrder)).toEqual(sorted)
})
