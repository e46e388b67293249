import { expect, it } from 'vitest'
import { escapeXml } from '../../src/files/xml.ts'

it('escapes what XML reads, and leaves out what it forbids', () => {
  expect(escapeXml(`<a b="c" d='e'> & 75 % · 図 😀`)).toBe(
    '&lt;a b=&quot;c&quot; d=&apos;e&apos;&gt; &amp; 75 % · 図 😀',
  )
  expect(escapeXml('a\u0000b\u001bc\ud800d\ufffee')).toBe('abcde')
})
