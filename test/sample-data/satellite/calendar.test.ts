import { describe, expect, it } from 'vitest'
import { dateOf, drawVisits, MOST_DATES } from '../../../src/sample-data/satellite/calendar.ts'

const place = (index: number) => ({ dominant: 'maize' as const, seed: 2, index, size: 16 })

describe('drawVisits', () => {
  it.each([1, 2, 4, 7, 37, MOST_DATES])('spreads %i dates over the year, in order, each once', (dates) => {
    for (let index = 0; index < 20; index++) {
      const visits = drawVisits(place(index), dates)
      expect(visits.map(({ number }) => number)).toEqual([...visits.keys()])
      for (const [k, { day, date }] of visits.entries()) {
        expect(date).toBe(dateOf(day))
        expect(day).toBeGreaterThanOrEqual(30)
        expect(day).toBeLessThan(340)
        if (k > 0) {
          const since = day - visits[k - 1]!.day
          expect(since).toBeGreaterThan(0)
          expect(since % 5).toBe(0) // one orbit
          expect(since).toBeLessThanOrEqual(2 * 5 * Math.ceil(61 / dates))
        }
      }
    }
  })

  it('differs from place to place, and sometimes has a cloud or an edge, on one date', () => {
    const all = Array.from({ length: 300 }, (_, index) => drawVisits(place(index), 4))
    expect(new Set(all.map((visits) => visits.map(({ date }) => date).join())).size).toBeGreaterThan(290)
    const spoiled = (key: 'clouds' | 'missing') =>
      all.map((visits) => visits.filter((v) => v[key] > 0).length)
    const share = (key: 'clouds' | 'missing') => spoiled(key).reduce((a, b) => a + b) / all.length
    expect(Math.max(...spoiled('clouds'), ...spoiled('missing'))).toBe(1)
    expect(share('clouds')).toBeCloseTo(0.3, 1)
    expect(share('missing')).toBeCloseTo(0.15, 1)
    expect(all[0]).toEqual(drawVisits(place(0), 4))
  })

  it('counts days from the first of January', () => {
    expect([1, 32, 60, 365].map(dateOf)).toEqual(['20210101', '20210201', '20210301', '20211231'])
  })
})
