import { expect, it } from 'vitest'
import { plain, tableOf } from '../../src/evaluate/markdown.ts'

it('a name is text in Markdown, whatever it holds', () => {
  expect(plain('<img src=x onerror=alert(1)> & *co*_')).toBe(
    '&lt;img src=x onerror=alert(1)&gt; &amp; \\*co\\*\\_',
  )
  expect(plain('a|b\n# c [d](e) `f` ~g~ \\')).toBe('a\\|b \\# c \\[d\\](e) \\`f\\` \\~g\\~ \\\\')
  expect(plain(`x${String.fromCharCode(27)}[2J`)).toBe('x\\\\u001b\\[2J')
  expect(tableOf([{ name: 'a|b\nc' }], [['name', ({ name }) => plain(name)]])).toBe(
    '| name |\n| --- |\n| a\\|b c |',
  )
})
