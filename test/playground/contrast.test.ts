// WCAG 2.2: text has a contrast of at least 4.5 to 1 on what it lies on, edges of controls 3 to 1. Both themes.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'

const css = readFileSync(join(packageRoot(), 'playground/src/style.css'), 'utf8')
const themes = [...css.matchAll(/:root\s*\{([^}]*)\}/g)].map(
  ([, body]) =>
    new Map([...body!.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map(([, name, hex]) => [name!, hex!])),
)

const linear = (level: number) => {
  const x = level / 255
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4
}
function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => linear(Number.parseInt(hex.slice(at, at + 2), 16)))
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}
function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high! + 0.05) / (low! + 0.05)
}

it('is measured as WCAG defines it', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 10)
  expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2)
  expect(themes.length).toBe(2)
})

describe.each([
  ['light', 0],
  ['dark', 1],
])('the %s theme', (_, theme) => {
  const colour = (name: string) => themes[theme]!.get(name)!

  it.each(['ink', 'soft', 'clay', 'alarm'])('--%s reads on paper and on a sheet', (name) => {
    for (const ground of ['paper', 'sheet'])
      expect(contrast(colour(name), colour(ground))).toBeGreaterThanOrEqual(4.5)
  })

  it('what lies on clay reads, and controls and frames have an edge', () => {
    expect(contrast(colour('on-clay'), colour('clay'))).toBeGreaterThanOrEqual(4.5)
    for (const ground of ['paper', 'sheet'])
      for (const edge of ['edge', 'near'])
        expect(contrast(colour(edge), colour(ground))).toBeGreaterThanOrEqual(3)
  })
})
