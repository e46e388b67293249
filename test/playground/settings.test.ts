import { describe, expect, it } from 'vitest'
import { defaults, formatSettings, parseSettings, type Settings } from '../../playground/src/settings.ts'

const roundTrip = (settings: Settings) => parseSettings(`#${formatSettings(settings)}`)

describe('the address', () => {
  it('says all of a generated mask', () => {
    const settings: Settings = {
      ...defaults,
      design: 'block',
      percent: 40,
      seed: 2 ** 53 - 1,
      statistics: 'true',
    }
    expect(formatSettings(settings)).toBe('design=block&ratio=40&seed=9007199254740991&statistics=true')
    const { marks, ...told } = settings
    expect(roundTrip(settings)).toEqual({ settings: told, refused: [] })
  })

  it.each([[[]], [[0]], [[3, 4, 17]], [[0, 1, 2, 3, 195]], [[1023]]])(
    'says what was painted: %j',
    (marks) => {
      const settings: Settings = { ...defaults, design: 'unpainted', marks }
      expect(roundTrip(settings)).toEqual({
        settings: { design: 'unpainted', statistics: 'neighbours', marks },
        refused: [],
      })
    },
  )

  it('packs four patches into a digit, the first into its highest bit', () => {
    expect(formatSettings({ ...defaults, design: 'painted', marks: [0, 5, 6, 7] })).toContain('marks=87')
  })

  it('may say nothing, or a part', () => {
    expect(parseSettings('')).toEqual({ settings: {}, refused: [] })
    expect(parseSettings('#ratio=0')).toEqual({ settings: { percent: 0 }, refused: [] })
  })

  it.each([
    [
      'design=stars',
      'design: expected one of random, block, multi-block, cells, grid, centre, periphery, painted, unpainted, got "stars"',
    ],
    ['ratio=96', 'ratio: expected a whole number from 0 to 95, got "96"'],
    ['ratio=-1', 'ratio: expected a whole number from 0 to 95, got "-1"'],
    ['ratio=', 'ratio: expected a whole number from 0 to 95, got ""'],
    ['seed=1e3', 'seed: expected a whole number below 2^53, got "1e3"'],
    ['seed=9007199254740992', 'seed: expected a whole number below 2^53, got "9007199254740992"'],
    ['statistics=raw', 'statistics: expected neighbours or true, got "raw"'],
    ['marks=xyz', 'marks: expected hexadecimal digits, got "xyz"'],
  ])('refuses %s and keeps the rest', (wrong, reason) => {
    const { settings, refused } = parseSettings(`#${wrong}&nonsense=1`)
    expect(settings).toEqual({})
    expect(refused).toEqual([reason])
  })
})
