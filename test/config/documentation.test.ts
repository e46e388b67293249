// Every key says what it is: in the program, which shows it in `sherd presets --keys`, and in the page that lists all.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { configKeys, describeKeys } from '../../src/config/keys.ts'
import { packageRoot } from '../../src/package-root.ts'

it('every key has a meaning, in one line without a full stop', () => {
  expect(describeKeys().length).toBeGreaterThan(70)
  const bad = describeKeys().filter(({ meaning }) => !/^\S.*[^.\s]$/.test(meaning))
  expect(bad).toEqual([])
})

it('docs/config.md lists every key, and no other', () => {
  const page = readFileSync(join(packageRoot(), 'docs/config.md'), 'utf8')
  const listed = [...page.matchAll(/^\| `([a-z]+(?:\.[a-zA-Z0-9]+)?)` \|(?=.*\|.*\|.*\|$)/gm)].map(
    ([, key]) => key!,
  )
  expect([...new Set(listed)].sort()).toEqual([...configKeys()].sort())
})
