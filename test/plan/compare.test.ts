import { describe, expect, it } from 'vitest'
import { differences } from '../../src/plan/compare.ts'

const side = (median: number) => ({ least: 1, tenth: median, median, ninetieth: median, most: 1000 })
const photos = { shortSide: side(300), grey: 0, looked: 100, brightness: 0.5, contrast: 0.2 }

describe('differences', () => {
  const whats = (like: Partial<typeof photos>) =>
    differences(photos, { ...photos, ...like }).map(({ what }) => what)
  it('says none where images are alike', () => {
    expect(whats({ shortSide: side(201), grey: 19, brightness: 0.62, contrast: 0.14 })).toEqual([])
  })
  it('says which differ: sizes by half, colours of a fifth, brightness by an eighth of the range, contrast by half', () => {
    expect(whats({ shortSide: side(200) })).toEqual(['size'])
    expect(whats({ shortSide: side(450) })).toEqual(['size'])
    expect(whats({ grey: 20 })).toEqual(['colour'])
    expect(whats({ brightness: 0.375 })).toEqual(['brightness'])
    expect(whats({ contrast: 0.31 })).toEqual(['contrast'])
    expect(whats({ contrast: 0.13 })).toEqual(['contrast'])
  })
  it('says both numbers', () => {
    expect(differences(photos, { ...photos, grey: 100 })[0]!.text).toBe(
      '0 % of the images to learn from are grey, of those to use it on 100 %',
    )
  })
})
